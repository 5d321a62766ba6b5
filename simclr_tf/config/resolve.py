"""From what a user sets to a whole configuration, and back from a saved one.

A value given wins over what a checkpoint says, that over the data set's recipe,
and that over the default.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

from simclr_tf.config import Config, options, recipes, sections
from simclr_tf.errors import UserError


@dataclasses.dataclass(frozen=True)
class Resolved:
    """A configuration, and where each of its values came from.

    Attributes:
        config: the configuration.
        origins: option name -> "flag", "checkpoint", "recipe <name>", "default"
            (the paper's), "official", or "protocol", which decides it.
    """

    config: Config
    origins: Mapping[str, str]

    def table(self) -> str:
        """Every option with its value and origin, one line each."""
        values = _flat(self.config)
        lines = ["Configuration (value, where it came from):"]
        for section in sections():
            names = [n for n, (s, _) in options().items() if s == section]
            lines += [f"  {section}"]
            lines += [
                f"    {name:<30}{_show(values[name]):<24}{self.origins[name]}"
                for name in names
            ]
        return "\n".join(lines)

    def departures(self) -> list[str]:
        """Defaults in use in which the paper and the official code differ."""
        values = _flat(self.config)
        return [
            f"--{name}={_show(values[name])} "
            f"(official: {_show(field.metadata['official'])})"
            for name, (_, field) in options().items()
            if self.origins[name] == "default"
            and not field.metadata["may_change"]
            and name != "dataset"
            and field.metadata["official"] != values[name]
        ]


def resolve(
    given: Mapping[str, Any],
    *,
    defaults: str = "paper",
    inherited: Mapping[str, Any] | None = None,
) -> Resolved:
    """Fills in what was not given.

    A value given wins over a checkpoint's, which wins over the data set's
    recipe, which wins over the paper's default. `defaults="official"` takes
    the official code's values and no recipe.

    Args:
        given: option name -> value, for those that the user set.
        defaults: "paper" or "official".
        inherited: what the checkpoint that is built upon decides.

    Raises:
        UserError: an unknown option, or a value out of its range.
    """
    known, inherited = options(), inherited or {}
    unknown = sorted(set(given) - set(known))
    if unknown:
        raise UserError(f"Unknown options: {', '.join(unknown)}.")
    values, origins = {}, {}
    for name, (_, field) in known.items():
        official = defaults == "official"
        values[name] = field.metadata["official"] if official else field.default
        origins[name] = "official" if official else "default"
    if defaults == "paper":
        dataset = {"dataset": values["dataset"], **inherited, **given}[
            "dataset"
        ]
        recipe_name, recipe = recipes.recipe_for(dataset, given)
        for name, value in recipe.items():
            values[name], origins[name] = value, f"recipe {recipe_name}"
    if "train_epochs" in given and "train_steps" not in given:
        # A recipe's length gives way to the user's, in either unit.
        values["train_steps"], origins["train_steps"] = 0, "flag train_epochs"
    for name, value in inherited.items():
        values[name], origins[name] = value, "checkpoint"
    for name, value in given.items():
        values[name], origins[name] = value, "flag"
    if given.get("mode") == "evaluate" and given.get("protocol") == "probe":
        values["train_mode"], origins["train_mode"] = "finetune", "protocol"
    return Resolved(_build(values), origins)


def from_dict(saved: Mapping[str, Mapping[str, Any]]) -> Config:
    """The inverse of `Config.to_dict`."""
    values = {k: v for section in saved.values() for k, v in section.items()}
    return _build(values)


def overlay(config: Config, given: Mapping[str, Any]) -> Config:
    """`config` with the values of `given`, checked anew."""
    return _build({**_flat(config), **given})


def fixed(config: Config) -> dict[str, Any]:
    """The options that say what a run computes, not where or how."""
    values = _flat(config)
    return {
        name: values[name]
        for name, (_, field) in options().items()
        if not field.metadata["may_change"]
    }


def fixed_differences(old: Config, new: Config) -> list[str]:
    """Options that a resumed run may not change, and changes all the same.

    Returns:
        One "--name is A, was B" each.
    """
    old_values, new_values = _flat(old), _flat(new)
    return [
        f"--{name}={_show(new_values[name])}, was {_show(old_values[name])}"
        for name, (_, field) in options().items()
        if not field.metadata["may_change"]
        and old_values[name] != new_values[name]
    ]


def _flat(config: Config) -> dict[str, Any]:
    return {
        name: getattr(getattr(config, section), name)
        for name, (section, _) in options().items()
    }


def _build(values: Mapping[str, Any]) -> Config:
    built = {}
    for name, section in sections().items():
        fields = {f.name for f in dataclasses.fields(section)}
        mine = {k: v for k, v in values.items() if k in fields}
        built[name] = section(
            **{
                k: tuple(v) if isinstance(v, list) else v
                for k, v in mine.items()
            }
        )
    return Config(**built)


def _show(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, tuple):
        return ",".join(map(str, value)) or "-"
    return str(value)
