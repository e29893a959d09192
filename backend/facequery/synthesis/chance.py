"""Drawing from lists: numpy's `choice` is general and takes longer than all else that a small draw does."""

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

T = TypeVar("T")


def pick(rng: np.random.Generator, options: Sequence[T], odds: Sequence[float] | None = None) -> T:
    """One of the options, evenly or by odds (which need not sum to 1)."""
    if odds is None:
        return options[int(rng.random() * len(options))]
    rest = rng.random() * float(sum(odds))
    for option, share in zip(options, odds, strict=True):
        rest -= share
        if rest < 0:
            return option
    return options[-1]
