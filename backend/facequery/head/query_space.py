"""Where queries live: canonical positions, or their places in the skin's atlas (the UV switch of CLD, section 3.2)."""

import numpy as np
from numpy.typing import NDArray

from facequery.geometry.closest import closest_point_on_mesh
from facequery.head.model import HeadModel

_ON_SKIN = 0.0015  # metres: farther from the skin a point has no place in the atlas


class QuerySpace:
    """Turns canonical positions (N, 3), metres, into what a network of `dims` query dimensions is asked for.

    Three: network units. Two: atlas coordinates in [-1, 1], with a third column of zeros; only the skin has them.
    """

    def __init__(self, model: HeadModel, dims: int) -> None:
        if dims not in (2, 3):
            raise ValueError(f"queries have 2 or 3 dimensions, not {dims}")
        self.model, self.dims = model, dims

    def __call__(self, positions: NDArray) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Queries (N, 3), and which of them (N,) exist in this space."""
        positions = np.asarray(positions, np.float64)
        if self.dims == 3:
            return (positions * self.model.scale).astype(np.float32), np.ones(len(positions), bool)
        part = self.model.parts["skin"].triangles
        triangle, bary, distance = closest_point_on_mesh(positions, self.model.rest, self.model.triangles[part])
        corners = self.model.uv[self.model.triangles_uv[part][triangle]]
        uv = np.einsum("nk,nkc->nc", bary, corners) * 2 - 1
        return np.concatenate([uv, np.zeros((len(uv), 1))], 1).astype(np.float32), distance < _ON_SKIN
