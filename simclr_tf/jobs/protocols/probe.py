"""--mode=evaluate --protocol=probe: a linear head by SGD on a frozen encoder.

Reads    labelled images, --checkpoint
Writes   a run in a folder of the evaluations, and its record beside it
Ends     with 0 at the last step; the same command continues a stopped one

Paper: appendix B.6. The probe is trained like any classifier, with everything
but the head frozen.
"""

from simclr_tf.jobs import recording
from simclr_tf.jobs.requests import Accepts, Request
from simclr_tf.jobs.training import Training
from simclr_tf.jobs.training_run import TrainingRun
from simclr_tf.run_files import loading


def make(request: Request, accepts: Accepts) -> Training:
    """The job of a command: a training run in a folder of its own."""
    identity = loading.identity(request.config)

    def folder_of(run: TrainingRun) -> str:
        return recording.path_of(
            run.config,
            encoder_sha256=identity,
            splits={"train": run.train_source, "test": run.eval_source},
        )

    return Training(request, accepts, folder_of=folder_of)
