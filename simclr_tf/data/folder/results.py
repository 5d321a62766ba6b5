"""Results of our own commands that lie in a folder of pictures.

A run may lie among its pictures (`--data_dir=. --model_dir=RUN`), or its
pictures in the folder of the run. What it writes there, none of its data has.
It is left out by its names, and only where a folder has the signs of results,
so that no picture of the user's is lost.
"""

import re
from collections.abc import Collection, Iterable

from simclr_tf import own_files

_SIGNS = frozenset(name for sign in own_files.SIGNS for name in sign)
# One that a kill left aside bears its process's number behind its name.
_PICTURE = re.compile(
    rf"({'|'.join(map(re.escape, own_files.PICTURES))})(\.tmp-.*)?"
)


def folders(names: Iterable[str]) -> frozenset[str]:
    """The folders that hold results; "" for the one that holds everything.

    Args:
        names: of files, at least of all that have no image's suffix.
    """
    signs: dict[str, set[str]] = {}
    for name in names:
        folder, _, last = name.rpartition("/")
        if last in _SIGNS:
            signs.setdefault(folder, set()).add(last)
    return frozenset(
        folder
        for folder, found in signs.items()
        if any(found.issuperset(sign) for sign in own_files.SIGNS)
    )


def outermost(results: Collection[str]) -> list[str]:
    """Those of some folders that lie in none of the others, sorted; the one
    that holds everything is one of its own."""
    kept: list[str] = []
    for folder in sorted(results):
        if not any(one and folder.startswith(f"{one}/") for one in kept):
            kept.append(folder)
    return kept


def is_picture(name: str, results: Collection[str]) -> bool:
    """Whether a file is a picture that a command of ours has written.

    Args:
        name: of the file.
        results: from `folders`.
    """
    folder, _, last = name.rpartition("/")
    return folder in results and _PICTURE.fullmatch(last) is not None
