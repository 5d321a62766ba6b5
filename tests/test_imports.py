"""Who may import whom: the arrows of the house."""

import ast
import pathlib

import pytest

ROOT = pathlib.Path(__file__).parents[1]
FILES = [
    path
    for folder in ("simclr_tf", "flags", "tpu")
    for path in sorted((ROOT / folder).rglob("*.py"))
]
_LIBRARY = {
    "models",
    "optim",
    "data",
    "augment",
    "losses",
    "schedules",
    "metrics",
    "export",
    "distributed",
    "files",
    "hashing",
}
# Part -> the parts of simclr_tf that it may import.
ALLOWED = {
    "recipes": set(),
    "options": set(),
    "config": {"options"},
    "resolve": {"config", "recipes"},
    "distributed": set(),
    "files": set(),
    "hashing": set(),
    "losses": {"distributed", "nt_xent_tiles"},
    "nt_xent_tiles": set(),
    "schedules": set(),
    "metrics": set(),
    "augment": set(),
    "data": {"distributed"},
    "models": {"distributed"},
    "optim": {"distributed"},
    "export": {"models"},
    "evaluation": _LIBRARY,
    "train": _LIBRARY | {"evaluation", "config", "resolve"},
}


def imported(path):
    """Every module that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def part_of(path):
    relative = path.relative_to(ROOT / "simclr_tf")
    return relative.parts[0].removesuffix(".py")


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_arrows_point_one_way(path):
    top = path.relative_to(ROOT).parts[0]
    for module in imported(path):
        parts = module.split(".")
        if parts[0] == "simclr_tf" and len(parts) > 1:
            if top == "flags":
                assert parts[1] == "config"
            elif top == "tpu":
                raise AssertionError(f"{path} imports {module}")
            elif part_of(path) != "__init__":
                mine = part_of(path)
                assert parts[1] in ALLOWED[mine] | {mine}, module
        if top == "simclr_tf":
            assert parts[0] not in ("flags", "tpu", "run"), module
            assert module != "absl.flags", module
            if parts[0] == "orbit":
                assert part_of(path) == "train"
            if parts[0] == "tensorflow_datasets":
                assert part_of(path) == "data"


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_only_distributed_touches_the_replica_context(path):
    text = path.read_text()
    if path.name != "distributed.py":
        assert "get_replica_context" not in text


def test_keras_is_tf_keras_everywhere():
    for path in FILES:
        for module in imported(path):
            assert not module.startswith(("keras", "tensorflow.keras")), path
        assert "tf.keras" not in path.read_text().replace("`tf.keras`", ""), (
            path
        )


def test_no_attic():
    names = {path.stem for path in FILES}
    assert not names & {"utils", "util", "common", "misc", "helpers"}
