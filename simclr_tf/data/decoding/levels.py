"""From numbers of any type to levels in 0..255."""

import math

import numpy as np

_TINY = float(np.finfo(np.float64).tiny)


class Unreadable(Exception):
    """Says in a few words why an image cannot be read."""


def to_levels(numbers: np.ndarray, *, own_range: bool = False) -> np.ndarray:
    """uint8 of the same shape.

    Args:
        numbers: what a file holds; uint8 stays as it is.
        own_range: whether the least of the others becomes 0 and the greatest
            255, over all channels together; else 16 bits give their high
            byte, and floats have to lie in 0..1.

    Raises:
        Unreadable: numbers that have no such range, or are not finite.
    """
    if numbers.dtype == np.uint8:
        return numbers
    if numbers.dtype == np.bool_:
        return numbers.astype(np.uint8) * 255
    if numbers.dtype.kind not in "iuf":
        raise Unreadable(f"numbers of type {numbers.dtype}")
    if not numbers.size or not np.isfinite(numbers).all():
        raise Unreadable("numbers that are not finite, or none")
    low, high = numbers.min(), numbers.max()
    if own_range:
        numbers, low = numbers.astype(np.float64), float(low)
        span = float(high) - low
        if not math.isfinite(span):
            raise Unreadable("numbers that are too far apart")
        # An image of one level is black; so is one of levels that are closer
        # than 255 / span can say.
        factor = 255 / span if span > 255 * _TINY else 0.0
        return np.rint((numbers - low) * factor).astype(np.uint8)
    if numbers.dtype.kind == "u" and numbers.dtype.itemsize == 2:
        return (numbers >> 8).astype(np.uint8)
    if numbers.dtype.kind == "f" and low >= 0 and high <= 1:
        return np.rint(numbers * 255).astype(np.uint8)
    raise Unreadable(
        f"{numbers.dtype} from {low:g} to {high:g}, which needs"
        " --intensity_range=own"
    )
