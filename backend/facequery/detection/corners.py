"""Dense points of the head's surface, asked for at the corners of the triangles that they lie on.

A point of a triangle goes where the triangle's corners take it: so the heads are made that the network learned from. A
layout with many points in each triangle is therefore answered by its triangles' corners, which are far fewer.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numba
import numpy as np
from numpy.typing import NDArray

from facequery.head.model import HeadModel
from facequery.head.queries import QuerySet

_WORTH = 1.5  # times as many points as corners from which corners are asked for
_ON_TRIANGLE = 1e-5  # metres


@dataclass(frozen=True, eq=False)
class Corners:
    """N points as mixtures of M queries that are asked for in their place.

    `asked` (M): its positions and kinds mean something, its names are those of points near by. `columns` (N, 3) into
    it, `shares` (N, 3) summing to 1.
    """

    asked: QuerySet
    columns: NDArray[np.int32]
    shares: NDArray[np.float32]

    @staticmethod
    def of(model: HeadModel, queries: QuerySet, layouts: Iterable[tuple[int, int]]) -> "Corners | None":
        """For `queries` whose `layouts` are the columns [start, stop); None where nothing is gained.

        A layout is asked for by its corners if it has one and a half times as many points on triangles as these have
        corners, whatever other layouts there are. Its points that lie on no triangle are asked for themselves.
        """
        by_corners = np.zeros(len(queries), bool)
        on_triangle = (queries.triangle >= 0) & (np.abs(queries.offset).max(1, initial=0) < _ON_TRIANGLE)
        for start, stop in layouts:
            own = start + np.flatnonzero(on_triangle[start:stop])
            if len(own) >= _WORTH * len(np.unique(model.triangles[queries.triangle[own]])):
                by_corners[own] = True
        rows = np.flatnonzero(by_corners)
        if not len(rows):
            return None
        direct = np.flatnonzero(~by_corners)
        vertices, first, place = np.unique(
            model.triangles[queries.triangle[rows]], return_index=True, return_inverse=True
        )
        columns = np.empty((len(queries), 3), np.int32)
        columns[direct] = np.arange(len(direct))[:, None]
        columns[rows] = len(direct) + place.reshape(-1, 3)
        shares = np.tile(np.array([1, 0, 0], np.float32), (len(queries), 1))
        shares[rows] = queries.bary[rows]
        asked = queries.subset(np.concatenate([direct, rows[first // 3]]))
        positions = np.concatenate([queries.positions[direct], model.rest[vertices]])
        return Corners(replace(asked, positions=positions.astype(np.float32)), columns, shares)

    def mixed(
        self, xy: NDArray, sigma: NDArray, visible: NDArray, width: int, height: int
    ) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
        """Plate pixels (F, M, 2), sigma (F, M) and visibility (F, M) of what was asked -> those of the points, (F, N).
        Outside the plate, `width` by `height` pixels, visibility is 0."""
        shape = (len(xy), len(self.columns))
        found = np.empty((*shape, 2), np.float32), np.empty(shape, np.float32), np.empty(shape, np.float32)
        _mix(xy, sigma, visible, self.columns, self.shares, np.float32(width), np.float32(height), *found)
        return found


@numba.njit(cache=True, nogil=True)
def _mix(xy, sigma, visible, columns, shares, width, height, xy_out, sigma_out, visible_out):  # type: ignore[no-untyped-def]
    for f in range(len(xy)):
        for n in range(len(columns)):
            i, j, k = columns[n, 0], columns[n, 1], columns[n, 2]
            a, b, c = shares[n, 0], shares[n, 1], shares[n, 2]
            if i == j:  # asked for itself
                x, y, spread, seen = xy[f, i, 0], xy[f, i, 1], sigma[f, i], visible[f, i]
            else:
                x = a * xy[f, i, 0] + b * xy[f, j, 0] + c * xy[f, k, 0]
                y = a * xy[f, i, 1] + b * xy[f, j, 1] + c * xy[f, k, 1]
                spread = a * sigma[f, i] + b * sigma[f, j] + c * sigma[f, k]
                seen = a * visible[f, i] + b * visible[f, j] + c * visible[f, k]
            if x < 0 or y < 0 or x > width or y > height:
                seen = np.float32(0)
            xy_out[f, n, 0], xy_out[f, n, 1], sigma_out[f, n], visible_out[f, n] = x, y, spread, seen
