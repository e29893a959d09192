"""Nearest points on the head's surfaces."""

from dataclasses import dataclass

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


def closest_bary(p: NDArray, a: NDArray, b: NDArray, c: NDArray) -> NDArray[np.float64]:
    """Barycentric coordinates (..., 3) of the point of triangle abc nearest to p; all (..., 3).

    Ericson, Real-Time Collision Detection, section 5.1.5, over whole arrays.
    """
    ab, ac, ap = b - a, c - a, p - a
    d1, d2 = (ab * ap).sum(-1), (ac * ap).sum(-1)
    bp, cp = p - b, p - c
    d3, d4 = (ab * bp).sum(-1), (ac * bp).sum(-1)
    d5, d6 = (ab * cp).sum(-1), (ac * cp).sum(-1)
    va, vb, vc = d3 * d6 - d5 * d4, d5 * d2 - d1 * d6, d1 * d4 - d3 * d2
    total = va + vb + vc
    safe = np.where(np.abs(total) < 1e-30, 1.0, total)
    out = np.stack([va / safe, vb / safe, vc / safe], -1)

    def edge(numerator: NDArray, denominator: NDArray) -> NDArray:
        return np.clip(numerator / np.where(np.abs(denominator) < 1e-30, 1.0, denominator), 0, 1)

    zero = np.zeros_like(d1)
    bc = edge(d4 - d3, (d4 - d3) + (d5 - d6))
    out = np.where(((va <= 0) & (d4 - d3 >= 0) & (d5 - d6 >= 0))[..., None], np.stack([zero, 1 - bc, bc], -1), out)
    ca = edge(d2, d2 - d6)
    out = np.where(((vb <= 0) & (d2 >= 0) & (d6 <= 0))[..., None], np.stack([1 - ca, zero, ca], -1), out)
    t = edge(d1, d1 - d3)
    out = np.where(((vc <= 0) & (d1 >= 0) & (d3 <= 0))[..., None], np.stack([1 - t, t, zero], -1), out)
    corners = np.eye(3)
    out = np.where(((d6 >= 0) & (d5 <= d6))[..., None], corners[2], out)
    out = np.where(((d3 >= 0) & (d4 <= d3))[..., None], corners[1], out)
    return np.where(((d1 <= 0) & (d2 <= 0))[..., None], corners[0], out)


class Surface:
    """A triangle mesh that answers for nearest points. vertices (V, 3), triangles (T, 3)."""

    def __init__(self, vertices: NDArray, triangles: NDArray) -> None:
        self.vertices = np.asarray(vertices, np.float64)
        self.triangles = np.asarray(triangles, np.int64)
        corners = self.vertices[self.triangles]
        self._tree = cKDTree(corners.mean(1))
        self._reach = float(np.linalg.norm(corners - corners.mean(1, keepdims=True), axis=2).max())

    def nearest(self, points: NDArray, candidates: int = 24) -> Foot:
        """Nearest points of the mesh to `points` (N, 3), exact unless more than `candidates` triangle centres lie
        nearer than the right one's (then still within the size of a triangle)."""
        p = np.asarray(points, np.float64).reshape(-1, 3)
        out = []
        for chunk in np.array_split(p, max(1, len(p) // 8192)):
            index = self._tree.query(chunk, k=min(candidates, len(self.triangles)))[1].reshape(len(chunk), -1)
            corners = self.vertices[self.triangles[index]]
            bary = closest_bary(chunk[:, None], corners[..., 0, :], corners[..., 1, :], corners[..., 2, :])
            position = np.einsum("nkc,nkcd->nkd", bary, corners)
            best = np.linalg.norm(position - chunk[:, None], axis=2).argmin(1)
            row = np.arange(len(chunk))
            out.append((index[row, best], bary[row, best], position[row, best]))
        triangle, bary, position = (np.concatenate(x) for x in zip(*out, strict=True))
        return Foot(triangle, bary, position, np.linalg.norm(position - p, axis=1))
