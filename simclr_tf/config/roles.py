"""What follows from an option's role and jobs, each in one place.

                         decided by
may change on resume     `is_fixed`
a checkpoint decides     ARCHITECTURE
a checkpoint suggests    DATASET, and what is FEATURES of a run
stays with its pictures  LABEL_TABLE
a cache of features      FEATURES
a record's name          `of_record`
a follower inherits      all but MACHINE
an old result holds      EVALUATION and FEATURES, but for MACHINE
an average is over       SEED
an export says           `of_export`
"""

import dataclasses
import os
from collections.abc import Collection, Mapping
from typing import Any

from simclr_tf.config import job_kinds
from simclr_tf.config.job_kinds import Job
from simclr_tf.config.option import NO_ROLE, Role
from simclr_tf.config.sections import Config, options
from simclr_tf.errors import UserError

# What a run computes: a resumed run may not change it.
_FIXED = Role.ARCHITECTURE | Role.DATA | Role.SCHEDULE | Role.OBJECTIVE
# What a record says of itself by other means: hashes of weights and data.
_SAID_BY_HASHES = Role.LOCATION | Role.MACHINE | Role.LOGGING | Role.JOB
# What an export says nothing of.
_AT_HOME = Role.LOCATION | Role.MACHINE | Role.LOGGING | Role.JOB


def flat(config: Config) -> dict[str, Any]:
    """Option name -> value."""
    return {
        name: getattr(getattr(config, section), name)
        for name, (section, _) in options().items()
    }


def role_of(name: str) -> Role:
    """The role that an option is declared with."""
    return options()[name][1].metadata["role"]


def is_fixed(name: str) -> bool:
    """Whether a run can only be resumed with the same value."""
    return bool(role_of(name) & _FIXED)


def names_of(role: Role, *, but: Role = NO_ROLE) -> list[str]:
    """Options of any of these roles, and of none of the others."""
    return [
        name
        for name in options()
        if role_of(name) & role and not role_of(name) & but
    ]


def values_of(
    config: Config, role: Role, *, but: Role = NO_ROLE
) -> dict[str, Any]:
    """`names_of`, with their values."""
    values = flat(config)
    return {name: values[name] for name in names_of(role, but=but)}


def fixed(config: Config) -> dict[str, Any]:
    """The options that say what a run computes, not where or how."""
    return {n: v for n, v in flat(config).items() if is_fixed(n)}


def fixed_differences(old: Config, new: Config) -> list[str]:
    """Options that a resumed run may not change, and changes all the same.

    Returns:
        One "--name=B, was A" each.
    """
    before, after = fixed(old), fixed(new)
    return [
        f"--{name}={show(after[name])}, was {show(before[name])}"
        for name in before
        if not _same(name, before[name], after[name])
    ]


def decided_by_checkpoint() -> list[str]:
    """What a checkpoint decides of every model that is built upon it."""
    return names_of(Role.ARCHITECTURE)


def suggested_by_checkpoint(
    given: Mapping[str, Any], theirs: Mapping[str, Any]
) -> list[str]:
    """What a checkpoint suggests: a value given wins.

    Args:
        given: options that the user set. Another data set is read by its own
            keys, from its own place.
        theirs: the checkpoint's. Its file of labels is of its own place.
    """
    names = [n for n in names_of(Role.FEATURES) if is_fixed(n)]
    if "dataset" not in given:
        names += names_of(Role.DATASET)
    there = theirs.get("data_dir")
    moved = not _same("data_dir", there, given.get("data_dir", there))
    gone = []
    if moved and theirs.get("labels") and "labels" not in given:
        gone = names_of(Role.LABEL_TABLE)
    return [name for name in names if name not in {*given, *gone}]


def inherited_by_follower(config: Config) -> dict[str, Any]:
    """What whoever looks at a run elsewhere takes from its configuration."""
    return values_of(config, ~Role.MACHINE, but=Role.MACHINE)


def of_features(config: Config) -> dict[str, Any]:
    """The options that change the features of an image."""
    return values_of(config, Role.FEATURES)


def of_result(config: Config) -> dict[str, Any]:
    """The options that change how weights score: an old result holds for
    the same values."""
    return values_of(config, Role.EVALUATION | Role.FEATURES, but=Role.MACHINE)


def of_record(config: Config) -> dict[str, Any]:
    """The options that tell a job's record from others, weights and data
    apart: all that the job takes and that say what was done. What changes
    features does, also where it is the machine's (--mixed_precision)."""
    taken = takes(config)
    return {
        name: value
        for name, value in flat(config).items()
        if options()[name][1].metadata["jobs"] & taken
        and (
            role_of(name) & Role.FEATURES or not role_of(name) & _SAID_BY_HASHES
        )
    }


def of_export(config: Config) -> dict[str, dict[str, Any]]:
    """What a user of the weights needs to know of their run: section ->
    option -> value. Where it lay, on what machine it ran and who paid stay
    at home."""
    kept = set(names_of(~_AT_HOME, but=_AT_HOME))
    return {
        section: {n: v for n, v in values.items() if n in kept}
        for section, values in config.to_dict().items()
        if kept & values.keys()
    }


def of_average() -> frozenset[str]:
    """Options in which the records of an average may differ."""
    silent = Role.SEED | Role.LOCATION | Role.MACHINE | Role.LOGGING
    return frozenset(names_of(silent, but=Role.FEATURES))


def takes(config: Config) -> Job:
    """Whose options the job of a configuration takes."""
    return job_kinds.takes(**_names_a_job(config))


def _names_a_job(config: Config) -> dict[str, str]:
    asked = {name: getattr(config.job, name) for name in ("mode", "train_mode")}
    return {**asked, "protocol": config.eval.protocol}


def is_taken(name: str, config: Config) -> bool:
    """Whether the job of a configuration takes the option."""
    return bool(options()[name][1].metadata["jobs"] & takes(config))


def job(config: Config) -> Job:
    """The job of a configuration."""
    return job_kinds.job_of(**_names_a_job(config))


def names_for(given: Mapping[str, Any]) -> frozenset[str]:
    """Options that a command takes, and those of `given` that name its job;
    all, where none of --mode, --train_mode and --protocol is given."""
    asked = _asked(given)
    if asked is None or not asked.keys() & given.keys():
        return frozenset(options())
    taken = job_kinds.takes(**asked)
    return frozenset(
        name
        for name, (_, field) in options().items()
        if field.metadata["jobs"] & taken or name in asked.keys() & given.keys()
    )


def asks_for(given: Mapping[str, Any], jobs: Job) -> bool:
    """Whether options that were given ask for one of these jobs, or look at
    one; values that no declaration allows ask for nothing."""
    asked = _asked(given)
    return asked is not None and bool(job_kinds.takes(**asked) & jobs)


def _asked(given: Mapping[str, Any]) -> dict[str, str] | None:
    """The options that name a job; None where one is out of its range."""
    known = options()
    asked = {
        name: given.get(name, known[name][1].default)
        for name in ("mode", "train_mode", "protocol")
    }
    if any(v not in known[n][1].metadata["choices"] for n, v in asked.items()):
        return None
    return asked


@dataclasses.dataclass(frozen=True)
class Taken:
    """What of the options given concerns a job.

    Attributes:
        given: option name -> value.
        jobs: whose options are taken.
        passed_over: of a flagfile, what is for other jobs.
        tolerated: what the official commands give without effect.
    """

    given: Mapping[str, Any]
    jobs: Job
    passed_over: tuple[str, ...]
    tolerated: tuple[str, ...]


def take(given: Mapping[str, Any], *, from_files: Collection[str]) -> Taken:
    """Sorts what was given by whether the job takes it.

    A flagfile describes an experiment, of which a job takes its part; what is
    typed is meant.

    Args:
        given: option name -> value.
        from_files: names of `given` that stand in flagfiles only.

    Raises:
        UserError: an option that was typed is for other jobs.
    """
    known = options()
    asked = _asked(given)
    if asked is None:
        return Taken(given, Job.EVERY, (), ())  # their declarations refuse it
    taken = job_kinds.takes(**asked)
    job = job_kinds.job_of(**asked)
    sorted_out = {"passed_over": [], "tolerated": []}
    for name in given:
        rule = known[name][1].metadata
        if rule["jobs"] & taken:
            continue
        if rule["tolerated"] & taken:
            sorted_out["tolerated"].append(name)
        elif name in from_files:
            sorted_out["passed_over"].append(name)
        else:
            raise UserError(
                f"--{name}={show(given[name])} is not for {job.words}, but for "
                f"{rule['jobs'].words}. Leave it out."
            )
    left = {n for names in sorted_out.values() for n in names}
    return Taken(
        {n: v for n, v in given.items() if n not in left},
        taken,
        **{key: tuple(names) for key, names in sorted_out.items()},
    )


def show(value: Any) -> str:
    """A value as a reader would write it."""
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, tuple):
        return ",".join(map(str, value)) or "-"
    return str(value)


def _same(name: str, old: Any, new: Any) -> bool:
    if role_of(name) & Role.LOCATION and old and new:
        return _location(old) == _location(new)
    return old == new


def _location(path: str) -> str:
    """One spelling of a path: RUN, RUN/ and ./RUN are one folder."""
    if "," in path:
        return ",".join(map(_location, path.split(",")))
    if "://" in path:
        return path.rstrip("/")
    return os.path.realpath(os.path.expanduser(path))
