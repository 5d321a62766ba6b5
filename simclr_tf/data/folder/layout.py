"""How the images of a folder lie: splits, classes, and what has neither.

    cat/001.jpg, dog/a/002.jpg      class folders
    001.jpg, 002.jpg                no classes, no labels
    001.jpg, edited/003.jpg         one class folder is no label; all are read
    train/..., Test/..., seg_val/   split folders, of either kind
    pictures/cat/..., pictures/dog/ one level deeper: the same

Everything here is about names; nothing is read.
"""

import bisect
import collections
import re
from collections.abc import Sequence

from simclr_tf.errors import UserError

# What a folder may be called -> the split that it is.
_SPLIT_OF = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "valid",
    "validation": "validation",
    "test": "test",
    "testing": "test",
}
# seg_train, test_set, val2017: what stands before and behind.
_AFFIXED = re.compile(
    rf"(.+[_\- ])?({'|'.join(sorted(_SPLIT_OF, reverse=True))})([_\- ].+|\d+)?"
)
_SAME_SPLIT = ({"val", "valid", "validation"},)
_NUM_SHOWN = 5


def tops(names: Sequence[str], prefix: str = "") -> collections.Counter:
    """Top folder -> how many images lie under it; "" for those in none.

    Args:
        names: sorted, all with the prefix, which is left out.
        prefix: "" or one that ends with "/".
    """
    found, at, start = collections.Counter(), 0, len(prefix)
    while at < len(names):
        end = names[at].find("/", start)
        if end < 0:
            found[""] += 1
            at += 1
            continue
        top = names[at][start:end]
        # Sorted, everything in a folder lies side by side; "0" follows "/".
        after = bisect.bisect_left(names, f"{names[at][:end]}0", at)
        found[top] += after - at
        at = after
    return found


def inner(names: Sequence[str], *, stop_at_splits: bool) -> str:
    """The folder whose subfolders are classes or splits, if it lies deeper.

    Args:
        names: of images, sorted.
        stop_at_splits: whether a folder called like a split is one.

    Returns:
        "pictures/" where everything lies in that one folder, and in it lie
        folders; "" where names are to be taken as they are.
    """
    prefix = ""
    while True:
        found = tops(names, prefix)
        if "" in found or not found:
            # A chain that ends in images holds neither classes nor splits.
            return "" if len(found) <= 1 else prefix
        if len(found) != 1:
            return prefix
        (top,) = found
        if stop_at_splits and split_of(top):
            return prefix
        prefix += f"{top}/"


def split_of(folder: str) -> str | None:
    """The split that a folder's name says it is, without regard to case."""
    return _SPLIT_OF.get(folder.lower())


def split_folders(
    found: collections.Counter, *, asked: str, where: str
) -> dict[str, str]:
    """The split folders among the top folders.

    Args:
        found: from `tops`.
        asked: --split_folders: "auto", "yes" or "no".
        where: what the folder is called in an error.

    Returns:
        Split -> folder; empty where no folder is a split.

    Raises:
        UserError: a folder that may be a split or a class; two that are the
            same split.
    """
    if asked == "no":
        return {}
    folders = [folder for folder in found if folder]
    splits = _affixed(folders) if len(folders) > 1 else {}
    plain = [(split_of(folder), folder) for folder in folders]
    for split, folder in plain:
        if split is None:
            continue
        if split in splits and splits[split] != folder:
            raise UserError(
                f"{where} has two folders for the split {split!r}, "
                f"{splits[split]!r} and {folder!r}. Rename one, or say "
                "--split_folders=no: then both are classes."
            )
        splits[split] = folder
    others = [folder for folder in folders if folder not in splits.values()]
    if asked == "auto" and len(splits) == 1 and (others or found[""]):
        _refuse(splits, others, found, where)
    return splits


def _refuse(splits, others, found, where) -> None:
    (folder,) = splits.values()
    beside = [f"{name} {found[name]}" for name in sorted(others)[:_NUM_SHOWN]]
    if len(others) > _NUM_SHOWN:
        beside.append(f"{len(others) - _NUM_SHOWN} more folders")
    if found[""]:
        beside.append(f"{found['']} in no folder")
    raise UserError(
        f"{where} has images in {folder!r}, which is called like a split, and "
        f"beside it ({', '.join(beside)}). Say --split_folders=no where "
        f"{folder!r} is a class, too, or --split_folders=yes where it is a "
        "split and the rest is to be left out."
    )


def _affixed(folders: Sequence[str]) -> dict[str, str]:
    """seg_train and seg_test are splits; bullet_train alone is none."""
    groups = collections.defaultdict(dict)
    for folder in folders:
        match = _AFFIXED.fullmatch(folder.lower())
        if match and any(match.group(1, 3)):
            split = _SPLIT_OF[match.group(2)]
            groups[match.group(1, 3)][split] = folder
    several = [splits for splits in groups.values() if len(splits) > 1]
    return max(several, key=len, default={})


def folder_of(split: str, splits: dict[str, str], found) -> str | None:
    """The folder of a split that was asked for by name.

    Args:
        split: a name: of a split, "val" for "validation" too, or of a folder.
        splits: from `split_folders`; empty where all is "train".
        found: from `tops`.

    Returns:
        A top folder; "" for everything; None where there is no such split.
    """
    if split in splits:
        return splits[split]
    if split in found and split:
        return split
    for same in _SAME_SPLIT:
        for other in sorted(same & set(splits)) if split in same else ():
            return splits[other]
    return "" if split == "train" and not splits else None
