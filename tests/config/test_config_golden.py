"""What the shipped flagfiles come to, and the flags there are, as text.

A change of either shows as a diff:

    python -m tests.config.test_config_golden      writes the texts anew
"""

import pathlib

import pytest

from flags import definitions
from simclr_tf.config import options, resolve

ROOT = pathlib.Path(__file__).parents[2]
GOLDEN = pathlib.Path(__file__).parent / "golden"
FLAGFILES = sorted((ROOT / "flags").glob("*.flags"))


def resolved_text(path):
    """Every option of a flagfile with its value and origin."""
    parsed = definitions.parse(["run.py", f"--flagfile={path}"])
    made = resolve.resolve(
        parsed.given, defaults=parsed.defaults, from_files=parsed.from_files
    )
    return made.table() + "\n"


def flags_text():
    """A line for each flag: its default, the official code's, role and jobs."""
    lines = []
    for name, (section, field) in options().items():
        rule = field.metadata
        lines.append(
            f"{section}.{name} = {field.default!r} (official "
            f"{rule['official']!r}); {words(rule['role'])}; "
            f"{words(rule['jobs'])}"
        )
    return "\n".join(lines) + "\n"


def words(flags):
    """The names of a role's or a job's parts."""
    every = {one for one in type(flags) if one.value.bit_count() == 1}
    found = [one.name for one in type(flags) if one in every and one in flags]
    return "EVERY" if len(found) == len(every) else "|".join(found)


@pytest.mark.parametrize("path", FLAGFILES, ids=lambda p: p.stem)
def test_flagfile_comes_to_what_it_did(path):
    golden = GOLDEN / f"{path.stem}.txt"
    assert resolved_text(path) == golden.read_text()


def test_flags_are_those_there_were():
    assert flags_text() == (GOLDEN / "flags.txt").read_text()


def test_every_golden_text_has_its_flagfile():
    expected = {path.stem for path in FLAGFILES} | {"flags"}
    assert {path.stem for path in GOLDEN.glob("*.txt")} == expected


def write():
    for path in FLAGFILES:
        (GOLDEN / f"{path.stem}.txt").write_text(resolved_text(path))
    (GOLDEN / "flags.txt").write_text(flags_text())


if __name__ == "__main__":
    write()
