"""Options: which images, and what is made of them."""

from simclr_tf.config import operator_list
from simclr_tf.config.job_kinds import Job
from simclr_tf.config.option import Role, option, section


@section
class DataConfig:
    """Which images, and how they are read."""

    dataset: str = option(
        "digits",
        "digits, color_digits (both embedded), folder (with --data_dir), or "
        "the name of any TFDS data set, with /config if it has one.",
        role=Role.DATASET | Role.DATA,
        jobs=Job.EVERY,
        official="imagenet2012",
    )
    data_dir: str | None = option(
        None,
        "Where TFDS data sets are prepared, or the folder of images; several "
        "with commas, or a text file that lists folders and files.",
        role=Role.DATASET | Role.LOCATION,
        jobs=Job.EVERY,
    )
    train_split: str = option(
        "train",
        "Split to train on, to evaluate with, or to embed.",
        role=Role.DATA,
        jobs=Job.TRAINING | Job.ON_SPLITS | Job.OF_A_SPLIT,
    )
    eval_split: str | None = option(
        None,
        "Split to evaluate on. Unset: validation, else test, if there.",
        role=Role.EVALUATION,
        jobs=Job.TRAINING | Job.ON_SPLITS | Job.OWN_HEAD,
        official="validation",
    )
    labels_per_class: int = option(
        0,
        "Train a classifier on so many images of each class only; 0: on all.",
        role=Role.DATA,
        jobs=Job.ON_FEW_LABELS,
        at_least=0,
    )
    label_fraction: float = option(
        0.0,
        "Train a classifier on this share of each class only; 0: on all.",
        role=Role.DATA,
        jobs=Job.ON_FEW_LABELS,
        at_least=0,
        at_most=1,
    )
    label_seed: int = option(
        0,
        "Which labels those are, apart from --seed.",
        role=Role.DATA | Role.SEED,
        jobs=Job.ON_FEW_LABELS,
        at_least=0,
    )
    image_key: str | None = option(
        None,
        "Feature that holds the image. Unset: the only one that can be.",
        role=Role.LABEL_TABLE | Role.DATASET | Role.DATA,
        jobs=Job.EVERY,
    )
    label_key: str | None = option(
        None,
        "Feature that holds the class. Unset: the supervised key, or the only "
        "class feature.",
        role=Role.LABEL_TABLE | Role.DATASET | Role.DATA,
        jobs=Job.EVERY,
    )
    several_labels: bool = option(
        False,
        "Whether label_key lists the classes that an image shows, as in VOC.",
        role=Role.LABEL_TABLE | Role.DATASET | Role.DATA,
        jobs=Job.EVERY,
    )
    labels: str | None = option(
        None,
        "--dataset=folder: a CSV or TSV of files and their classes, instead "
        "of class folders; --image_key and --label_key name its columns.",
        role=Role.LABEL_TABLE | Role.DATASET | Role.LOCATION,
        jobs=Job.EVERY,
    )
    class_folders: bool = option(
        True,
        "--dataset=folder: whether subfolders are classes; false: all images "
        "are without labels.",
        role=Role.DATASET | Role.DATA,
        jobs=Job.EVERY,
    )
    split_folders: str = option(
        "auto",
        "--dataset=folder: whether a folder called train, val or test is a "
        "split (yes) or a class (no); auto asks where it may be either.",
        role=Role.DATASET | Role.DATA,
        jobs=Job.EVERY,
        choices=("auto", "yes", "no"),
    )
    image_size: int = option(
        224,
        "Side of the views in pixels. At 32 and below: CIFAR stem, and no "
        "central crop in evaluation.",
        role=Role.OBJECTIVE | Role.FEATURES,
        jobs=Job.EVERY,
        at_least=1,
        # The activations of one view in a ResNet-50 take 130 GB: 100 MB at
        # 224 px, times (8192 / 224)^2.
        at_most=8192,
    )
    cache_dataset: str = option(
        "false",
        "true: keep decoded images in memory; disk: keep a copy on disk, "
        "shrunk to what the views need.",
        # What is read at a reduced scale, from memory or from a copy differs
        # by a level or two.
        role=Role.OBJECTIVE | Role.FEATURES,
        jobs=Job.EVERY,
        choices=("false", "true", "disk"),
        switch=True,
    )
    cache_dir: str | None = option(
        None,
        "--cache_dataset=disk: where the copies lie. Unset: simclr_tf/shrunk "
        "in $XDG_CACHE_HOME or ~/.cache.",
        role=Role.LOCATION | Role.MACHINE,
        jobs=Job.EVERY,
    )
    in_memory_limit_mb: int = option(
        2048,
        "A split up to this size is held in memory and shuffled in full; a "
        "larger one is read shard by shard.",
        role=Role.DATA,
        jobs=Job.EVERY,
        at_least=0,
    )
    max_corrupt_fraction: float = option(
        0.01,
        "The run stops when more than this share of the images is unreadable.",
        role=Role.LOGGING,
        jobs=Job.EVERY,
        at_least=0,
        at_most=1,
    )
    alpha_background: str = option(
        "white",
        "What is seen through transparent pixels: white, black, or a colour "
        "as RRGGBB.",
        role=Role.DATASET | Role.FEATURES | Role.OBJECTIVE,
        jobs=Job.EVERY,
    )
    max_image_pixels: int = option(
        89_478_485,
        "An image of more pixels counts as unreadable. One of the default size "
        "takes 268 MB when it is decoded, and each core decodes one.",
        role=Role.DATA | Role.FEATURES,
        jobs=Job.EVERY,
        at_least=1,
    )
    intensity_range: str = option(
        "full",
        "Black and white in grey, or bands, of more than 8 bits: the ends of "
        "the type's range (full), or the image's least and greatest (own).",
        role=Role.DATASET | Role.FEATURES | Role.OBJECTIVE,
        jobs=Job.EVERY,
        choices=("full", "own"),
    )
    input_threads: int = option(
        0,
        "Threads that prepare images, apart from the step's; 0: they share "
        "TensorFlow's.",
        role=Role.MACHINE,
        jobs=Job.EVERY,
        at_least=0,
        # The system refuses more long before they are of use.
        at_most=1024,
    )


@section
class AugmentConfig:
    """The two views of an image (paper, appendix A)."""

    operators: str | None = option(
        None,
        "Instead of the paper's crop,flip,color,blur: what is done to a view, "
        "in order, each with :probability if it has one. Of "
        f"{', '.join(operator_list.NAMES)}; or {operator_list.NOTHING}.",
        role=Role.OBJECTIVE,
        jobs=Job.WITH_COLORS,
    )
    second_operators: str | None = option(
        None,
        "As --operators, of an image's second view. Unset: the same.",
        role=Role.OBJECTIVE,
        jobs=Job.PRETRAIN,
    )
    min_crop_area: float = option(
        0.08,
        "Least share of the image that a crop covers.",
        role=Role.OBJECTIVE,
        jobs=Job.TRAINING | Job.TRANSFER_FINETUNE,
        above=0,
        at_most=1,
    )
    min_object_covered: float = option(
        0.0,
        "Least share of the image that the sampler must cover; the official "
        "code's 0.1 makes its least crop area 0.10.",
        role=Role.OBJECTIVE,
        jobs=Job.TRAINING | Job.TRANSFER_FINETUNE,
        official=0.1,
        at_least=0,
        at_most=1,
    )
    random_flip: bool = option(
        True,
        "Mirror a view left to right, with probability 1/2.",
        role=Role.OBJECTIVE,
        jobs=Job.TRAINING | Job.TRANSFER_FINETUNE,
    )
    color_jitter_strength: float = option(
        1.0,
        "Strength s of the colour distortion; 0 turns jitter and drop off.",
        role=Role.OBJECTIVE,
        jobs=Job.WITH_COLORS,
        at_least=0,
        at_most=1.25,
    )
    color_jitter_impl: str = option(
        "simclrv1",
        "Brightness: added (simclrv1) or multiplied (simclrv2).",
        role=Role.OBJECTIVE,
        jobs=Job.WITH_COLORS,
        official="simclrv2",
        choices=("simclrv1", "simclrv2"),
    )
    color_jitter_order: str = option(
        "random",
        "Order of brightness, contrast, saturation and hue.",
        role=Role.OBJECTIVE,
        jobs=Job.WITH_COLORS,
        choices=("random", "fixed"),
    )
    eval_crop: float = option(
        0.875,
        "Share of an image's shorter side that the central crop of evaluation "
        "keeps; at 32 px and below, all of it is kept.",
        role=Role.FEATURES | Role.EVALUATION,
        jobs=Job.TRAINING
        | Job.ON_SPLITS
        | Job.OF_A_SPLIT
        | Job.TRANSFER_FINETUNE,
        above=0,
        at_most=1,
    )
    antialias: bool = option(
        False,
        "Filter crops that are shrunk, as Pillow does. Off, as in the paper's "
        "code, most pixels of a crop that shrinks much are passed over.",
        role=Role.OBJECTIVE | Role.FEATURES,
        jobs=Job.EVERY,
    )
    reduced_decoding: bool = option(
        True,
        "Decode JPEGs at 1/2, 1/4 or 1/8 of their size where every crop keeps "
        "image_size pixels a side.",
        role=Role.OBJECTIVE | Role.FEATURES,
        jobs=Job.EVERY,
        official=False,
    )
    use_blur: bool = option(
        True,
        "Blur a view, with probability 1/2.",
        role=Role.OBJECTIVE,
        jobs=Job.WITH_COLORS,
    )
    blur_sigma_per: str = option(
        "image",
        "Whether the strength of blur is drawn for each image, or for each "
        "replica's batch.",
        role=Role.OBJECTIVE,
        jobs=Job.WITH_COLORS,
        official="batch",
        choices=("image", "batch"),
    )
    augment_on: str = option(
        "auto",
        "Where colour and blur run: the tf.data graph (host) or the training "
        "step (device), with equal results. auto: host on CPU, else device.",
        role=Role.MACHINE,
        jobs=Job.TRAINING | Job.TRANSFER_FINETUNE,
        choices=("auto", "host", "device"),
    )
