"""Which studies there are: the shipped ones, and a file of the user's."""

import importlib
import importlib.util
import os
import pkgutil
import sys
import traceback
from collections.abc import Mapping
from typing import Any

from simclr_tf.errors import UserError
from simclr_tf.studies import shipped
from simclr_tf.studies.study import Study


def names() -> list[str]:
    """Of the shipped studies, sorted."""
    return sorted(m.name for m in pkgutil.iter_modules(shipped.__path__))


def find(name: str | None, *, size: str) -> Study:
    """The study of a name, or of a Python file, which is executed.

    Args:
        name: of a shipped study, or a path that ends in .py.
        size: "quick" or "paper". A file's STUDY may be one study for both.

    Raises:
        UserError: there is none, or its file doesn't define one.
    """
    if name is None:
        raise UserError(f"--mode=study needs --study: {_choices()}")
    if name.endswith(".py"):
        found = getattr(_executed(os.path.expanduser(name)), "STUDY", None)
    elif name in names():
        module = importlib.import_module(f"{shipped.__name__}.{name}")
        found = module.STUDY
    else:
        raise UserError(f"--study={name} is none: {_choices()}")
    if isinstance(found, Mapping):
        found = found.get(size)
    if not isinstance(found, Study):
        raise UserError(
            f"--study={name} defines no STUDY of --study_size={size}, a "
            "simclr_tf.studies.Study (docs/studies.md)."
        )
    return found


def _executed(path: str) -> Any:
    if not os.path.isfile(path):
        raise UserError(f"--study={path}: there is no such file.")
    spec = importlib.util.spec_from_file_location("study_of_the_user", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look for it there
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        raise UserError(
            f"--study={path} fails{_line_of(path, error)}: "
            f"{type(error).__name__}: {error}"
        ) from error
    return module


def _line_of(path: str, error: BaseException) -> str:
    """Where in a file an error arose, if it was there."""
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if frame.filename == path]
    return f" in line {lines[-1]}" if lines else ""


def _choices() -> str:
    return f"one of {', '.join(names())}, or a Python file that defines STUDY."
