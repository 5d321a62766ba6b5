"""What a run is: frozen dataclasses, checked when made.

Every option is declared once, here: its name is the flag's name, its help the
flag's help, its default the paper's (`Paper:` v1, arXiv:2002.05709) with the
official code's beside it where the two differ. `resolve` says what becomes of
the options that a user leaves unset.
"""

import dataclasses
from typing import Any

from simclr_tf.config.option import option, section
from simclr_tf.errors import UserError


@section
class JobConfig:
    """What to do, and where the results go."""

    mode: str = option(
        "train",
        "The job: train, or train and then evaluate; follow a model_dir and "
        "evaluate its checkpoints as they appear (eval); score an encoder by "
        "a --protocol (evaluate); write its features (embed); compile the "
        "training step for a TPU --topology without a TPU (preflight); time "
        "the stages that images go through on the host (benchmark_input).",
        choices=(
            "train",
            "eval",
            "train_then_eval",
            "evaluate",
            "embed",
            "preflight",
            "benchmark_input",
        ),
        may_change=True,
    )
    train_mode: str = option(
        "pretrain",
        "pretrain: contrastive learning, without labels. finetune: a "
        "classifier on --checkpoint's encoder. supervised: a classifier from "
        "scratch.",
        choices=("pretrain", "finetune", "supervised"),
    )
    model_dir: str | None = option(
        None,
        "Folder of the run, local or gs://. Unset: runs/<dataset>, with the "
        "train_mode if it is not pretrain; of evaluate and embed, a folder in "
        "the checkpoint's run.",
        may_change=True,
    )
    seed: int = option(
        0,
        "Everything random follows from it: weights, order, augmentation.",
        at_least=0,
        at_most=2**31 - 1,
    )
    checkpoint: str | None = option(
        None,
        "The encoder to finetune, evaluate or embed with: a model_dir, one of "
        "its checkpoints (RUN/ckpt-100), or a SavedModel of ours.",
    )


@section
class DataConfig:
    """Which images, and how they are read."""

    dataset: str = option(
        "digits",
        "digits (embedded), folder (with --data_dir), or the name of any TFDS "
        "data set, with /config if it has one.",
        official="imagenet2012",
    )
    data_dir: str | None = option(
        None,
        "Where TFDS data sets are prepared, or the folder of images.",
        may_change=True,
    )
    train_split: str = option("train", "TFDS split to train on.")
    eval_split: str | None = option(
        None,
        "Split to evaluate on. Unset: validation, else test, if there.",
        official="validation",
        may_change=True,
    )
    labels_per_class: int = option(
        0,
        "Train a classifier on so many labels of each class only; 0: on all.",
        at_least=0,
    )
    label_fraction: float = option(
        0.0,
        "Train a classifier on this share of each class only; 0: on all.",
        at_least=0,
        at_most=1,
    )
    label_seed: int = option(
        0, "Which labels those are, apart from --seed.", at_least=0
    )
    image_key: str | None = option(
        None, "Feature that holds the image. Unset: the only one that can be."
    )
    label_key: str | None = option(
        None,
        "Feature that holds the class. Unset: the supervised key, or the only "
        "class feature.",
    )
    several_labels: bool = option(
        False,
        "Whether label_key lists the classes that an image shows, as in VOC.",
    )
    image_size: int = option(
        224,
        "Side of the views in pixels. At 32 and below: CIFAR stem, and no "
        "central crop in evaluation.",
        at_least=1,
    )
    cache_dataset: bool = option(
        False, "Keep decoded images in memory.", may_change=True
    )
    in_memory_limit_mb: int = option(
        2048,
        "A split up to this size is held in memory and shuffled in full; a "
        "larger one is read shard by shard.",
        at_least=0,
    )
    max_corrupt_fraction: float = option(
        0.01,
        "The run stops when more than this share of the images is unreadable.",
        at_least=0,
        at_most=1,
        may_change=True,
    )
    input_threads: int = option(
        0,
        "Threads that prepare images, apart from the step's; 0: they share "
        "TensorFlow's.",
        at_least=0,
        may_change=True,
    )
    benchmark_seconds: float = option(
        5.0,
        "--mode=benchmark_input: how long each stage is timed.",
        above=0,
        may_change=True,
    )


@section
class AugmentConfig:
    """The two views of an image (paper, appendix A)."""

    min_crop_area: float = option(
        0.08, "Least share of the image that a crop covers.", above=0, at_most=1
    )
    min_object_covered: float = option(
        0.0,
        "Least share of the image that the sampler must cover; the official "
        "code's 0.1 makes its least crop area 0.10.",
        official=0.1,
        at_least=0,
        at_most=1,
    )
    random_flip: bool = option(True, "Mirror half of the views.")
    color_jitter_strength: float = option(
        1.0,
        "s of the colour distortion; 0 turns jitter and drop off.",
        at_least=0,
        at_most=1.25,
    )
    color_jitter_impl: str = option(
        "simclrv1",
        "Brightness: added (simclrv1) or multiplied (simclrv2).",
        official="simclrv2",
        choices=("simclrv1", "simclrv2"),
    )
    color_jitter_order: str = option(
        "random",
        "Order of brightness, contrast, saturation and hue.",
        choices=("random", "fixed"),
    )
    eval_crop: float = option(
        0.875,
        "Of an image's shorter side, what the central crop of evaluation "
        "keeps; 32 px and below: all of it.",
        above=0,
        at_most=1,
        may_change=True,
    )
    use_blur: bool = option(True, "Gaussian blur on half of the views.")
    blur_sigma_per: str = option(
        "image",
        "Whether each image or each replica's batch draws its blur.",
        official="batch",
        choices=("image", "batch"),
    )
    augment_on: str = option(
        "auto",
        "Where colour and blur run: the tf.data graph (host) or the training "
        "step (device), with equal results. auto: host on CPU, else device.",
        choices=("auto", "host", "device"),
        may_change=True,
    )


@section
class ModelConfig:
    """Encoder f, projection head g, and the linear head beside them."""

    resnet_depth: int = option(
        50, "Layers of the ResNet.", choices=(10, 18, 34, 50, 101, 152, 200)
    )
    width_multiplier: float = option(
        1.0, "Multiplies every channel count; fractions allowed.", above=0
    )
    sk_ratio: float = option(
        0.0,
        "Selective kernels (0.0625 advised); 0 turns them off.",
        at_least=0,
        at_most=1,
    )
    se_ratio: float = option(
        0.0, "Squeeze and excitation; 0 turns it off.", at_least=0, at_most=1
    )
    batch_norm_decay: float = option(
        0.9, "Momentum of BN's moving averages.", at_least=0, below=1
    )
    global_bn: bool = option(
        True, "BN statistics over all replicas, not over each one's batch."
    )
    proj_head_mode: str = option(
        "nonlinear",
        "Projection head g.",
        choices=("none", "linear", "nonlinear"),
    )
    num_proj_layers: int = option(
        2,
        "Layers of a nonlinear head (paper: 2; SimCLRv2: 3).",
        official=3,
        at_least=1,
    )
    proj_out_dim: int = option(128, "Dimension of z.", at_least=1)
    ft_proj_selector: int = option(
        0,
        "Which layer of g feeds the linear head; 0 is h itself.",
        at_least=0,
    )
    lineareval_while_pretraining: bool = option(
        True,
        "Train a linear probe beside the encoder, on a stop-gradient, where "
        "the data has labels.",
    )
    zero_init_logits_layer: bool = option(
        False, "Start the head of finetune and supervised from zero."
    )
    restore_linear_head: bool = option(
        False,
        "finetune: start from the checkpoint's linear head, which must be of "
        "the same classes, instead of a new one.",
    )
    fine_tune_after_block: int = option(
        -1,
        "finetune: -1 trains everything, 0 freezes the stem, b freezes up to "
        "block b, 4 trains the head only.",
        at_least=-1,
        at_most=4,
    )
    mixed_precision: str = option(
        "auto",
        "Type of the encoder's arithmetic; losses, BN statistics and "
        "variables stay float32. auto: bfloat16 where the device is fast at "
        "it.",
        choices=("auto", "none", "bfloat16", "float16"),
        may_change=True,
    )


@section
class OptimConfig:
    """Objective, optimiser and length of training."""

    temperature: float = option(0.1, "tau of NT-Xent.", above=0)
    hidden_norm: bool = option(True, "l2-normalise z before the loss.")
    optimizer: str = option(
        "lars",
        "lars, momentum (Nesterov SGD) or adam.",
        choices=("lars", "momentum", "adam"),
    )
    learning_rate: float = option(
        0.3, "Base rate, before scaling with the batch.", above=0
    )
    learning_rate_scaling: str = option(
        "linear",
        "Peak rate: base * batch / 256, or base * sqrt(batch).",
        choices=("linear", "sqrt"),
    )
    warmup_epochs: float = option(10.0, "Linear warm-up, epochs.", at_least=0)
    weight_decay: float = option(1e-6, "L2 on kernels.", at_least=0)
    momentum: float = option(0.9, "Of lars and momentum.", at_least=0, below=1)
    train_batch_size: int = option(
        4096, "Examples per step, over all replicas.", official=512, at_least=1
    )
    micro_batch_size: int = option(
        0,
        "Examples that go through the encoder at a time, on each replica, with "
        "BN statistics of their own; the loss is over the whole batch all the "
        "same. 0: all of the replica's.",
        at_least=0,
    )
    train_epochs: float = option(
        100.0, "Length of training, epochs.", at_least=0
    )
    train_steps: int = option(
        0, "Length of training, steps; overrides the epochs.", at_least=0
    )


@section
class EvalConfig:
    """How a run is scored."""

    eval_batch_size: int = option(
        256, "Examples per evaluation step.", at_least=1, may_change=True
    )
    eval_steps: int = option(
        0, "Evaluation steps; 0: the whole split.", at_least=0, may_change=True
    )
    eval_name: str | None = option(
        None, "Name of the evaluation summaries.", may_change=True
    )
    eval_timeout_seconds: float = option(
        7200.0,
        "--mode=eval gives up when no new checkpoint appears for so long.",
        above=0,
        may_change=True,
    )
    linear_eval_labels: tuple[int, ...] = option(
        (),
        "After training, fit logistic regressions on this many labels, over "
        "the features, a random encoder's and the raw pixels; a list.",
        may_change=True,
    )
    protocol: str = option(
        "logistic",
        "What --mode=evaluate does with the encoder: probe (linear head by "
        "SGD on augmented images), logistic (regression on features), knn, "
        "transfer_linear and transfer_finetune (the paper's 12 data sets).",
        choices=(
            "probe",
            "logistic",
            "knn",
            "transfer_linear",
            "transfer_finetune",
        ),
        may_change=True,
    )
    encoder: str = option(
        "checkpoint",
        "What --mode=evaluate scores: the checkpoint's encoder, the random "
        "one of the same shape that --seed gives, or the raw pixels.",
        choices=("checkpoint", "random", "pixels"),
        may_change=True,
    )
    holdout_fraction: float = option(
        0.1,
        "Share of the training split that strengths of regularisation are "
        "chosen on, where a data set has no validation split.",
        above=0,
        below=1,
        may_change=True,
    )
    sweep_points: tuple[int, ...] = option(
        (),
        "transfer_finetune: the numbers of the settings to try, of the grid; "
        "empty: all.",
        may_change=True,
    )
    embed_queries: int = option(
        8,
        "Of how many images --mode=embed pictures the nearest neighbours.",
        at_least=1,
        may_change=True,
    )
    knn_eval: bool = option(
        False,
        "While pretraining, score the encoder at every checkpoint by its "
        "nearest neighbours.",
        may_change=True,
    )
    linear_eval_draws: int = option(
        10,
        "How many class-balanced draws of labels they are averaged over.",
        at_least=1,
        may_change=True,
    )


@section
class OutputConfig:
    """What is written, and how often."""

    checkpoint_epochs: float = option(
        1.0, "Between checkpoints, epochs.", above=0, may_change=True
    )
    checkpoint_steps: int = option(
        0,
        "Between checkpoints, steps; overrides the epochs.",
        at_least=0,
        may_change=True,
    )
    keep_checkpoint_max: int = option(
        5, "How many checkpoints are kept.", at_least=1, may_change=True
    )
    keep_hub_module_max: int = option(
        1,
        "How many SavedModels are kept; 0: none.",
        at_least=0,
        may_change=True,
    )
    log_steps: int = option(
        0,
        "Between lines of metrics, steps. 0: a tenth of an epoch, 10 to 100.",
        at_least=0,
        may_change=True,
    )
    profile_steps: tuple[int, ...] = option(
        (),
        "First and last step (a,b; the first of training is 1, and compiles) "
        "of a TensorBoard profile in model_dir. Unset: none.",
        may_change=True,
    )


@section
class DeviceConfig:
    """Where it runs."""

    strategy: str = option(
        "auto",
        "auto takes a TPU if one is named or there, else all GPUs, else the "
        "CPU. multi_worker: several hosts, which TF_CONFIG names.",
        choices=("auto", "tpu", "mirrored", "multi_worker", "one_device"),
        may_change=True,
    )
    use_tpu: bool | None = option(
        None,
        "True insists on a TPU, False rules it out. Unset: --strategy decides.",
        official=True,
        may_change=True,
    )
    tpu_name: str | None = option(
        None, "Name or address of the TPU.", may_change=True
    )
    tpu_zone: str | None = option(
        None, "Google Cloud zone of the TPU.", may_change=True
    )
    gcp_project: str | None = option(
        None, "Google Cloud project of the TPU.", may_change=True
    )
    master: str | None = option(
        None, "Address of the TPU; --tpu_name wins.", may_change=True
    )
    virtual_devices: int = option(
        0,
        "Split the CPU into so many devices, to try multi-replica runs.",
        at_least=0,
        may_change=True,
    )
    worker_timeout_seconds: float = option(
        300.0,
        "multi_worker: how long the hosts wait for one another at the start.",
        above=0,
        may_change=True,
    )
    deterministic: bool = option(
        False,
        "Ask TensorFlow for kernels that give the same bits every time; "
        "slower, and needed on GPUs only.",
        may_change=True,
    )


@section
class PreflightConfig:
    """--mode=preflight: a TPU job without a TPU."""

    topology: str = option(
        "v5e:4x4",
        "TPU generation and chips per axis: v5e:4x4, v4:2x2x4, v6e:4x4.",
        may_change=True,
    )
    json: str | None = option(
        None, "File for the report, besides the table.", may_change=True
    )
    find_batch: bool = option(
        False,
        "Look for the largest per-core batch that fits, also where this one "
        "does. A compilation for each that is tried.",
        may_change=True,
    )
    num_examples: int = option(
        0,
        "Size of the training split, where the data is elsewhere.",
        at_least=0,
        may_change=True,
    )
    num_classes: int = option(
        0,
        "Classes of the training split, where the data is elsewhere.",
        at_least=0,
        may_change=True,
    )


@dataclasses.dataclass(frozen=True)
class Config:
    """A whole run. Sections keep names short; option names are unique."""

    job: JobConfig = dataclasses.field(default_factory=JobConfig)
    data: DataConfig = dataclasses.field(default_factory=DataConfig)
    augment: AugmentConfig = dataclasses.field(default_factory=AugmentConfig)
    model: ModelConfig = dataclasses.field(default_factory=ModelConfig)
    optim: OptimConfig = dataclasses.field(default_factory=OptimConfig)
    eval: EvalConfig = dataclasses.field(default_factory=EvalConfig)
    output: OutputConfig = dataclasses.field(default_factory=OutputConfig)
    device: DeviceConfig = dataclasses.field(default_factory=DeviceConfig)
    preflight: PreflightConfig = dataclasses.field(
        default_factory=PreflightConfig
    )

    def __post_init__(self):
        _check_together(self)

    def to_dict(self) -> dict[str, dict[str, Any]]:
        """Section -> option -> value, ready for JSON."""
        return dataclasses.asdict(self)

    @property
    def model_dir(self) -> str:
        """`--model_dir`, or runs/<dataset>[_<train_mode>]."""
        suffix = f"_{self.job.train_mode}"
        if self.job.train_mode == "pretrain":
            suffix = ""
        return self.job.model_dir or f"runs/{self.data.dataset}{suffix}"


def _check_together(config: Config) -> None:
    """Rules that involve more than one option."""
    model, job, data = config.model, config.job, config.data
    layers = {"none": 0, "linear": 1}.get(
        model.proj_head_mode, model.num_proj_layers
    )
    if model.ft_proj_selector > layers:
        raise UserError(
            f"--ft_proj_selector must be 0 to {layers}, the layers of a "
            f"{model.proj_head_mode} head. Received: {model.ft_proj_selector}."
        )
    uses = job.train_mode == "finetune" or job.mode in ("evaluate", "embed")
    if job.checkpoint and not uses:
        raise UserError(
            f"--checkpoint={job.checkpoint} is for --train_mode=finetune, "
            "--mode=evaluate and --mode=embed: other training starts from the "
            "seed, or continues its model_dir. Leave it out."
        )
    if uses and not job.checkpoint:
        name = "--train_mode=finetune"
        if job.mode in ("evaluate", "embed"):
            name = f"--mode={job.mode}"
        raise UserError(
            f"{name} needs --checkpoint: a model_dir, one of its checkpoints, "
            "or a SavedModel. Received: none. (To train a classifier from "
            "scratch: --train_mode=supervised.)"
        )
    if data.labels_per_class and data.label_fraction:
        raise UserError(
            f"--labels_per_class={data.labels_per_class} and "
            f"--label_fraction={data.label_fraction:g} say the same in two "
            "ways. Leave one out."
        )
    if job.train_mode == "pretrain" and job.mode not in ("evaluate", "embed"):
        _refuse_labels(data)
    _check_micro_batches(config)
    _check_profile(config.output.profile_steps)
    if data.dataset == "folder" and not data.data_dir:
        raise UserError(
            "--dataset=folder needs --data_dir, the folder of images. "
            "Received: no --data_dir."
        )


def _refuse_labels(data: DataConfig) -> None:
    for name in ("labels_per_class", "label_fraction"):
        if getattr(data, name):
            raise UserError(
                f"--{name}={getattr(data, name)} is for training on labels: "
                "--train_mode=finetune or supervised, or --mode=evaluate. "
                "Pretraining uses none."
            )


def _check_profile(steps: tuple[int, ...]) -> None:
    if steps and not (len(steps) == 2 and 1 <= steps[0] <= steps[1]):
        raise UserError(
            "--profile_steps must be two steps a,b with 1 <= a <= b. Received: "
            f"{','.join(map(str, steps))}."
        )


def _check_micro_batches(config: Config) -> None:
    size, train_mode = config.optim.micro_batch_size, config.job.train_mode
    if size and train_mode != "pretrain":
        raise UserError(
            f"--micro_batch_size={size} is for --train_mode=pretrain, whose "
            f"loss needs the whole batch. Received: {train_mode}."
        )
    if size and config.model.global_bn:
        raise UserError(
            f"--micro_batch_size={size} needs --global_bn=false: every "
            "micro-batch is normalised by its own statistics, as on as many "
            "replicas with local BN. Received: --global_bn=true, its default."
        )


def sections() -> dict[str, type]:
    """Section name -> its dataclass, in the order of `Config`."""
    return {f.name: f.default_factory for f in dataclasses.fields(Config)}


def options() -> dict[str, tuple[str, dataclasses.Field]]:
    """Option name -> (section name, field)."""
    return {
        field.name: (name, field)
        for name, section in sections().items()
        for field in dataclasses.fields(section)
    }
