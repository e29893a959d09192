"""Second differences of the frames' unknowns, and which of them are smooth together."""

import numpy as np
from numpy.typing import NDArray

from facequery.fitting.state import EXPRESSION

Array = NDArray[np.float64]


def second_differences(times: Array) -> Array:
    """(F - 2, 3) coefficients of the second difference about each inner frame, for any spacing; (1, -2, 1) at 1.

    Wide gaps weigh less: over a gap of h frames an acceleration adds up, so the coefficient is a mean one.
    """
    if len(times) < 3:
        return np.zeros((0, 3))
    first, second = np.diff(times)[:-1], np.diff(times)[1:]
    middle = 0.5 * (first + second)
    before, after = 1.0 / (first * middle), 1.0 / (second * middle)
    return np.stack([before, -(before + after), after], -1)


def grouped(squares: Array) -> Array:
    """Sums (F, 58) of normalised squares (F, 62): rotation, translation, every expression, each eye.

    What belongs together moves together, so that one weight holds for it.
    """
    return np.concatenate(
        [squares[:, :3].sum(1, keepdims=True), squares[:, 3:6].sum(1, keepdims=True), squares[:, EXPRESSION],
         squares[:, 58:60].sum(1, keepdims=True), squares[:, 60:62].sum(1, keepdims=True)], axis=1
    )  # fmt: skip
