"""Which data the options of a run find now: `python -m ... RUN_FOLDER`.

Prints `same_data.facts_of` it, as JSON, or why it cannot be opened, as its
last line. A process of its own:
TensorFlow takes a whole GPU with the first tensor, and keeps it.
"""

import json
import os
import subprocess
import sys

from simclr_tf import errors
from simclr_tf.build import splits
from simclr_tf.config import resolve
from simclr_tf.data.digits import BUILDERS
from simclr_tf.run_files.folder import RunFolder
from simclr_tf.studies import same_data

_USER_ERROR = 2


def facts_here(run_folder: str) -> dict | None:
    """Looks in a process of its own; None of a data set that is embedded.

    Args:
        run_folder: of a run that says how its data is read.

    Raises:
        errors.UserError: the data cannot be opened.
        errors.Halted: the process ended for another reason.
    """
    saved = RunFolder(run_folder, writes=False).saved()
    if saved is None or saved.config.data.dataset in BUILDERS:
        return None
    done = subprocess.run(
        [sys.executable, "-m", __name__, run_folder],
        env={
            **os.environ,
            "CUDA_VISIBLE_DEVICES": "",
            # The package need not be installed.
            "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    is_told = done.returncode in (0, _USER_ERROR)
    lines = (done.stdout if is_told else done.stderr).splitlines()
    said = lines[-1] if lines else "it printed nothing"
    if done.returncode == _USER_ERROR:
        raise errors.UserError(said)
    if done.returncode:
        raise errors.Halted(
            f"The data of {run_folder} could not be looked at (status "
            f"{done.returncode}): {said}. The same command tries it again."
        )
    return json.loads(said)


def find(run_folder: str) -> dict:
    """What the options of a run find now.

    Raises:
        errors.UserError: it cannot be opened.
    """
    saved = RunFolder(run_folder, writes=False).saved()
    # Copies and decoded images say nothing of which data it is.
    config = resolve.overlay(saved.config, {"cache_dataset": "false"})
    source, _ = splits.open_training(config)
    scored = splits.open_evaluation(
        config, required=saved.origins.get("eval_split") == "flag"
    )
    return same_data.facts_of(
        saved.config,
        data={
            "fingerprint": source.fingerprint,
            "num_examples": source.num_examples,
            "class_names": list(source.class_names),
        },
        scored={"eval_fingerprint": getattr(scored, "fingerprint", None)},
    )


if __name__ == "__main__":
    try:
        print(json.dumps(find(sys.argv[1])))
    except errors.UserError as error:
        # Not to where TensorFlow logs, whose line may be the last there.
        print(" ".join(str(error).split()))
        sys.exit(_USER_ERROR)
