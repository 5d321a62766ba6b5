"""How an option of a run is declared, and checked when it is set.

An option says what it is (`Role`) and which jobs take it (`job_kinds.Job`).
Whatever depends on either is derived from the declaration, in `roles`.
"""

import dataclasses
import enum
import math
from typing import Any

from simclr_tf.config.job_kinds import Job
from simclr_tf.errors import UserError

_UNSET = object()


class Role(enum.Flag):
    """What an option is.

    Attributes:
        JOB: which job is done; says nothing of a run.
        ARCHITECTURE: of the encoder and its heads; a checkpoint decides it.
        FEATURES: changes what the encoder makes of an image of evaluation.
        DATASET: which data set, and how it is read. A checkpoint suggests it.
        DATA: which of its examples, in which order.
        SCHEDULE: how fast, how long, in which steps weights move.
        OBJECTIVE: what training makes small, and on which views.
        LOCATION: where something lies.
        MACHINE: on what, and how, the arithmetic runs.
        LOGGING: what is shown, kept and tolerated, and how often.
        EVALUATION: how weights are scored.
    """

    JOB = enum.auto()
    ARCHITECTURE = enum.auto()
    FEATURES = enum.auto()
    DATASET = enum.auto()
    DATA = enum.auto()
    SCHEDULE = enum.auto()
    OBJECTIVE = enum.auto()
    LOCATION = enum.auto()
    MACHINE = enum.auto()
    LOGGING = enum.auto()
    EVALUATION = enum.auto()


NO_ROLE = Role(0)
NO_JOB = Job(0)


def option(
    default: Any,
    help_text: str,
    *,
    role: Role,
    jobs: Job,
    official: Any = _UNSET,
    tolerated: Job = NO_JOB,
    choices: tuple | None = None,
    at_least: float | None = None,
    above: float | None = None,
    at_most: float | None = None,
    below: float | None = None,
) -> Any:
    """Declares one option of a section.

    Args:
        default: the paper's value, or ours where the paper has none.
        help_text: one sentence with the unit; also the flag's help.
        role: what it is; several roles are joined by `|`.
        jobs: which jobs take it.
        official: the official code's default, where it differs.
        tolerated: jobs that don't take it, to which official commands give
            it all the same: it is named there, not refused.
        choices: the values allowed.
        at_least, above, at_most, below: the range allowed.
    """
    return dataclasses.field(
        default=default,
        metadata={
            "help": help_text,
            "role": role,
            "jobs": jobs,
            "tolerated": tolerated,
            "official": default if official is _UNSET else official,
            "choices": choices,
            "at_least": at_least,
            "above": above,
            "at_most": at_most,
            "below": below,
        },
    )


def section(cls):
    """A frozen dataclass whose fields are checked against their options."""

    def check(self):
        for field in dataclasses.fields(self):
            check_value(field, getattr(self, field.name))

    cls.__post_init__ = check
    return dataclasses.dataclass(frozen=True)(cls)


def check_value(field: dataclasses.Field, value: Any) -> None:
    """Checks a value against an option's declaration.

    Raises:
        UserError: it is not allowed.
    """
    if value is None:
        return
    rule = field.metadata
    allowed = None
    if isinstance(value, float) and not math.isfinite(value):
        allowed = "a finite number"
    if rule["choices"] and value not in rule["choices"]:
        allowed = "one of " + ", ".join(map(str, rule["choices"]))
    if rule["at_least"] is not None and not value >= rule["at_least"]:
        allowed = f"at least {rule['at_least']}"
    if rule["above"] is not None and not value > rule["above"]:
        allowed = f"greater than {rule['above']}"
    if rule["at_most"] is not None and not value <= rule["at_most"]:
        allowed = f"at most {rule['at_most']}"
    if rule["below"] is not None and not value < rule["below"]:
        allowed = f"less than {rule['below']}"
    if rule["role"] & Role.LOCATION and value == "":
        allowed = "a path (is a variable of the shell unset?)"
    if allowed:
        raise UserError(
            f"--{field.name} must be {allowed}. Received: {value!r}."
        )
