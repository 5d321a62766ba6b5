"""How an option of a run is declared, and checked when it is set.

An option says what it is (`Role`) and which jobs take it (`job_kinds.Job`).
Whatever depends on either is derived from the declaration, in `roles`.
"""

import dataclasses
import enum
import math
import numbers
import types
import typing
import unicodedata
from typing import Any

from simclr_tf.config.job_kinds import Job
from simclr_tf.errors import UserError

_UNSET = object()

# Where an option says no other: counts go through int32 on their way into
# TensorFlow.
MOST = 2**31 - 1
# Beyond, no file system takes a name, and no reader a message.
_MOST_LETTERS = 4096
_NO_TEXT = ("Cc", "Cs", "Zl", "Zp")
_WORDS = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text",
    tuple: "whole numbers",
}


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
        HEAD: of the projection head, which pretraining may make anew.
        LABEL_TABLE: where the table of labels of a folder is, and its columns.
        SEED: a draw among others like it, which an average is taken over.
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
    SEED = enum.auto()
    HEAD = enum.auto()
    LABEL_TABLE = enum.auto()


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
    empty_is_unset: bool = False,
    switch: bool = False,
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
        at_least, above, at_most, below: the range allowed; of a list, of each
            of its numbers. Whole numbers are never above 2**31 - 1, where
            at_most says no other.
        empty_is_unset: whether "" means that nothing was said. Of others, it
            is refused: it comes from a variable of the shell that is unset.
        switch: of choices with "true" and "false" among them: whether it may
            be typed as `--name` and `--noname`, and set to True and False.
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
            "empty_is_unset": empty_is_unset,
            "switch": switch,
        },
    )


def section(cls):
    """A frozen dataclass whose fields are checked against their options."""

    def check(self):
        for field in dataclasses.fields(self):
            check_value(field, getattr(self, field.name))

    cls.__post_init__ = check
    return dataclasses.dataclass(frozen=True)(cls)


def value_type(field: dataclasses.Field) -> type:
    """str, int, float, bool or tuple: the type of the field but for None."""
    kind = field.type
    if isinstance(kind, types.UnionType):
        (kind,) = (k for k in typing.get_args(kind) if k is not types.NoneType)
    return typing.get_origin(kind) or kind


def check_value(field: dataclasses.Field, value: Any) -> None:
    """Checks a value against an option's declaration.

    Raises:
        UserError: it is not allowed.
    """
    if value is None and field.type != value_type(field):
        return
    kind, rule = value_type(field), field.metadata
    allowed = _of_another_type(value, kind)
    if allowed is None and rule["choices"] and value not in rule["choices"]:
        allowed = "one of " + ", ".join(map(str, rule["choices"]))
    if allowed is None and kind is str:
        allowed = _bad_text(value, rule)
    if allowed is None and kind in (int, float, tuple):
        each = value if kind is tuple else (value,)
        found = (_out_of_range(number, rule) for number in each)
        allowed = next(filter(None, found), None)
    if allowed:
        raise UserError(
            f"--{field.name} must be {allowed}. Received: {_shortened(value)}."
        )


def _of_another_type(value: Any, kind: type) -> str | None:
    """What it should be; None where it is. Saved files hold anything."""
    if kind is tuple:
        fits = isinstance(value, tuple) and all(map(_is_whole, value))
    elif kind is int:
        fits = _is_whole(value)
    elif kind is float:
        fits = isinstance(value, numbers.Real) and not isinstance(value, bool)
    else:
        fits = isinstance(value, kind)
    return None if fits else _WORDS[kind]


def _is_whole(value: Any) -> bool:
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def _out_of_range(value: float, rule) -> str | None:
    """What a number should be; None where it is."""
    if isinstance(value, float) and not math.isfinite(value):
        return "a finite number"
    if rule["at_least"] is not None and not value >= rule["at_least"]:
        return f"at least {rule['at_least']}"
    if rule["above"] is not None and not value > rule["above"]:
        return f"greater than {rule['above']}"
    at_most = rule["at_most"]
    if at_most is None and isinstance(value, numbers.Integral):
        at_most = MOST
    if at_most is not None and not value <= at_most:
        return f"at most {at_most}"
    if rule["below"] is not None and not value < rule["below"]:
        return f"less than {rule['below']}"
    return None


def _bad_text(value: str, rule) -> str | None:
    """What a text should be; None where it is."""
    if not value and not rule["empty_is_unset"]:
        place = "a path" if rule["role"] & Role.LOCATION else "a name"
        return f"{place} (is a variable of the shell unset?)"
    if len(value) > _MOST_LETTERS:
        return f"at most {_MOST_LETTERS} letters"
    # Control characters, halves of characters (bytes that are not UTF-8),
    # separators of lines and paragraphs.
    if any(unicodedata.category(c) in _NO_TEXT for c in value):
        return "text in UTF-8 without control characters"
    return None


def _shortened(value: Any) -> str:
    text = ascii(value) if isinstance(value, str) else repr(value)
    if isinstance(value, tuple):  # as it is typed
        text = ",".join(map(repr, value))
    return text if len(text) <= 80 else f"{text[:77]}..."
