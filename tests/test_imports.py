"""Who may import whom: the arrows of the house (docs/architecture.md)."""

import ast
import pathlib

ROOT = pathlib.Path(__file__).parents[1]
FILES = [
    path
    for folder in ("simclr_tf", "flags", "tpu")
    for path in sorted((ROOT / folder).rglob("*.py"))
]
# What anyone may import.
_GROUND = {
    "errors",
    "files",
    "hashing",
    "own_files",
    "schedules",
    "terminal",
}
_NETWORK = {"models", "losses", "optim"}
_DATA = {"data", "augment"}
# Folder (or file) of simclr_tf -> the others that it may import.
ALLOWED = {
    "errors": set(),
    "endings": {"config", "errors", "run_files"},
    "files": {"errors"},
    "hashing": set(),
    "own_files": set(),
    "terminal": set(),
    "counter_hash": set(),
    "agreement": set(),
    "schedules": {"errors"},
    "distributed": set(),
    "config": {"errors"},
    "losses": {"distributed"},
    "models": {"distributed"},
    "optim": {"distributed"},
    "picture": set(),
    "augment": {"counter_hash", "picture"},
    "data": _GROUND | {"distributed", "counter_hash", "picture"},
    "evaluation": _GROUND | {"distributed"},
    "train": _GROUND | _NETWORK | {"distributed"},
    "convert": _GROUND | {"models"},
    "official": {"errors", "files"},
    "run_files": _GROUND | {"config", "models", "official"},
    "reports": _GROUND | {"config", "evaluation"},
    "studies": _GROUND | {"config", "run_files"},
    "build": _GROUND
    | _NETWORK
    | _DATA
    | {
        "agreement",
        "distributed",
        "config",
        "evaluation",
        "official",
        "picture",
        "run_files",
        "train",
    },
    "jobs": _GROUND
    | _NETWORK
    | _DATA
    | {
        "distributed",
        "config",
        "build",
        "evaluation",
        "train",
        "run_files",
        "reports",
        "studies",
        "convert",
        "official",
        "picture",
    },
}
# Programs and front doors, which may see everything.
FRONT_DOORS = {"__init__.py", "evaluation/__main__.py", "notebook.py"}


def imported(path):
    """Every module that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def own_part(path):
    relative = path.relative_to(ROOT / "simclr_tf")
    return relative.parts[0].removesuffix(".py")


def wrong_imports(path):
    """The imports of a file that point against the arrows."""
    top, *rest = path.relative_to(ROOT).parts
    for module in imported(path):
        parts = module.split(".")
        ours = parts[0] == "simclr_tf" and len(parts) > 1
        if top == "flags" and ours and parts[1] not in ("config", "errors"):
            yield module
        if top == "tpu" and ours and parts[1] != "errors":
            yield module
        if top != "simclr_tf":
            continue
        if ours and "/".join(rest) not in FRONT_DOORS:
            mine = own_part(path)
            if parts[1] not in ALLOWED[mine] | {mine}:
                yield module
        outside = {"orbit": "train", "tensorflow_datasets": "data"}
        if parts[0] in outside and own_part(path) != outside[parts[0]]:
            yield module
        if parts[0] in ("flags", "tpu", "run") or module == "absl.flags":
            yield module


def test_arrows_point_one_way():
    wrong = {
        str(path.relative_to(ROOT)): found
        for path in FILES
        if (found := sorted(set(wrong_imports(path))))
    }
    assert not wrong


def test_only_distributed_touches_the_replica_context():
    touching = {
        path.name for path in FILES if "get_replica_context" in path.read_text()
    }
    assert touching == {"distributed.py"}


def test_keras_is_tf_keras_everywhere():
    for path in FILES:
        if path.name == "keras_file.py":
            continue  # which writes for Keras 3
        for module in imported(path):
            assert not module.startswith(("keras", "tensorflow.keras")), path
        assert "tf.keras" not in path.read_text().replace("`tf.keras`", ""), (
            path
        )


def test_no_attic():
    names = {path.stem for path in FILES}
    assert not names & {"utils", "util", "common", "misc", "helpers"}


def reason_of_length(path):
    """What the head of a file says of its length."""
    return "Long because" in (
        ast.get_docstring(ast.parse(path.read_text())) or ""
    )


def test_files_are_short_or_say_why_not():
    long = {
        str(path.relative_to(ROOT)): length
        for path in FILES
        if (length := len(path.read_text().splitlines())) > 300
        and not reason_of_length(path)
    }
    assert not long


def test_folders_are_small():
    folders = {path.parent for path in FILES}
    large = {
        str(folder.relative_to(ROOT))
        for folder in folders
        if len(list(folder.glob("*.py"))) > 16  # 15 and __init__
    }
    assert not large
