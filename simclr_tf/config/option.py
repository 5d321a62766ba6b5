"""How an option of a run is declared, and checked when it is set."""

import dataclasses
import math
from typing import Any

from simclr_tf.errors import UserError

_UNSET = object()


def option(
    default: Any,
    help_text: str,
    *,
    official: Any = _UNSET,
    choices: tuple | None = None,
    at_least: float | None = None,
    above: float | None = None,
    at_most: float | None = None,
    below: float | None = None,
    may_change: bool = False,
) -> Any:
    """Declares one option of a section.

    Args:
        default: the paper's value, or ours where the paper has none.
        help_text: one sentence with the unit; also the flag's help.
        official: the official code's default, where it differs.
        choices: the values allowed.
        at_least, above, at_most, below: the range allowed.
        may_change: whether a run may be resumed with another value. True for
            where and how a run happens, False for what it computes.
    """
    return dataclasses.field(
        default=default,
        metadata={
            "help": help_text,
            "official": default if official is _UNSET else official,
            "choices": choices,
            "at_least": at_least,
            "above": above,
            "at_most": at_most,
            "below": below,
            "may_change": may_change,
        },
    )


def section(cls):
    """A frozen dataclass whose fields are checked against their options."""

    def check(self):
        for field in dataclasses.fields(self):
            _check_option(field, getattr(self, field.name))

    cls.__post_init__ = check
    return dataclasses.dataclass(frozen=True)(cls)


def _check_option(field: dataclasses.Field, value: Any) -> None:
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
    if allowed:
        raise UserError(
            f"--{field.name} must be {allowed}. Received: {value!r}."
        )
