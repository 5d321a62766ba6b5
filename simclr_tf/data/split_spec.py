"""How a split is written, and what can be wrong with it.

    train                   a name
    train[:90%], train[-50:]  a slice of it, in per cent or in examples
    train[:10%]+test        a sum of these, none of them twice

TensorFlow Datasets reads this syntax itself; here it is read for folders. The
sentences about what is wrong are the same for both.
"""

import re
from collections.abc import Iterable

import numpy as np

from simclr_tf.errors import UserError

_PART = re.compile(r"^([\w.-]+)(?:\[(-?\d+%?)?:(-?\d+%?)?\])?$")
_FLAGS = "(--train_split, --eval_split)"


def names(split: str) -> list[str]:
    """The names in a split: ["train", "test"] of "train[:10%]+test"."""
    return [part.split("[")[0].strip() for part in split.split("+")]


def parse_part(part: str) -> tuple[str, str | None, str | None]:
    """Name, start and stop of a split without a sum.

    Raises:
        UserError: it is not written so.
    """
    match = _PART.match(part.strip())
    if not match:
        raise UserError(
            f"split {part!r} {_FLAGS} is not a name, or a name with one slice"
            " such as train[:90%] or train[100:], or a sum of these."
        )
    return match.groups()


def slice_of(ids: np.ndarray, part: str, where: str) -> np.ndarray:
    """int64[m], ascending indexes of a slice of examples with these ids.

    Sorted by their ids, which are hashes, the examples come in an order that
    is fixed, arbitrary, and moves little when some come or go.

    Args:
        ids: int64[n], sample ids.
        part: a split without a sum.
        where: what the data set is called in an error.

    Raises:
        UserError: the slice is empty, or reaches beyond the examples.
    """
    _, *bounds = parse_part(part)
    bounds = [_bound(text, len(ids)) for text in bounds]
    if any(b is not None and abs(b) > len(ids) for b in bounds):
        raise beyond(part, where, len(ids))
    if bounds == [None, None] and len(ids):
        return np.arange(len(ids))  # of a million, at once
    shuffled = np.lexsort((np.arange(len(ids)), ids))
    chosen = np.sort(shuffled[slice(*bounds)])
    if not chosen.size:
        raise empty(part, where)
    return chosen


def _bound(text: str | None, size: int) -> int | None:
    if text is None:
        return None
    if text.endswith("%"):
        return round(int(text[:-1]) * size / 100)
    return int(text)


def missing(split: str, where: str, there: Iterable[str]) -> UserError:
    """The error for a split that does not exist, or is not written so."""
    return UserError(
        f"split {split!r} {_FLAGS} does not exist in {where}, which has"
        f" {', '.join(sorted(there)) or 'no splits'}; parts are written"
        " train[:10%], sums train+test."
    )


def empty(split: str, where: str) -> UserError:
    """The error for a split that gives no image."""
    return UserError(
        f"split {split!r} {_FLAGS} of {where} is empty: it gives no image."
        " A slice goes from a smaller bound to a larger one, train[10%:50%]."
    )


def beyond(split: str, where: str, size: int) -> UserError:
    """The error for a slice whose bounds lie outside the examples."""
    return UserError(
        f"split {split!r} {_FLAGS} of {where} reaches beyond its {size}"
        " examples, or 100%."
    )


def repeated(split: str, where: str) -> UserError:
    """The error for a sum that holds some images more than once."""
    return UserError(
        f"split {split!r} {_FLAGS} of {where} takes some images twice. Name"
        " each part once, without overlap."
    )
