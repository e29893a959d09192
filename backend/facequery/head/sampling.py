"""Choosing points on and in the head: Poisson disks, painted weights, Delaunay centroids, farthest points, volume."""

import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numba
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import dijkstra
from scipy.spatial import Delaunay, QhullError, cKDTree

from facequery.errors import UserError
from facequery.head.binding import RIGID_PARTS, find_places
from facequery.head.model import HeadModel
from facequery.head.surface import Surface

OVERSAMPLING = 6  # candidates for every point that is kept


@dataclass(frozen=True)
class SurfacePoints:
    """N points on the head's triangles: triangle (N,) of the whole head, bary (N, 3), positions (N, 3)."""

    triangle: NDArray[np.int64]
    bary: NDArray[np.float64]
    positions: NDArray[np.float64]

    def subset(self, index: NDArray) -> "SurfacePoints":
        """The points at `index`."""
        return SurfacePoints(self.triangle[index], self.bary[index], self.positions[index])


def uniform(
    model: HeadModel, count: int, rng: np.random.Generator, part: str = "skin", weights: NDArray | None = None
) -> SurfacePoints:
    """`count` independent random points on a part, per area times `weights` (V of the part, >= 0).

    Raises UserError when no surface has a weight.
    """
    span = model.parts[part]
    triangles = model.triangles[span.triangles]
    corner = model.rest.astype(np.float64)[triangles]
    area = 0.5 * np.linalg.norm(np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0]), axis=1)
    if weights is not None:
        local = np.asarray(weights, np.float64)
        if local.shape != (span.vertices.stop - span.vertices.start,):
            raise ValueError(f"weights must be one per vertex of {part}, not {local.shape}")
        area = area * local[model.part_triangles(part)].mean(1)
    if not area.sum() > 0:
        raise UserError(f'No part of "{part}" has a weight above zero.', "Paint some of it.", "FQ160")
    chosen = rng.choice(len(area), count, p=area / area.sum())
    a, b = np.sqrt(rng.random(count)), rng.random(count)
    bary = np.stack([1 - a, a * (1 - b), a * b], 1)
    return SurfacePoints(chosen + span.triangles.start, bary, np.einsum("nk,nkc->nc", bary, corner[chosen]))


def poisson_disk(
    model: HeadModel, radius: float, rng: np.random.Generator, part: str = "skin", mask: NDArray | None = None
) -> SurfacePoints:
    """Random points on a part of which no two are nearer than `radius` metres, and that leave no large gap.

    mask: (V of the part,) where points may lie. Dart throwing over a dense uniform sample; distances are straight.
    """
    if not radius > 0:
        raise UserError("The spacing of points must be more than zero.", "Give it in metres.", "FQ161")
    weights = None if mask is None else np.asarray(mask, np.float64)
    probe = uniform(model, 1, rng, part, weights)  # raises when there is nowhere to sample
    span = model.parts[part]
    corner = model.rest.astype(np.float64)[model.triangles[span.triangles]]
    area = 0.5 * np.linalg.norm(np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0]), axis=1)
    if weights is not None:
        area = area * weights[model.part_triangles(part)].mean(1)
    darts = uniform(model, int(min(8e5, 16 * area.sum() / radius**2)) + len(probe.triangle), rng, part, weights)
    return darts.subset(_spaced(darts.positions, np.full(len(darts.positions), radius)))


def _spaced(points: NDArray, radius: NDArray) -> NDArray[np.int64]:
    """Greedy choice in the given order: a point is taken unless a taken one lies within the mean of both radii."""
    tree = cKDTree(points)
    alive = np.ones(len(points), bool)
    taken = []
    for i in range(len(points)):
        if not alive[i]:
            continue
        taken.append(i)
        near = np.array(tree.query_ball_point(points[i], 1.5 * radius[i]))
        distance = np.linalg.norm(points[near] - points[i], axis=1)
        alive[near[distance < 0.5 * (radius[near] + radius[i])]] = False
    return np.array(taken, np.int64)


def by_weight(
    model: HeadModel, weights: NDArray, count: int, rng: np.random.Generator, part: str = "skin"
) -> SurfacePoints:
    """Exactly `count` well-spaced points whose density follows painted `weights` (V of the part, 0..1).

    Weighted sample elimination (Yuksel, 2015, Sample Elimination for Generating Poisson Disk Sample Sets, section 3):
    of many random candidates the one with the closest neighbours goes, until `count` are left; the spacing wanted
    grows with 1 / sqrt(weight). Raises UserError when nothing is painted.
    """
    if count < 1:
        raise UserError("At least one point must be asked for.", "", "FQ162")
    candidates = uniform(model, count * OVERSAMPLING, rng, part, weights)
    span = model.parts[part]
    local = np.asarray(weights, np.float64)
    density = np.einsum("nk,nk->n", candidates.bary, local[model.triangles[candidates.triangle] - span.vertices.start])
    density = np.maximum(density / local.max(), 1e-3)
    return candidates.subset(_eliminated(candidates.positions, 1 / np.sqrt(density), count))


def _eliminated(points: NDArray, spread: NDArray, count: int) -> NDArray[np.int64]:
    """Indices of the `count` points that Yuksel's elimination leaves; `spread` (N,) scales each point's distances."""
    # The mean distance to the 6th neighbour sets the radius in which candidates press on each other.
    tree = cKDTree(points)
    reach = min(OVERSAMPLING * 3, len(points))
    distance, neighbour = tree.query(points, k=reach)
    radius = 2.0 * np.median(distance[:, min(OVERSAMPLING, reach - 1)] / spread)
    pressure = np.clip(1 - distance / (radius * spread[:, None]), 0, None) ** 8
    pressure[:, 0] = 0
    total = pressure.sum(1)
    pressed_by: list[list[tuple[int, float]]] = [[] for _ in points]
    for i in range(len(points)):
        for k in np.flatnonzero(pressure[i]):
            pressed_by[neighbour[i, k]].append((i, float(pressure[i, k])))
    heap = [(-t, i) for i, t in enumerate(total)]
    heapq.heapify(heap)
    alive = np.ones(len(points), bool)
    left = len(points)
    while left > count:
        value, i = heapq.heappop(heap)
        if not alive[i] or -value > total[i] + 1e-12:  # an old entry; its newer one is in the heap
            continue
        alive[i] = False
        left -= 1
        for j, amount in pressed_by[i]:
            if alive[j]:
                total[j] -= amount
                heapq.heappush(heap, (-total[j], j))
    return np.flatnonzero(alive)


def farthest_points(candidates: NDArray, count: int, existing: NDArray | None = None) -> NDArray[np.int64]:
    """Indices (count,) into `candidates` (N, 3), each the one farthest from `existing` (M, 3) and those before it; the
    first candidate is the first where nothing exists. Raises UserError for more points than there are candidates."""
    points = np.asarray(candidates, np.float64)
    if count > len(points):
        raise UserError(f"{count} points cannot be chosen from {len(points)}.", "Ask for fewer.", "FQ163")
    if existing is None or len(existing) == 0:
        distance = np.full(len(points), np.inf)
    else:
        distance = cKDTree(existing).query(points)[0]
    chosen = []
    for _ in range(count):
        i = int(distance.argmax())
        chosen.append(i)
        distance = np.minimum(distance, np.linalg.norm(points - points[i], axis=1))
        distance[i] = -1
    return np.array(chosen, np.int64)


def on_surface(model: HeadModel, positions: NDArray, part: str = "skin") -> SurfacePoints:
    """Nearest points on a part."""
    span = model.parts[part]
    foot = Surface(model.rest, model.triangles[span.triangles]).nearest(positions)
    return SurfacePoints(foot.triangle + span.triangles.start, foot.bary, foot.position)


def skin_uv(model: HeadModel, points: SurfacePoints) -> NDArray[np.float64]:
    """Atlas coordinates (N, 2) of skin points."""
    return np.einsum("nk,nkc->nc", points.bary, model.uv[model.triangles_uv[points.triangle]].astype(np.float64))


def skin_at_uv(model: HeadModel, uv: NDArray) -> tuple[SurfacePoints, NDArray[np.bool_]]:
    """Skin points at atlas coordinates (N, 2), and which of them (N,) lie on the atlas at all (others are nearest)."""
    span = model.parts["skin"].triangles
    flat = np.concatenate([model.uv, np.zeros((len(model.uv), 1))], 1)
    wanted = np.concatenate([np.asarray(uv, np.float64), np.zeros((len(uv), 1))], 1)
    foot = Surface(flat, model.triangles_uv[span]).nearest(wanted)
    triangle = foot.triangle + span.start
    positions = np.einsum("nk,nkc->nc", foot.bary, model.rest[model.triangles[triangle]].astype(np.float64))
    return SurfacePoints(triangle, foot.bary, positions), foot.distance < 1e-6


def delaunay_centroids(
    model: HeadModel, seeds: NDArray, rounds: int = 3, space: Literal["uv", "surface"] = "uv"
) -> NDArray[np.float64]:
    """Points (N, 3) grown from seed points (M, 3) on the skin: seeds first, then what each round adds.

    A round triangulates all points and adds the middle of every triangle (Dense520, section 3). `uv` triangulates in
    the atlas; centroids that fall off the skin (lids, lips) are left out. `surface` takes the dual of the seeds'
    Voronoi cells along the surface, which needs no atlas and keeps to the skin. Raises UserError for under 3
    seeds, or seeds in one line.
    """
    points = on_surface(model, seeds)
    if len(points.triangle) < 3:
        raise UserError("Delaunay sampling needs at least three seed points.", "Place or select more.", "FQ164")
    for _ in range(rounds):
        if space == "uv":
            uv = skin_uv(model, points)
            middle, found = skin_at_uv(model, uv[_delaunay(uv, "FQ164")].mean(1))
            middle = middle.subset(np.flatnonzero(found))
        else:
            simplices = _surface_delaunay(model, points.positions)
            if not len(simplices):
                break
            middle = on_surface(model, points.positions[simplices].mean(1))
        points = SurfacePoints(
            np.concatenate([points.triangle, middle.triangle]),
            np.concatenate([points.bary, middle.bary]),
            np.concatenate([points.positions, middle.positions]),
        )
    return points.positions


def _delaunay(points: NDArray, code: str) -> NDArray[np.int32]:
    """Triangles or tetrahedra (S, D + 1) of points (N, D). Raises UserError of that number when there are none."""
    try:
        return Delaunay(points).simplices
    except QhullError as error:
        raise UserError("The points all lie in one line or plane.", "Place more, elsewhere.", code) from error


def _surface_delaunay(model: HeadModel, points: NDArray) -> NDArray[np.int64]:
    """Triangles (S, 3) between points on the skin whose Voronoi cells along the edges of the mesh meet."""
    span = model.parts["skin"].vertices
    rest = model.rest[span].astype(np.float64)
    triangles = model.part_triangles("skin")
    edges = np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]])
    # Each point hangs on the nearest vertices, so that several may share one.
    distance, near = cKDTree(rest).query(points, k=3)
    count = len(rest)
    rows = np.concatenate([edges[:, 0], np.repeat(count + np.arange(len(points)), 3)])
    columns = np.concatenate([edges[:, 1], near.ravel()])
    length = np.concatenate([np.linalg.norm(rest[edges[:, 0]] - rest[edges[:, 1]], axis=1), distance.ravel() + 1e-9])
    keep = np.unique(np.sort(np.stack([rows, columns], 1), 1), axis=0, return_index=True)[1]
    size = count + len(points)
    graph = coo_matrix((length[keep], (rows[keep], columns[keep])), shape=(size, size)).tocsr()
    _, _, source = dijkstra(
        graph, directed=False, indices=count + np.arange(len(points)), min_only=True, return_predecessors=True
    )
    owner = source[:count][triangles] - count
    distinct = (owner[:, 0] != owner[:, 1]) & (owner[:, 1] != owner[:, 2]) & (owner[:, 0] != owner[:, 2])
    return np.unique(np.sort(owner[distinct], 1), axis=0)


@numba.njit(cache=True)
def _blocked(start, end, a, b, c):  # type: ignore[no-untyped-def]
    """Which segments (N,) cross a triangle abc (Moeller and Trumbore 1997)."""
    out = np.zeros(len(start), np.bool_)
    for i in range(len(start)):
        way = end[i] - start[i]
        low, high = np.minimum(start[i], end[i]), np.maximum(start[i], end[i])
        for t in range(len(a)):
            apart = False
            for k in range(3):
                if max(a[t, k], b[t, k], c[t, k]) < low[k] or min(a[t, k], b[t, k], c[t, k]) > high[k]:
                    apart = True
                    break
            if apart:
                continue
            ab, ac = b[t] - a[t], c[t] - a[t]
            p = np.cross(way, ac)
            area = (ab * p).sum()
            if abs(area) < 1e-18:
                continue
            from_a = start[i] - a[t]
            u = (from_a * p).sum() / area
            q = np.cross(from_a, ab)
            v = (way * q).sum() / area
            along = (ac * q).sum() / area
            if u >= 0 and v >= 0 and u + v <= 1 and 0 <= along <= 1:
                out[i] = True
                break
    return out


def in_tissue(model: HeadModel, positions: NDArray, margin: float = 0.0005) -> NDArray[np.bool_]:
    """Which positions (N, 3) lie in the soft tissue: behind the skin, with no bone, tooth or eye between them and it.

    `margin` metres from every surface are left out.
    """
    points = np.asarray(positions, np.float64).reshape(-1, 3)
    near = find_places(model, points)
    inside = (near.outward < -0.3) & (near.skin_distance > margin) & (near.rigid_distance > margin) & (near.eye < 0)
    row = np.flatnonzero(inside)
    foot = on_surface(model, points[row]).positions
    rigid = [model.triangles[model.parts[n].triangles] for n in RIGID_PARTS if n in model.parts]
    corner = model.rest.astype(np.float64)[np.concatenate(rigid)]
    a, b, c = (np.ascontiguousarray(corner[:, k]) for k in range(3))
    inside[row] = ~_blocked(points[row], foot, a, b, c)
    return inside


def volume_delaunay(
    model: HeadModel, skin: NDArray, bone: NDArray, rounds: int = 1, longest: float = 0.05
) -> NDArray[np.float64]:
    """Points (N, 3) in the soft tissue: middles of the tetrahedra of a 3D Delaunay triangulation.

    Tetrahedra between skin points (M, 3) and bone points (B, 3) count when they have corners of both and no edge longer
    than `longest` metres, and their middle lies in the tissue; further rounds triangulate again with the middles.
    Raises UserError when there are too few points, or all lie in one plane.
    """
    outer, inner = np.asarray(skin, np.float64), np.asarray(bone, np.float64)
    if len(outer) < 3 or len(inner) < 1:
        raise UserError("Volume sampling needs points on the skin and on the bone.", "Sample both surfaces.", "FQ165")
    added = np.zeros((0, 3))
    for _ in range(rounds):
        points = np.concatenate([outer, inner, added])
        kind = np.repeat([0, 1, 2], [len(outer), len(inner), len(added)])
        cells = _delaunay(points, "FQ165")
        kinds = kind[cells]
        mixed = ((kinds == 0).any(1) & (kinds == 1).any(1)) | (kinds == 2).any(1)
        corner = points[cells]
        edges: Sequence[tuple[int, int]] = ((0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3))
        size = np.max([np.linalg.norm(corner[:, a] - corner[:, b], axis=1) for a, b in edges], axis=0)
        middle = corner[mixed & (size < longest)].mean(1)
        added = np.concatenate([added, middle[in_tissue(model, middle)]])
    return added
