"""Options: which job, where it runs, and what it leaves.

Long because an option takes eight lines, and those of a section stay together.
"""

from simclr_tf.config import job_kinds
from simclr_tf.config.job_kinds import Job
from simclr_tf.config.option import Role, option, section


@section
class JobConfig:
    """What to do, and where the results go."""

    mode: str = option(
        "train",
        "The job: train, or train and then evaluate; follow a model_dir and "
        "evaluate its checkpoints as they appear (eval); score an encoder by "
        "a --protocol (evaluate); write its features (embed); compile the "
        "training step for a TPU --topology without a TPU (preflight); time "
        "the stages that images go through on the host (benchmark_input); "
        "compare settings (study); write an encoder in a --format of others "
        "(export).",
        role=Role.JOB,
        jobs=Job.EVERY,
        choices=tuple(job_kinds.MODES),
    )
    train_mode: str = option(
        "pretrain",
        "pretrain: contrastive learning, without labels. finetune: a "
        "classifier on --checkpoint's encoder. supervised: a classifier from "
        "scratch.",
        role=Role.OBJECTIVE,
        jobs=Job.PRETRAIN | Job.FINETUNE | Job.SUPERVISED,
        choices=tuple(job_kinds.TRAIN_MODES),
    )
    model_dir: str | None = option(
        None,
        "Folder of the run, local or gs://. Unset: runs/<dataset>, with the "
        "train_mode if it is not pretrain; of evaluate, embed and export, a "
        "folder in the checkpoint's run.",
        role=Role.LOCATION,
        jobs=Job.EVERY,
    )
    seed: int = option(
        0,
        "Everything random follows from it: weights, order, augmentation.",
        role=Role.OBJECTIVE | Role.SEED,
        jobs=Job.EVERY,
        at_least=0,
    )
    checkpoint: str | None = option(
        None,
        "The encoder to finetune, evaluate, embed with or export, or to "
        "pretrain on from: a model_dir, one of its checkpoints (RUN/ckpt-100), "
        "a SavedModel of ours, or what Google released, local or gs://.",
        role=Role.OBJECTIVE | Role.LOCATION,
        jobs=Job.PRETRAIN | Job.FINETUNE | Job.ON_WEIGHTS,
    )
    ema_weights: bool = option(
        False,
        "Of what Google released: take the moving averages of the weights, "
        "where the checkpoint has them.",
        role=Role.OBJECTIVE,
        jobs=Job.PRETRAIN | Job.FINETUNE | Job.ON_WEIGHTS,
    )


@section
class OutputConfig:
    """What is written, and how often."""

    checkpoint_epochs: float = option(
        1.0,
        "Between checkpoints, epochs.",
        role=Role.LOGGING,
        jobs=Job.TRAINING | Job.TRANSFER_FINETUNE,
        above=0,
        at_most=1e6,
    )
    checkpoint_steps: int = option(
        0,
        "Between checkpoints, steps; overrides the epochs.",
        role=Role.LOGGING,
        jobs=Job.TRAINING | Job.TRANSFER_FINETUNE,
        at_least=0,
    )
    keep_checkpoint_max: int = option(
        5,
        "How many checkpoints are kept.",
        role=Role.LOGGING,
        jobs=Job.TRAINING,
        at_least=1,
    )
    keep_hub_module_max: int = option(
        1,
        "How many SavedModels are kept; 0: none.",
        role=Role.LOGGING,
        jobs=Job.TRAINING,
        at_least=0,
    )
    verbose: bool = option(
        False,
        "Print every option with its value and where it came from, not only "
        "those that differ from the defaults.",
        role=Role.LOGGING,
        jobs=Job.EVERY,
    )
    log_steps: int = option(
        0,
        "Between lines of metrics, steps. 0: a tenth of an epoch, 10 to 100.",
        role=Role.LOGGING,
        jobs=Job.TRAINING | Job.TRANSFER_FINETUNE,
        at_least=0,
    )
    grace_seconds: float = option(
        30.0,
        "From SIGTERM, SIGINT or SIGHUP to leaving, whatever is not saved by "
        "then. It is for the end of a step and its checkpoint.",
        role=Role.MACHINE,
        jobs=Job.TRAINING | Job.TRANSFER_FINETUNE,
        at_least=0,
        at_most=86_400,
    )
    profile_steps: tuple[int, ...] = option(
        (),
        "First and last step (a,b; the first of training is 1, and compiles) "
        "of a TensorBoard profile in model_dir. Unset: none.",
        role=Role.LOGGING,
        jobs=Job.TRAINING,
        at_least=1,
    )


@section
class DeviceConfig:
    """Where it runs."""

    strategy: str = option(
        "auto",
        "auto takes a TPU if one is named or there, else all GPUs, else the "
        "CPU. multi_worker: several hosts, which TF_CONFIG names.",
        role=Role.MACHINE,
        jobs=Job.EVERY,
        choices=("auto", "tpu", "mirrored", "multi_worker", "one_device"),
    )
    use_tpu: bool | None = option(
        None,
        "True insists on a TPU, False rules it out. Unset: --strategy decides.",
        role=Role.MACHINE,
        jobs=Job.EVERY,
        official=True,
    )
    tpu_name: str | None = option(
        None,
        "Name or address of the TPU.",
        role=Role.MACHINE,
        jobs=Job.EVERY,
        empty_is_unset=True,
    )
    tpu_zone: str | None = option(
        None,
        "Google Cloud zone of the TPU.",
        role=Role.MACHINE,
        jobs=Job.EVERY,
        empty_is_unset=True,
    )
    gcp_project: str | None = option(
        None,
        "Google Cloud project of the TPU.",
        role=Role.MACHINE,
        jobs=Job.EVERY,
        empty_is_unset=True,
    )
    master: str | None = option(
        None,
        "Address of the TPU; --tpu_name wins.",
        role=Role.MACHINE,
        jobs=Job.EVERY,
        empty_is_unset=True,
    )
    virtual_devices: int = option(
        0,
        "Split the CPU into so many devices, to try multi-replica runs.",
        role=Role.MACHINE,
        jobs=Job.EVERY,
        at_least=0,
        # The step is traced for each, and each has threads.
        at_most=256,
    )
    worker_timeout_seconds: float = option(
        300.0,
        "multi_worker: how long the hosts wait for one another at the start.",
        role=Role.MACHINE,
        jobs=Job.EVERY,
        above=0,
        at_most=1e9,  # 30 years; clocks count no further
    )
    deterministic: bool = option(
        False,
        "Ask TensorFlow for kernels that give the same bits every time; "
        "slower, and needed on GPUs only.",
        role=Role.MACHINE,
        jobs=Job.EVERY,
    )

    benchmark_seconds: float = option(
        5.0,
        "--mode=benchmark_input: how long each stage is timed.",
        role=Role.MACHINE,
        jobs=Job.BENCHMARK_INPUT,
        above=0,
        at_most=86_400,  # a day for each stage
    )


@section
class PreflightConfig:
    """--mode=preflight: a TPU job without a TPU."""

    topology: str = option(
        "v5e:4x4",
        "TPU generation and chips per axis: v5e:4x4, v4:2x2x4, v6e:4x4.",
        role=Role.MACHINE,
        jobs=Job.PREFLIGHT,
    )
    json: str | None = option(
        None,
        "File for the report, besides the table.",
        role=Role.LOCATION,
        jobs=Job.PREFLIGHT,
    )
    find_batch: bool = option(
        False,
        "Look for the largest per-core batch that fits, also where this one "
        "does. A compilation for each that is tried.",
        role=Role.MACHINE,
        jobs=Job.PREFLIGHT,
    )
    rehearse: bool | None = option(
        None,
        "Run the step on virtual CPU devices of XLA's, too, and compare it "
        "with one device. Unset: where the whole job is small enough. What two "
        "cores cannot carry is made smaller.",
        role=Role.MACHINE,
        jobs=Job.PREFLIGHT,
    )
    rehearse_steps: int = option(
        3,
        "How many steps a rehearsal runs.",
        role=Role.MACHINE,
        jobs=Job.PREFLIGHT,
        at_least=1,
        at_most=1000,
    )
    num_examples: int = option(
        0,
        "Size of the training split, where the data is elsewhere.",
        role=Role.MACHINE,
        jobs=Job.PREFLIGHT,
        at_least=0,
        at_most=10**12,
    )
    num_classes: int = option(
        0,
        "Classes of the training split, where the data is elsewhere.",
        role=Role.MACHINE,
        jobs=Job.PREFLIGHT,
        at_least=0,
        at_most=10**6,  # a column of the linear head each
    )


@section
class StudyConfig:
    """--mode=study: a grid of runs, its table and its figure."""

    study: str | None = option(
        None,
        "Name of a shipped study, or a Python file of your own, which is "
        "executed and defines STUDY.",
        role=Role.JOB,
        jobs=Job.STUDY,
    )
    study_size: str = option(
        "quick",
        "quick: embedded images, minutes to an hour on 2 cores. paper: the "
        "paper's setting.",
        role=Role.JOB,
        jobs=Job.STUDY,
        choices=("quick", "paper"),
    )
    study_seeds: int = option(
        0,
        "How often each setting is run, from --seed on; 0: as the study says.",
        role=Role.JOB,
        jobs=Job.STUDY,
        at_least=0,
        at_most=1000,
    )
    study_index: int | None = option(
        None,
        "Run only this cell, counted from 0, as --commands prints them.",
        role=Role.MACHINE,
        jobs=Job.STUDY,
        at_least=0,
    )
    commands: bool = option(
        False,
        "Print the study's commands, a cell a line, and run nothing.",
        role=Role.JOB,
        jobs=Job.STUDY,
    )
