"""Command-line flags: one for every option of `simclr_tf.config`.

With run.py, the only place that knows absl.flags. Flags are unset by default,
so that `resolve.resolve` can tell what the user said from what a recipe or the
paper would choose.
"""

import dataclasses
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from absl import flags as absl_flags

from flags import flagfiles
from simclr_tf import config
from simclr_tf.config import option, roles
from simclr_tf.errors import UserError

# Flags of the TF1 code that its README still passes to tf2/run.py.
_TF1_ONLY = {
    "variable_schema": "TF1 filter of restored variables",
    "train_summary_steps": "TF1 interval of summaries",
}

# Of a message of absl's, which repeats what it received.
_MOST_LETTERS = 500

_NAMING_JOBS = ("mode", "train_mode", "protocol")

# absl's programs know all three.
_HELP = {"help": "h", "helpfull": None, "helpshort": None}

_USAGE = """\
SimCLR in TensorFlow: pretrain an image encoder without labels, and use it.

  python run.py --mode=train_then_eval
      the embedded digits, a few minutes on a CPU
  python run.py --mode=train_then_eval --dataset=folder --data_dir=PHOTOS
      your own pictures; subfolders are classes, without them there are no
      labels
  python run.py --flagfile=flags/imagenet_r50_100ep.flags \\
      --data_dir=gs://BUCKET/tfds --model_dir=gs://BUCKET/run --tpu_name=NAME
      the paper's ImageNet run on a Cloud TPU

A flag that you leave out takes the value of the data set's recipe, or else the
paper's; the run prints what it took and from where. The same command again
continues a stopped run. --help beside a --mode lists that job's flags only."""


@dataclasses.dataclass(frozen=True)
class Parsed:
    """A command line.

    Attributes:
        given: option name -> value, for the flags that were set.
        from_files: names of those that stand in flagfiles only.
        defaults: "paper" or "official".
        ignored: flags accepted for the sake of old commands, without effect.
        wants_help: the user asked what there is.
    """

    given: dict[str, Any]
    from_files: frozenset[str]
    defaults: str
    ignored: list[str]
    wants_help: bool


class _Switch(absl_flags.ArgumentParser):
    """A boolean with more values: `--name`, `--noname`, `--name=more`."""

    def parse(self, argument: Any) -> str:
        """Its value as text; `option.check_value` says whether it may be."""
        try:
            return str(absl_flags.BooleanParser().parse(argument)).lower()
        except (ValueError, TypeError):
            return argument

    def flag_type(self) -> str:
        """What absl calls it."""
        return "switch"


def define(flag_values: absl_flags.FlagValues) -> None:
    """Defines every flag on `flag_values`, unset."""
    for name, (_, field) in config.options().items():
        kind = option.value_type(field)
        text = field.metadata["help"]
        if field.metadata["switch"]:
            flag = absl_flags.Flag(
                _Switch(), None, name, None, text, boolean=True
            )
            absl_flags.DEFINE_flag(flag, flag_values=flag_values)
        elif kind is bool:
            absl_flags.DEFINE_boolean(name, None, text, flag_values=flag_values)
        elif kind is int:
            absl_flags.DEFINE_integer(name, None, text, flag_values=flag_values)
        elif kind is float:
            absl_flags.DEFINE_float(name, None, text, flag_values=flag_values)
        elif kind is tuple:
            absl_flags.DEFINE_list(name, None, text, flag_values=flag_values)
        else:
            absl_flags.DEFINE_string(name, None, text, flag_values=flag_values)
    absl_flags.DEFINE_enum(
        "defaults",
        "paper",
        ["paper", "official"],
        "Whose value an unset flag takes: the paper's (and the data set's "
        "recipe), or the official code's.",
        flag_values=flag_values,
    )
    for name, letter in _HELP.items():
        absl_flags.DEFINE_boolean(
            name,
            False,
            "Print this.",
            short_name=letter,
            flag_values=flag_values,
        )
    for name, text in _TF1_ONLY.items():
        absl_flags.DEFINE_string(name, None, text, flag_values=flag_values)


def parse(argv: Sequence[str]) -> Parsed:
    """Reads a command line, `argv[0]` being the program's name.

    Raises:
        UserError: an unknown flag, an argument that is no flag, or a value
            that cannot be read; the message names it.
    """
    files, typed = flagfiles.expand(argv[1:])
    # What is typed wins over what is in a file, wherever it stands. Differs:
    # absl lets the last one win, so that --mode=preflight before a --flagfile
    # that says --mode=train would train.
    flag_values = _read([argv[0], *files, *typed])
    given = _given(flag_values)
    return Parsed(
        given=given,
        from_files=frozenset(given)
        - frozenset(_given(_read([argv[0], *typed]))),
        defaults=flag_values["defaults"].value,
        ignored=[n for n in _TF1_ONLY if flag_values[n].value is not None],
        wants_help=any(flag_values[name].value for name in _HELP),
    )


def _read(argv: Sequence[str]) -> absl_flags.FlagValues:
    flag_values = absl_flags.FlagValues()
    define(flag_values)
    try:
        rest = flag_values(argv)[1:]
    except (absl_flags.Error, ValueError) as error:
        # ValueError: of --noname=value, which absl does not wrap.
        message = str(error)
        if len(message) > _MOST_LETTERS:
            message = f"{message[:_MOST_LETTERS]}..."
        raise UserError(f"{message} (--help lists the flags.)") from error
    if rest:
        raise UserError(
            f"Every argument is a --flag=value. Received: {rest[0]!r}."
        )
    return flag_values


def _given(flag_values: absl_flags.FlagValues) -> dict[str, Any]:
    values = {
        name: (flag_values[name].value, field)
        for name, (_, field) in config.options().items()
    }
    given = {
        name: _convert(name, value, field)
        for name, (value, field) in values.items()
        if value is not None
    }
    # Here, before anything is looked up by a value or repeats it.
    for name, value in given.items():
        option.check_value(values[name][1], value)
    return given


def help_text(given: Mapping[str, Any] | None = None) -> str:
    """The flags, in groups, with their defaults.

    Args:
        given: what the user set. Where it names a job, only the flags that
            this job takes are listed.
    """
    given = given or {}
    names = roles.names_for(given)
    lines = [_USAGE, ""]
    if len(names) < len(config.options()):
        job = " ".join(f"--{n}={given[n]}" for n in _NAMING_JOBS if n in given)
        lines = [f"Flags that {job} takes (--help alone lists all):", ""]
    for name, section in config.sections().items():
        fields = [f for f in dataclasses.fields(section) if f.name in names]
        if not fields:
            continue
        lines += [f"{name}: {section.__doc__.splitlines()[0]}"]
        for field in fields:
            lines += _describe(field)
        lines.append("")
    lines += [
        "other:",
        "  --defaults=paper|official",
        "      Whose value an unset flag takes: the paper's (and the data "
        "set's recipe),",
        "      or the official code's.",
        "  --flagfile=PATH",
        "      Read flags from a file; what is typed wins over it, wherever it "
        "stands.",
    ]
    return "\n".join(lines)


def _describe(field: dataclasses.Field) -> list[str]:
    rule = field.metadata
    kinds = {bool: "true|false", int: "INT", float: "FLOAT", tuple: "INT,..."}
    value = kinds.get(option.value_type(field), "TEXT")
    if rule["choices"]:
        value = "|".join(map(str, rule["choices"]))
    notes = []
    if field.default not in (None, ()):
        notes.append(f"default {_as_typed(field.default)}")
    if rule["official"] != field.default:
        notes.append(f"official code {_as_typed(rule['official'])}")
    text = rule["help"] + (f" [{'; '.join(notes)}]" if notes else "")
    wrapped = textwrap.wrap(
        text, 78, initial_indent=" " * 6, subsequent_indent=" " * 6
    )
    return [f"  --{field.name}={value}", *wrapped]


def _as_typed(value: Any) -> str:
    """A value as one would type it."""
    shown = roles.show(value)
    return shown.lower() if isinstance(value, bool) else shown


def _convert(name: str, value: Any, field: dataclasses.Field) -> Any:
    if option.value_type(field) is not tuple:
        return value
    try:
        return tuple(int(item) for item in value)
    except ValueError as error:
        raise UserError(
            f"--{name} must be whole numbers with commas between them. "
            f"Received: {','.join(value)!r}."
        ) from error
