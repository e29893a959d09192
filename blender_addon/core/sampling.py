"""Choosing points by painted weights, with NumPy alone; neighbours come from the host's search tree."""

import heapq
from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from .errors import AddonError

OVERSAMPLING: Final = 6  # candidates for every point that is kept
_NEIGHBOURS: Final = 18  # of a candidate that press on it
# (points (N, 3), k) -> indices and distances (N, k) of the nearest points, itself first.
Neighbours = Callable[[NDArray, int], tuple[NDArray[np.int64], NDArray[np.float64]]]


def by_weight(
    corners: NDArray, weights: NDArray, count: int, rng: np.random.Generator, neighbours: Neighbours
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """`count` well-spaced points on triangles (T, 3, 3), as triangle (count,) and barycentric coordinates (count, 3).

    Density follows the weights (T, 3) of the corners, in [0, 1]. Weighted sample elimination (Yuksel 2015, Sample
    Elimination for Generating Poisson Disk Sample Sets, section 3), as the backend's sampling does it: of many random
    candidates the most crowded one goes, until `count` are left. Raises AddonError when nothing has a weight.
    """
    area = 0.5 * np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    mass = area * weights.mean(axis=1)
    if not mass.sum() > 0:
        raise AddonError("Nothing is painted on the head.", "Press Paint and paint some of it.", "FQ743")
    candidates = OVERSAMPLING * count
    triangle = rng.choice(len(mass), candidates, p=mass / mass.sum())
    a, b = np.sqrt(rng.random(candidates)), rng.random(candidates)
    barycentric = np.stack([1 - a, a * (1 - b), a * b], axis=1)
    points = np.einsum("nk,nkc->nc", barycentric, corners[triangle])
    density = np.einsum("nk,nk->n", barycentric, weights[triangle])
    kept = _eliminated(points, 1 / np.sqrt(np.maximum(density / weights.max(), 1e-3)), count, neighbours)
    return triangle[kept], barycentric[kept]


def _eliminated(points: NDArray, spread: NDArray, count: int, neighbours: Neighbours) -> NDArray[np.int64]:
    """The `count` points that are left; `spread` (N,) scales the distances that each one wants."""
    near, distance = neighbours(points, min(_NEIGHBOURS, len(points)))
    # The distance to the 6th neighbour is about the one that is wanted among those that stay.
    radius = 2.0 * np.median(distance[:, min(OVERSAMPLING, distance.shape[1] - 1)] / spread)
    pressure = np.clip(1 - distance / (radius * spread[:, None]), 0, None) ** 8
    pressure[:, 0] = 0
    presses_on: list[list[tuple[int, float]]] = [[] for _ in points]
    for i, k in zip(*np.nonzero(pressure), strict=True):
        presses_on[near[i, k]].append((int(i), float(pressure[i, k])))
    total = pressure.sum(axis=1).tolist()
    heap = [(-p, i) for i, p in enumerate(total)]
    heapq.heapify(heap)
    alive, left = np.ones(len(points), bool), len(points)
    while left > count:
        p, i = heapq.heappop(heap)
        if not alive[i] or -p > total[i] + 1e-12:
            continue  # an entry of before its neighbours went
        alive[i] = False
        left -= 1
        for other, share in presses_on[i]:
            if alive[other]:
                total[other] -= share
                heapq.heappush(heap, (-total[other], other))
    return np.flatnonzero(alive)


def half_of(weights: NDArray, symmetry: NDArray, side: NDArray) -> NDArray[np.float64]:
    """Weights (V,) of one side of the head (`side` > 0, metres), where either side is painted; 0 on the other."""
    partner = np.where(symmetry >= 0, symmetry, np.arange(len(weights)))
    return np.where(side > 0, np.maximum(weights, weights[partner]), 0.0)


def with_centroids(
    seeds: NDArray,
    rounds: int,
    triangulate: Callable[[NDArray], NDArray],
    on_skin: Callable[[NDArray], NDArray[np.bool_]],
) -> NDArray[np.float64]:
    """Atlas coordinates (N, 2) that grow from seeds (M, 2): seeds first, then what each round adds.

    A round triangulates all points and adds the middle of every triangle that lies on the skin (Dense520, section 3).
    Raises AddonError for fewer than 3 seeds.
    """
    if len(seeds) < 3:
        raise AddonError("Filling between points needs at least three on the skin.", "Select more points.", "FQ744")
    points = np.asarray(seeds, np.float64)
    for _ in range(rounds):
        triangles = triangulate(points)
        middle = points[triangles].mean(axis=1) if len(triangles) else np.zeros((0, 2))
        points = np.concatenate([points, middle[on_skin(middle)]])
    return points


def unique_rows(points: NDArray, grain: float) -> NDArray[np.int64]:
    """Indices of the first of all points (N, C) that fall into the same cell of `grain`."""
    cells: Sequence[int] = np.unique(np.floor(points / grain).astype(np.int64), axis=0, return_index=True)[1].tolist()
    return np.sort(np.array(cells, np.int64))
