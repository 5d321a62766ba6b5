"""Command lines drawn from the declarations of the options.

Each is an official or ordinary command of some job with one to four of its
flags exchanged for what a slip, a script or a stranger might give: values at
a bound and on either side of it, of another type, huge, negative, NaN, empty,
in other alphabets; options of other jobs; words that are no flags.
"""

import math
import random

from simclr_tf.config import job_kinds, options
from simclr_tf.config.option import Role, value_type

# What a command needs to be small, whatever else it says.
SMALL = {
    "resnet_depth": "10",
    "width_multiplier": "0.1",
    "image_size": "8",
    "proj_out_dim": "5",
}
_TEXTS = (
    *("", " ", "x", "-", "NONE", "ü/ñ", "数字", "a b", ".", "/"),
    *("x" * 300, "x" * 5000, "../x", "a/../b", "~", "$HOME", "{}", "%s"),
)
_UNPRINTABLE = ("a\nb", "\x1b[2J", "\u2028", "\udcff")
_NUMBERS = (
    *("0", "-1", "1", "2", "3", "1000000", str(10**20), str(-(10**20))),
    *("1e3", "1.5", "nan", "inf", "-inf", "1e300", "1e-300", "-0.0", "9" * 400),
    *("abc", "", " ", "0x10", "1_000", "٣", "1,5", "true", "None"),
)
_LISTS = ("", "1", "0", "-1", "1,2", "2,1", "5,5", "a", "1,,2", "1.5", ",")
_BOOLS = ("true", "false", "maybe", "", "1", "2", "TRUE")
_PLACES = (
    *(
        "/proc/nowhere/at/all",
        "/dev/null",
        "/proc/version",
        "/proc/x",
        "~nobody/x",
    ),
    *("/dev/null/x", "/" + "x" * 300, "ram://x", "run.py", "://", "/dev/full"),
    *("foo://x", "http://a.b/c", "gs://", "file://", "."),
)
_OF_NAMES = {
    "dataset": (
        *("folder", "cifar10", "nope", "digits", "digits:9.9.9", "/etc"),
        *("digits/none", "../x", "kaggle:x", "a:b:c", "digits:", "[", "%s"),
    ),
    "topology": (
        *("v5e:4x4", "v4:2x2x4", "v5e:0x1", "v9:1x1", "v5e:100000x100000"),
        *("v5e", "v5e:4", "v5e:4x", "v5e:-1x4", "v5e:9999x9999"),
    ),
}
_SPLITS = (
    *("train", "test", "nope", "train[:1]", "train[:10%]+test", "test[-5:]"),
    *("train[50%:10%]", "train+train", "train[", "all", "train[0:0]", "[]"),
    *("+", "train[:200%]", "train[::2]", "train[1e3:]", f"train[:{10**30}]"),
    *("train[9:1]", "train[:-1%]", "train train", "train[:٣]", "train,test"),
)
_TYPOS = (
    *("train", "--", "-", "--nonsense=1", "--seed", "--flagfile", "--=1"),
    *("--flagfile=", "--flagfile=/nowhere", "--flagfile=/", "-x", "---seed=1"),
    *("--noseed", "--nouse_blur=1", "--help=maybe", "--defaults=mine"),
)


def values(name: str) -> list[str]:
    """What is tried for an option."""
    _, field = options()[name]
    kind, rule = value_type(field), field.metadata
    if rule["choices"]:
        choices = [str(choice) for choice in rule["choices"]]
        return [*choices, choices[0].upper(), *_TEXTS, "7"]
    if kind is bool:
        return list(_BOOLS)
    if kind is tuple:
        return [*_LISTS, *_bounds(rule, int), str(10**20)]
    if kind in (int, float):
        return [*_NUMBERS, *_bounds(rule, kind)]
    if rule["role"] & Role.LOCATION:
        return [*_PLACES, *_TEXTS, *_UNPRINTABLE]
    if name.endswith("_split"):
        return [*_SPLITS, *_TEXTS, *_UNPRINTABLE]
    return [*_OF_NAMES.get(name, ()), *_TEXTS, *_UNPRINTABLE]


def _bounds(rule, kind) -> list[str]:
    """Every bound, and what is next to it."""
    names = ("at_least", "above", "at_most", "below")
    bounds = [rule[n] for n in names if rule[n] is not None]
    if kind is int:
        return [
            str(int(b) + d) for b in [*bounds, 2**31 - 1] for d in (-1, 0, 1)
        ]
    return [
        repr(number)
        for b in map(float, bounds)
        for number in (
            math.nextafter(b, -math.inf),
            b,
            math.nextafter(b, math.inf),
        )
    ]


def commands() -> list[dict[str, str]]:
    """The flags that ask for each job."""
    return [
        *({"mode": "train", "train_mode": t} for t in job_kinds.TRAIN_MODES),
        *({"mode": "train_then_eval", "train_mode": t} for t in ("pretrain",)),
        *({"mode": "evaluate", "protocol": p} for p in job_kinds.PROTOCOLS),
        *({"mode": m} for m, job in job_kinds.MODES.items() if job),
    ]


def draw(
    seed: int, *, places: dict[str, str], checkpoint: str
) -> tuple[list[str], dict[str, str]]:
    """A command line, and the flags that were exchanged in it.

    Args:
        seed: it is a function of.
        places: --data_dir and --model_dir.
        checkpoint: of a run of SMALL's encoder.
    """
    rng = random.Random(seed)
    command = dict(rng.choice(commands()))
    job = job_kinds.job_of(
        mode=command["mode"],
        train_mode=command.get("train_mode", "pretrain"),
        protocol=command.get("protocol", "logistic"),
    )
    taken = job_kinds.takes(
        mode=command["mode"],
        train_mode=command.get("train_mode", "pretrain"),
        protocol=command.get("protocol", "logistic"),
    )
    flags = {**command, **places}
    builds_upon = job in job_kinds.Job.ON_WEIGHTS
    if builds_upon or command.get("train_mode") in (
        "finetune",
        "distill",
    ):
        flags["checkpoint"] = checkpoint
    else:
        flags |= SMALL
    if job is job_kinds.Job.FOLLOW:
        # Another run's folder is waited for.
        flags = {
            **command,
            "model_dir": checkpoint,
            "eval_timeout_seconds": "0.1",
        }
    mine = [n for n, (_, f) in options().items() if f.metadata["jobs"] & taken]
    if job is job_kinds.Job.FOLLOW:
        mine.remove("eval_timeout_seconds")
    known = mine if rng.random() < 0.8 else list(options())
    exchanged = {
        name: rng.choice(values(name))
        for name in rng.sample(known, rng.randint(1, 4))
        if not (job is job_kinds.Job.FOLLOW and name == "eval_timeout_seconds")
    }
    flags |= exchanged
    if flags["mode"] == "eval":  # by an exchange, too: it waits for a run
        flags["eval_timeout_seconds"] = "0.1"
    words = [f"--{n}={v}" for n, v in flags.items()]
    if rng.random() < 0.05:
        words.insert(rng.randint(0, len(words)), rng.choice(_TYPOS))
    return words, exchanged


def is_small(values_by_name: dict) -> bool:
    """Whether a job of these values is made within a second: what lies within
    the bounds may still take minutes and gigabytes, as asked."""
    limits = {
        "image_size": 64,
        "width_multiplier": 0.5,
        "proj_out_dim": 4096,
        "num_proj_layers": 4,
        "resnet_depth": 18,
        "virtual_devices": 4,
        "train_batch_size": 2**12,
        "eval_batch_size": 2**12,
        "num_classes": 2000,
        "input_threads": 16,
    }
    return all(values_by_name[name] <= most for name, most in limits.items())
