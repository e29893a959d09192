"""Nearest points on the head's surfaces."""

from dataclasses import dataclass

import numba
import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree


@dataclass(frozen=True)
class Foot:
    """Nearest point on a triangle mesh: triangle (N,), bary (N, 3), position (N, 3), distance (N,)."""

    triangle: NDArray[np.int64]
    bary: NDArray[np.float64]
    position: NDArray[np.float64]
    distance: NDArray[np.float64]


@numba.njit(cache=True)
def _closest_bary(p, a, b, c):  # type: ignore[no-untyped-def]
    """Barycentric coordinates of the point of triangle abc nearest to p.

    Ericson, Real-Time Collision Detection, section 5.1.5.
    """
    ab, ac, ap = b - a, c - a, p - a
    d1, d2 = (ab * ap).sum(), (ac * ap).sum()
    if d1 <= 0 and d2 <= 0:
        return 1.0, 0.0, 0.0
    bp = p - b
    d3, d4 = (ab * bp).sum(), (ac * bp).sum()
    if d3 >= 0 and d4 <= d3:
        return 0.0, 1.0, 0.0
    vc = d1 * d4 - d3 * d2
    if vc <= 0 and d1 >= 0 and d3 <= 0:
        t = d1 / (d1 - d3)
        return 1 - t, t, 0.0
    cp = p - c
    d5, d6 = (ab * cp).sum(), (ac * cp).sum()
    if d6 >= 0 and d5 <= d6:
        return 0.0, 0.0, 1.0
    vb = d5 * d2 - d1 * d6
    if vb <= 0 and d2 >= 0 and d6 <= 0:
        t = d2 / (d2 - d6)
        return 1 - t, 0.0, t
    va = d3 * d6 - d5 * d4
    if va <= 0 and d4 - d3 >= 0 and d5 - d6 >= 0:
        t = (d4 - d3) / ((d4 - d3) + (d5 - d6))
        return 0.0, 1 - t, t
    total = va + vb + vc
    return va / total, vb / total, vc / total


@numba.njit(cache=True)
def _nearest(points, vertices, triangles, candidates, triangle, bary, position, distance):  # type: ignore[no-untyped-def]
    for i in range(len(points)):
        for t in candidates[i]:
            a, b, c = vertices[triangles[t, 0]], vertices[triangles[t, 1]], vertices[triangles[t, 2]]
            u, v, w = _closest_bary(points[i], a, b, c)
            foot = u * a + v * b + w * c
            d = np.sqrt(((foot - points[i]) ** 2).sum())
            if d < distance[i]:
                distance[i] = d
                triangle[i] = t
                bary[i, 0], bary[i, 1], bary[i, 2] = u, v, w
                position[i] = foot


class Surface:
    """A triangle mesh that answers for nearest points. vertices (V, 3), triangles (T, 3)."""

    def __init__(self, vertices: NDArray, triangles: NDArray) -> None:
        self.vertices = np.ascontiguousarray(vertices, np.float64)
        self.triangles = np.ascontiguousarray(triangles, np.int64)
        self._tree = cKDTree(self.vertices[self.triangles].mean(1))

    def nearest(self, points: NDArray, candidates: int = 16) -> Foot:
        """Nearest points of the mesh to `points` (N, 3): exact as long as the right triangle is among the
        `candidates` whose middles lie nearest, else off by less than a triangle's size."""
        p = np.ascontiguousarray(points, np.float64).reshape(-1, 3)
        count = min(candidates, len(self.triangles))
        index = self._tree.query(p, k=count)[1].reshape(len(p), count)
        foot = Foot(np.zeros(len(p), np.int64), np.zeros((len(p), 3)), np.zeros((len(p), 3)), np.full(len(p), np.inf))
        _nearest(p, self.vertices, self.triangles, index, foot.triangle, foot.bary, foot.position, foot.distance)
        return foot
