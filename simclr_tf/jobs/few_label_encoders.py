"""What the regressions on few labels are fitted on: --linear_eval_of."""

from collections.abc import Sequence

from simclr_tf.evaluation import features
from simclr_tf.evaluation.few_labels import Encoded
from simclr_tf.jobs.training_run import TrainingRun


def of(run: TrainingRun, names: Sequence[str]) -> list[Encoded]:
    """What --linear_eval_of names, in as few passes over the images."""
    every, found = slice(None), []
    if own := {"features", "projections"}.intersection(names):
        width = run.model.encoder.output_shape[-1]
        parts = {"": slice(width), "_projections": slice(width, None)}
        kept = {"features": "", "projections": "_projections"}
        found.append(
            Encoded(
                features.h_and_z_of(run.model),
                {kept[x]: parts[kept[x]] for x in sorted(own)},
            )
        )
    if "random" in names:
        with run.strategy.scope():
            untrained = run.build_model()  # the seed gives the same weights
        found.append(
            Encoded(features.h_of(untrained), {"_random_encoder": every})
        )
    if "pixels" in names:
        found.append(Encoded(features.raw_pixels, {"_raw_pixels": every}))
    return found
