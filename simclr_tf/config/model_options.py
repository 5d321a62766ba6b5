"""Options: the network, and how others get it."""

from simclr_tf.config.job_kinds import Job
from simclr_tf.config.option import Role, option, section


@section
class ModelConfig:
    """Encoder f, projection head g, and the linear head beside them."""

    resnet_depth: int = option(
        50,
        "Layers of the ResNet.",
        role=Role.ARCHITECTURE,
        jobs=Job.EVERY,
        choices=(10, 18, 34, 50, 101, 152, 200),
    )
    width_multiplier: float = option(
        1.0,
        "Multiplies every channel count; fractions allowed.",
        role=Role.ARCHITECTURE,
        jobs=Job.EVERY,
        above=0,
        # A ResNet-50 of this width has 24 billion weights, 96 GB, without
        # their gradients and momentum.
        at_most=32,
    )
    num_channels: int = option(
        3,
        "Channels of the images: 3 is RGB; 1 is grey, made of any image; "
        "others are the bands of NPY or TIFF files in a folder.",
        role=Role.ARCHITECTURE | Role.FEATURES,
        jobs=Job.EVERY,
        at_least=1,
        at_most=512,
    )
    sk_ratio: float = option(
        0.0,
        "Selective kernels (0.0625 advised); 0 turns them off.",
        role=Role.ARCHITECTURE,
        jobs=Job.EVERY,
        at_least=0,
        at_most=1,
    )
    se_ratio: float = option(
        0.0,
        "Squeeze and excitation; 0 turns it off.",
        role=Role.ARCHITECTURE,
        jobs=Job.EVERY,
        at_least=0,
        at_most=1,
    )
    batch_norm_decay: float = option(
        0.9,
        "Momentum of BN's moving averages.",
        role=Role.OBJECTIVE,
        jobs=Job.TRAINING,
        at_least=0,
        below=1,
    )
    global_bn: bool = option(
        True,
        "BN statistics over all replicas, not over each one's batch.",
        role=Role.OBJECTIVE,
        jobs=Job.TRAINING | Job.TRANSFER_FINETUNE,
    )
    proj_head_mode: str = option(
        "nonlinear",
        "Projection head g.",
        role=Role.ARCHITECTURE | Role.HEAD,
        jobs=Job.EVERY,
        choices=("none", "linear", "nonlinear"),
    )
    num_proj_layers: int = option(
        2,
        "Layers of a nonlinear head (paper: 2; SimCLRv2: 3).",
        role=Role.ARCHITECTURE | Role.HEAD,
        jobs=Job.EVERY,
        official=3,
        at_least=1,
        # Building and compiling take time for each; nobody needs four.
        at_most=100,
    )
    proj_out_dim: int = option(
        128,
        "Dimension of z.",
        role=Role.ARCHITECTURE | Role.HEAD,
        jobs=Job.EVERY,
        at_least=1,
        # 2N vectors of so many numbers are gathered from all replicas.
        at_most=2**16,
    )
    ft_proj_selector: int = option(
        0,
        "Which layer of g feeds the linear head; 0 is h itself.",
        role=Role.OBJECTIVE | Role.FEATURES,
        jobs=Job.EVERY,
        at_least=0,
    )
    teacher_proj_selector: int | None = option(
        None,
        "distill: which layer of the teacher's g feeds its linear head. Unset: "
        "what its run says, or its shapes.",
        role=Role.OBJECTIVE,
        jobs=Job.DISTILL,
        at_least=0,
    )
    lineareval_while_pretraining: bool = option(
        True,
        "Train a linear probe beside the encoder, on a stop-gradient, where "
        "the data has labels.",
        role=Role.OBJECTIVE,
        jobs=Job.PRETRAIN,
    )
    zero_init_logits_layer: bool = option(
        False,
        "Start the head of finetune, supervised and distill from zero.",
        role=Role.OBJECTIVE,
        jobs=Job.FINETUNE | Job.SUPERVISED | Job.DISTILL | Job.PROBE,
        tolerated=Job.PRETRAIN,
    )
    restore_linear_head: bool = option(
        False,
        "finetune: start from the checkpoint's linear head, which must be of "
        "the same classes, instead of a new one. import: take it along.",
        role=Role.OBJECTIVE,
        jobs=Job.FINETUNE | Job.IMPORT,
    )
    fine_tune_after_block: int = option(
        -1,
        "finetune: -1 trains everything, 0 freezes the stem, b freezes up to "
        "block b, 4 trains the head only.",
        role=Role.OBJECTIVE,
        jobs=Job.FINETUNE,
        tolerated=Job.PRETRAIN,
        at_least=-1,
        at_most=4,
    )
    mixed_precision: str = option(
        "auto",
        "Type of the encoder's arithmetic; losses, BN statistics and "
        "variables stay float32. auto: bfloat16 where the device is fast at "
        "it.",
        role=Role.MACHINE | Role.FEATURES,
        jobs=Job.EVERY,
        choices=("auto", "none", "bfloat16", "float16"),
    )

    @property
    def projection_depth(self) -> int:
        """Layers of g; the selector of z, its output."""
        return {"none": 0, "linear": 1}.get(
            self.proj_head_mode, self.num_proj_layers
        )


@section
class ExportConfig:
    """--mode=export: an encoder in the formats of others."""

    format: str = option(
        "torch",
        "timm and torch: safetensors, with a configuration or a module. keras "
        "(Keras 3), onnx, tflite (float32 and float16), saved_model.",
        role=Role.JOB,
        jobs=Job.EXPORT,
        choices=("timm", "torch", "keras", "onnx", "tflite", "saved_model"),
    )
    licence: str | None = option(
        None,
        "Licence that the weights are given away under, for their card: "
        "apache-2.0, cc-by-4.0. Unset: the card says that none is stated.",
        role=Role.LOGGING,
        jobs=Job.EXPORT,
    )
