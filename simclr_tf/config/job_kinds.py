"""The kinds of jobs, by name: what an option's declaration refers to.

What each of them does and accepts is in `simclr_tf.jobs`.
"""

import enum


class Job(enum.Flag):
    """What a command asks for: --mode, with its --train_mode or --protocol."""

    PRETRAIN = enum.auto()
    FINETUNE = enum.auto()
    SUPERVISED = enum.auto()
    DISTILL = enum.auto()
    FOLLOW = enum.auto()
    PROBE = enum.auto()
    LOGISTIC = enum.auto()
    KNN = enum.auto()
    TRANSFER_LINEAR = enum.auto()
    TRANSFER_FINETUNE = enum.auto()
    KNOWLEDGE = enum.auto()
    OWN_HEAD = enum.auto()
    EMBED = enum.auto()
    PREFLIGHT = enum.auto()
    BENCHMARK_INPUT = enum.auto()
    STUDY = enum.auto()
    EXPORT = enum.auto()
    IMPORT = enum.auto()

    # Those that move weights of a run whose options they read themselves.
    TRAINING = PRETRAIN | FINETUNE | SUPERVISED | DISTILL | PROBE
    # Those of --mode=evaluate.
    EVALUATE = (
        PROBE
        | LOGISTIC
        | KNN
        | TRANSFER_LINEAR
        | TRANSFER_FINETUNE
        | KNOWLEDGE
        | OWN_HEAD
    )
    # Those that look at what an encoder makes of --train_split.
    OF_A_SPLIT = EMBED
    # Those that look at an encoder, which --checkpoint or --encoder names.
    ON_ENCODER = EVALUATE | OF_A_SPLIT
    # Those that are given a split to learn from, and one to be tested on.
    ON_SPLITS = LOGISTIC | KNN | KNOWLEDGE
    # Those that extract features, once, of whole splits.
    ON_FEATURES = LOGISTIC | KNN | TRANSFER_LINEAR | KNOWLEDGE | OF_A_SPLIT
    # Those whose views may be of other colours than the images.
    WITH_COLORS = PRETRAIN | SUPERVISED | DISTILL
    # Those that may use the labels of a part of their images only.
    ON_FEW_LABELS = FINETUNE | SUPERVISED | DISTILL | PROBE | LOGISTIC | KNN
    # Those that are nothing without weights.
    ON_WEIGHTS = ON_ENCODER | EXPORT | IMPORT
    # Those that take --checkpoint, whether they need it or not.
    ON_CHECKPOINT = PRETRAIN | FINETUNE | DISTILL | ON_WEIGHTS
    EVERY = TRAINING | ON_WEIGHTS | FOLLOW | PREFLIGHT | BENCHMARK_INPUT | STUDY

    @property
    def words(self) -> str:
        """The flags that ask for it, or for any of several."""
        groups = [
            _one_of("--train_mode=", TRAIN_MODES, self),
            _one_of("--mode=evaluate --protocol=", PROTOCOLS, self),
            _one_of("--mode=", MODES, self),
        ]
        return ", ".join(filter(None, groups))


TRAIN_MODES = {
    "pretrain": Job.PRETRAIN,
    "finetune": Job.FINETUNE,
    "supervised": Job.SUPERVISED,
    "distill": Job.DISTILL,
}
PROTOCOLS = {
    "probe": Job.PROBE,
    "logistic": Job.LOGISTIC,
    "knn": Job.KNN,
    "transfer_linear": Job.TRANSFER_LINEAR,
    "transfer_finetune": Job.TRANSFER_FINETUNE,
    "knowledge": Job.KNOWLEDGE,
    "own_head": Job.OWN_HEAD,
}
# None: --train_mode or --protocol says which.
MODES = {
    "train": None,
    "eval": Job.FOLLOW,
    "train_then_eval": None,
    "evaluate": None,
    "embed": Job.EMBED,
    "preflight": Job.PREFLIGHT,
    "benchmark_input": Job.BENCHMARK_INPUT,
    "study": Job.STUDY,
    "export": Job.EXPORT,
    "import": Job.IMPORT,
}


def _one_of(flag: str, names: dict[str, Job | None], jobs: Job) -> str:
    """ "--flag=a|b" of the names whose job is among `jobs`, or nothing."""
    found = [name for name, job in names.items() if job and job & jobs]
    return flag + "|".join(found) if found else ""


def job_of(*, mode: str, train_mode: str, protocol: str) -> Job:
    """Which job three options ask for."""
    if MODES[mode] is not None:
        return MODES[mode]
    if mode == "evaluate":
        return PROTOCOLS[protocol]
    return TRAIN_MODES[train_mode]


def takes(*, mode: str, train_mode: str, protocol: str) -> Job:
    """Whose options a command takes: its own, and of what it looks at.

    A preflight, a benchmark of the input and a follower are about a training
    run, whose options they take, too. A study hands on what its runs and their
    evaluations take.
    """
    job = job_of(mode=mode, train_mode=train_mode, protocol=protocol)
    if job in Job.PREFLIGHT | Job.BENCHMARK_INPUT | Job.FOLLOW:
        return job | TRAIN_MODES[train_mode]
    if job is Job.STUDY:
        return job | Job.TRAINING | Job.EVALUATE
    return job
