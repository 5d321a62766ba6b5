"""The contrastive losses by their names: what `--loss` chooses."""

import functools
from collections.abc import Callable

from simclr_tf.losses.contrastive import nt_xent
from simclr_tf.losses.triplets import margin_triplet, nt_logistic

# Name of an option -> what a reader calls it.
WORDS = {
    "nt_xent": "NT-Xent",
    "nt_logistic": "NT-Logistic",
    "margin_triplet": "margin triplet",
}


def contrast(
    name: str, *, temperature: float, margin: float, semi_hard: bool, **how
) -> Callable:
    """A loss of two views' projections, float[N, d] each.

    Args:
        name: one of WORDS.
        temperature: of NT-Xent and NT-Logistic.
        margin: of the triplets, and of semi-hard negatives.
        semi_hard: whether negatives are semi-hard; not for NT-Xent.
        **how: hidden_norm, negative_views.

    Returns:
        A function whose result has a loss and an accuracy, as `NtXent` and
        `Triplets`.
    """
    if name == "nt_xent":
        return functools.partial(nt_xent, temperature=temperature, **how)
    if name == "nt_logistic":
        return functools.partial(
            nt_logistic,
            temperature=temperature,
            semi_hard_margin=margin if semi_hard else None,
            **how,
        )
    return functools.partial(
        {"margin_triplet": margin_triplet}[name],
        margin=margin,
        semi_hard=semi_hard,
        **how,
    )
