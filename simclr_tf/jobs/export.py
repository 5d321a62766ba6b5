"""What a finished run leaves for others: a SavedModel, in float32."""

from simclr_tf.config import roles
from simclr_tf.convert import saved_model
from simclr_tf.jobs.training_run import TrainingRun


def export(run: TrainingRun) -> None:
    """Writes saved_model/<step>/, from a copy outside the strategy."""
    keep = run.config.output.keep_hub_module_max
    folder = run.folder.file("saved_model")
    there = run.step in saved_model.steps(folder)
    if not keep or there or not run.hosts.is_chief:
        return
    copy = run.build_model(dtype_policy="float32")
    for mine, trained in zip(copy.variables, run.model.variables, strict=True):
        mine.assign(trained.numpy())
    path = saved_model.export(
        copy,
        folder,
        step=run.step,
        image_size=run.config.data.image_size,
        num_channels=run.config.model.num_channels,
        keep=keep,
        class_names=run.train_source.class_names,
        metadata={
            "config": roles.of_export(run.config),
            "global_step": run.step,
        },
    )
    print(f"SavedModel: {path}")
