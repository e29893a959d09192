"""Which points lie inside a flat outline."""

import numpy as np
from numpy.typing import NDArray


def inside(points: NDArray, outline: NDArray) -> NDArray[np.bool_]:
    """Mask (N,) of points (N, 2) inside a closed polygon (M, 2): an odd number of edges crosses a ray from it."""
    x, y = points[:, 0, None], points[:, 1, None]
    (ax, ay), (bx, by) = outline.T, np.roll(outline, -1, 0).T
    across = (ay > y) != (by > y)
    with np.errstate(divide="ignore", invalid="ignore"):
        where = ax + (y - ay) * (bx - ax) / (by - ay)
    return (across & (x < where)).sum(1) % 2 == 1
