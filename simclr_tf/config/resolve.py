"""From what a user sets to a whole configuration, and back from a saved one.

A value given wins over what a checkpoint says, that over the data set's recipe,
and that over the default.
"""

import dataclasses
from collections.abc import Collection, Mapping
from typing import Any

from simclr_tf.config import checks, recipes, roles
from simclr_tf.config.roles import flat, show
from simclr_tf.config.sections import Config, options, sections
from simclr_tf.errors import UserError

_NAME_WIDTH, _VALUE_WIDTH = 30, 23


@dataclasses.dataclass(frozen=True)
class Resolved:
    """A configuration, and where each of its values came from.

    Attributes:
        config: the configuration.
        origins: option name -> "flag", "checkpoint", "recipe <name>", "default"
            (the paper's), "official", or "protocol", which decides it.
        passed_over: options of a flagfile that are for other jobs.
        tolerated: options that official commands give the job without effect.
    """

    config: Config
    origins: Mapping[str, str]
    passed_over: tuple[str, ...] = ()
    tolerated: tuple[str, ...] = ()

    @property
    def given(self) -> dict[str, Any]:
        """What the user set, by name."""
        values = flat(self.config)
        return {n: values[n] for n, o in self.origins.items() if o == "flag"}

    def table(self) -> str:
        """Every option with its value and origin, one line each."""
        lines = ["Configuration (value, where it came from):"]
        for section in sections():
            names = [n for n, (s, _) in options().items() if s == section]
            lines += [f"  {section}", *map(self._line, names)]
        return "\n".join(lines)

    def summary(self) -> str:
        """What differs from the defaults, and what was left aside."""
        defaults = {n: f.default for n, (_, f) in options().items()}
        values = flat(self.config)
        changed = [
            name
            for name in options()
            if self.origins[name] == "flag"
            or (
                values[name] != defaults[name]
                and roles.is_taken(name, self.config)
            )
        ]
        over = self._overridden()
        changed = [n for n in changed if n not in over or n in self.given]
        changed.sort(key=lambda name: self.origins[name] != "flag")
        lines = [
            "Options that differ from the defaults (value, where it came from; "
            "--verbose shows all):",
            *map(self._line, changed),
        ]
        if not changed:
            lines = ["Every option has its default (--verbose shows all)."]
        if self.passed_over:
            lines.append(
                "Of the flagfile, for other jobs and passed over: "
                + ", ".join(f"--{name}" for name in self.passed_over)
            )
        for name in self.tolerated:
            lines.append(f"--{name} is known, and without effect in this job.")
        return "\n".join(lines)

    def departures(self) -> list[str]:
        """Defaults in use in which the paper and the official code differ."""
        values = flat(self.config)
        return [
            f"--{name}={show(values[name])} "
            f"(official: {show(field.metadata['official'])})"
            for name, (_, field) in options().items()
            if self.origins[name] == "default"
            and roles.is_fixed(name)
            and roles.is_taken(name, self.config)
            and name != "dataset"
            and field.metadata["official"] != values[name]
        ]

    def _line(self, name: str) -> str:
        value = show(flat(self.config)[name])
        origin = self.origins[name]
        if by := self._overridden().get(name):
            origin += f", but --{by} decides"
        return f"    {name:<{_NAME_WIDTH}}{value:<{_VALUE_WIDTH}} {origin}"

    def _overridden(self) -> dict[str, str]:
        """Options in epochs without effect -> the option in steps that has."""
        values = flat(self.config)
        return {
            f"{what}_epochs": f"{what}_steps"
            for what in ("train", "checkpoint")
            if values[f"{what}_steps"]
        }


def resolve(
    given: Mapping[str, Any],
    *,
    defaults: str = "paper",
    inherited: Mapping[str, Any] | None = None,
    from_files: Collection[str] = (),
    measured: Mapping[str, Any] | None = None,
) -> Resolved:
    """Fills in what was not given.

    A value given wins over a checkpoint's, which wins over the data set's
    recipe, which wins over the paper's default. `defaults="official"` takes
    the official code's values and no recipe.

    Args:
        given: option name -> value, for those that the user set.
        defaults: "paper" or "official".
        inherited: what the checkpoint that is built upon decides.
        from_files: those of `given` that stand in flagfiles only, of which
            a job takes its part.
        measured: of the recipe, what depends on the data and the machine.

    Raises:
        UserError: an unknown option, one for another job, or a value out of
            its range.
    """
    known, inherited = options(), inherited or {}
    unknown = sorted(set(given) - set(known))
    if unknown:
        raise UserError(f"Unknown options: {', '.join(unknown)}.")
    taken = roles.take(given, from_files=from_files)
    given = taken.given
    values, origins = {}, {}
    for name, (_, field) in known.items():
        official = defaults == "official"
        values[name] = field.metadata["official"] if official else field.default
        origins[name] = "official" if official else "default"
    if defaults == "official":
        values |= recipes.OFFICIAL_TASKS.get(recipes.task_of(given), {})
    if defaults == "paper":
        asked = {"dataset": values["dataset"], **inherited, **given}
        recipe_name, recipe = recipes.recipe_for(asked["dataset"], given)
        for name, value in {**recipe, **(measured or {})}.items():
            if known[name][1].metadata["jobs"] & taken.jobs:
                values[name], origins[name] = value, f"recipe {recipe_name}"
    for name, value in inherited.items():
        values[name], origins[name] = value, "checkpoint"
    for name, value in given.items():
        values[name], origins[name] = value, "flag"
    typed = given.keys() - set(from_files)
    if "train_epochs" in given and (
        "train_steps" not in given
        or ("train_epochs" in typed and "train_steps" not in typed)
    ):
        # A recipe's length gives way to the user's, and a file's to what is
        # typed, in either unit.
        values["train_steps"], origins["train_steps"] = 0, "flag train_epochs"
    for name, value in _of_protocol(given).items():
        values[name], origins[name] = value, "protocol"
    config = _build(values)
    checks.require_used(config, set(given) - set(from_files))
    return Resolved(config, origins, taken.passed_over, taken.tolerated)


def _of_protocol(given: Mapping[str, Any]) -> dict[str, Any]:
    """What a protocol is, whatever else is said."""
    if given.get("mode") == "evaluate" and given.get("protocol") == "probe":
        return {"train_mode": "finetune", "fine_tune_after_block": 4}
    return {}


def from_dict(saved: Mapping[str, Mapping[str, Any]]) -> Config:
    """The inverse of `Config.to_dict`.

    Options that are younger than what was saved take their defaults.

    Raises:
        UserError: it is none, or holds a value that is not allowed.
    """
    if not isinstance(saved, Mapping) or not all(
        isinstance(section, Mapping) for section in saved.values()
    ):
        raise UserError("The configuration is damaged: it has no sections.")
    values = {k: v for section in saved.values() for k, v in section.items()}
    return _build(values)


def overlay(config: Config, changes: Mapping[str, Any]) -> Config:
    """`config` with the values of `changes`, checked anew."""
    return _build({**flat(config), **changes})


def _build(values: Mapping[str, Any]) -> Config:
    built = {}
    for name, section in sections().items():
        fields = {f.name: f for f in dataclasses.fields(section)}
        built[name] = section(
            **{
                k: _as_declared(fields[k], v)
                for k, v in values.items()
                if k in fields
            }
        )
    return Config(**built)


def _as_declared(field: dataclasses.Field, value: Any) -> Any:
    """JSON knows no tuples; and what is a switch, was a boolean once."""
    if field.metadata["switch"] and isinstance(value, bool):
        return str(value).lower()
    return tuple(value) if isinstance(value, list) else value
