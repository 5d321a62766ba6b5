"""The commands of every shipped study, as text: what all its cells have in
common once, then what each has of its own.

A change shows as a diff:

    python -m tests.studies.test_studies_golden      writes the texts anew
"""

import pathlib

import pytest

from simclr_tf.studies import catalog
from simclr_tf.studies.cells import cells_of

GOLDEN = pathlib.Path(__file__).parent / "golden"


def text_of(name):
    """Both sizes of a study, with a place called CELL."""
    lines = []
    for size in ("quick", "paper"):
        study = catalog.find(name, size=size)
        cells = cells_of(study, typed={}, seeds=1)
        lines.append(
            f"{size}: {study.title}; {len(cells)} settings, {study.seeds} seeds"
        )
        commands = [
            [tuple(command.arguments("CELL")) for command in cell.commands]
            for cell in cells
        ]
        runs = [cell[0] for cell in commands]
        common = [a for a in runs[0] if all(a in other for other in runs)]
        lines.append(f"  run.py {' '.join(common)}")
        seen = set(common)
        for cell in commands:
            parts = [" ".join(a for a in cell[0] if a not in common)]
            for rest in cell[1:]:
                # An evaluation is told in full where it is new.
                words = " ".join(rest)
                parts.append(words if words not in seen else rest[1])
                seen.add(words)
            lines.append(f"    {' && '.join(parts)}")
        assert len(set(map(str, commands))) == len(cells)
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("name", catalog.names())
def test_commands_are_what_they_were(name):
    assert text_of(name) == (GOLDEN / f"{name}.txt").read_text()


def test_every_text_has_its_study():
    found = [path.stem for path in sorted(GOLDEN.glob("*.txt"))]
    assert found == catalog.names()


def write():
    GOLDEN.mkdir(exist_ok=True)
    for name in catalog.names():
        (GOLDEN / f"{name}.txt").write_text(text_of(name))


if __name__ == "__main__":
    write()
