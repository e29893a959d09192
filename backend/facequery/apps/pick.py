"""Picking: which points of the head a user's marks in pictures are.

Query optimisation (CLD, section 4.2): the network is frozen and the 3D query is moved until its predicted landmark
lies on the marked pixel. The network is a smooth function of it, so few Gauss-Newton steps with the exact gradient do.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from facequery.apps.dense import DenseFace, DenseHead, Sight, hits
from facequery.detection.detector import to_pixels
from facequery.errors import UserError
from facequery.geometry.crops import apply_affine, invert_affine
from facequery.head.queries import QuerySet
from facequery.head.surface import Surface

_STEPS = 25
_LONGEST_STEP = 0.004  # metres
_MARK = 0.002  # crop units: how exactly a mark is meant
_OFF_SURFACE = 0.0015  # metres that a point leaves the surface for a mark's exactness, where several frames agree on it
_FARTHEST = 0.006  # metres from the surface at most
_FITS = 0.03  # crop units a mark: above it other places to start from are tried
_DONE = 1e-4  # cost of a point that needs no more steps
_STARTS = 2  # surface points tried per point besides the ones under its marks


@dataclass(frozen=True)
class Mark:
    """A user's mark: point number `point` lies at `xy` (plate pixels) in the picture number `picture`."""

    point: int
    picture: int
    xy: tuple[float, float]


@dataclass(frozen=True, eq=False)
class Picks:
    """Points found for marks: `queries` (N); per mark `residual` (M,) plate pixels between the mark and where the
    network puts the point in that picture, and `sigma` (M,) pixels per axis."""

    queries: QuerySet
    residual: NDArray[np.float32]
    sigma: NDArray[np.float32]


def pick_points(head: DenseHead, sight: Sight, crops: NDArray, marks: Sequence[Mark], names: Sequence[str]) -> Picks:
    """The points of the head that `marks` mean, all at once.

    `sight` of the P marked pictures, crops (P, 2, 3); `names` (N) of the points. A point marked in one
    picture is looked for on the surface that is seen at its pixel; one marked in several may leave it by some
    millimetres where that brings all its marks together. Raises UserError when a point has no mark or two in a picture.
    """
    _check(marks, len(names), len(sight))
    target = np.zeros((len(names), len(sight), 2))
    known = np.zeros((len(names), len(sight)), bool)
    for mark in marks:
        target[mark.point, mark.picture] = apply_affine(invert_affine(crops[mark.picture]), np.array([mark.xy]))[0]
        known[mark.point, mark.picture] = True
    search = _Search(head, sight, target, known)
    positions = search.best(_starts(head, sight, crops, marks, search))
    queries = QuerySet.from_positions(
        head.model, positions, [f"picked.{n}" for n in names], names, ["picked"] * len(names), "picked"
    )
    inside, spread = head.landmarks(sight, queries.positions)
    xy, sigma = to_pixels(inside, spread, crops)
    place = [(m.picture, m.point) for m in marks]
    residual = [float(np.linalg.norm(xy[p, n] - m.xy)) for m, (p, n) in zip(marks, place, strict=True)]
    return Picks(queries, np.array(residual, np.float32), np.array([sigma[i] for i in place], np.float32))


def _check(marks: Sequence[Mark], points: int, pictures: int) -> None:
    pairs = [(m.point, m.picture) for m in marks]
    if {m.point for m in marks} != set(range(points)) or any(not 0 <= m.picture < pictures for m in marks):
        raise ValueError(f"marks of {points} points in {pictures} pictures name others, or leave some out")
    if len(set(pairs)) < len(pairs):
        raise UserError("A point is marked twice in one frame.", "Mark it once a frame.", "FQ601")
    if not all(np.isfinite(m.xy).all() for m in marks):
        raise UserError("A mark is not a finite position.", "Marks are pixels of the plate.", "FQ602")


def _starts(
    head: DenseHead, sight: Sight, crops: NDArray, marks: Sequence[Mark], search: "_Search"
) -> list[tuple[NDArray, NDArray]]:
    """(points (k,), positions (k, 3)) to start from: the surface under each mark, and surface points near by that are
    seen in its picture."""
    own: list[list[NDArray]] = [[] for _ in search.target]
    for picture, face in enumerate(head.sketches(sight, crops)):
        here = [m for m in marks if m.picture == picture]
        at = np.array([m.xy for m in here])
        triangle, bary = hits(face, head.triangles, at)
        seen = _seen_vertices(face, head)
        for k, mark in enumerate(here):
            if triangle[k] >= 0:
                corners = head.positions[head.triangles[triangle[k]]]
                own[mark.point].append(bary[k] @ corners)
            order = np.argsort(((face.xy[seen] - at[k]) ** 2).sum(1))[: 8 * _STARTS : 8]
            own[mark.point] += list(head.positions[seen[order]].astype(np.float64))
    starts = []
    for k in range(max(len(group) for group in own)):
        rows = [n for n, group in enumerate(own) if k < len(group)]
        starts.append((np.array(rows), np.stack([own[n][k] for n in rows])))
    return starts


def _seen_vertices(face: DenseFace, head: DenseHead) -> NDArray[np.int64]:
    """Vertices whose own triangle is the one in front at their place."""
    triangle, _ = hits(face, head.triangles, face.xy)
    own = (head.triangles[np.maximum(triangle, 0)] == np.arange(head.count)[:, None]).any(1) & (triangle >= 0)
    return np.flatnonzero(own)


class _Search:
    """Gauss-Newton over queries; target (N, P, 2) crop coordinates, known (N, P) where marked."""

    def __init__(self, head: DenseHead, sight: Sight, target: NDArray, known: NDArray) -> None:
        self.head, self.target, self.known = head, target, known
        self.network = head.detector.network
        self.unit = head.detector.units_per_metre
        self.sight = sight
        self.parts = list(head.model.parts.values())
        self.part_ends = np.array([part.triangles.stop for part in self.parts])
        self.surfaces: dict[int, Surface] = {}

    def best(self, starts: list[tuple[NDArray, NDArray]]) -> NDArray[np.float64]:
        """Positions (N, 3): of all starts the end that fits best. Later starts are tried where nothing fits yet."""
        positions, lowest = np.zeros((len(self.target), 3)), np.full(len(self.target), np.inf)
        for rows, begin in starts:
            open_ones = lowest[rows] > self.known[rows].sum(1) * (_FITS / _MARK) ** 2
            if open_ones.any():
                rows, begin = rows[open_ones], begin[open_ones]
                end, cost = self._descend(rows, begin)
                better = cost < lowest[rows]
                positions[rows[better]], lowest[rows[better]] = end[better], cost[better]
        return positions

    def _descend(self, rows: NDArray, start: NDArray) -> tuple[NDArray, NDArray]:
        """Levenberg-Marquardt from positions (k, 3) of the points `rows`: where it ends and its cost (k,)."""
        part = np.searchsorted(self.part_ends, self._surface(-1).nearest(start, 32).triangle, side="right")
        free = self.known[rows].sum(1) > 1  # more marks than a surface point has freedoms
        here, offset, normal = self._kept(start, part, free)
        cost, slope, error = self._cost(rows, here, offset)
        damping, go = np.full(len(rows), 1e-3), np.arange(len(rows))
        for _ in range(_STEPS):
            step = self._step(slope[go], error[go], normal[go], offset[go], damping[go], free[go])
            trial, trial_offset, trial_normal = self._kept(here[go] + step, part[go], free[go])
            trial_cost, trial_slope, trial_error = self._cost(rows[go], trial, trial_offset)
            good = trial_cost < cost[go]
            small = good & (cost[go] - trial_cost < 1e-3 * cost[go])
            kept = go[good]
            here[kept], offset[kept], normal[kept] = trial[good], trial_offset[good], trial_normal[good]
            cost[kept], slope[kept], error[kept] = trial_cost[good], trial_slope[good], trial_error[good]
            damping[go] *= np.where(good, 0.25, 8.0)
            go = go[~small & (damping[go] < 1e3) & (cost[go] > _DONE)]
            if not len(go):
                break
        return here, cost

    def _surface(self, part: int) -> Surface:
        """Of one part of the head, or of all that can be seen (-1); a point stays on the part where it began."""
        if part not in self.surfaces:
            triangles = self.head.triangles if part < 0 else self.head.model.triangles[self.parts[part].triangles]
            self.surfaces[part] = Surface(self.head.model.rest, triangles)
        return self.surfaces[part]

    def _kept(self, points: NDArray, part: NDArray, free: NDArray) -> tuple[NDArray, NDArray, NDArray]:
        """Points brought back to their surface (those that are `free`: to within a few millimetres of it), their signed
        distance from it, and its normals."""
        kept, offset, normal = np.array(points, np.float64), np.zeros(len(points)), np.zeros((len(points), 3))
        for which in np.unique(part):
            rows = np.flatnonzero(part == which)
            surface = self._surface(int(which))
            foot = surface.nearest(points[rows])
            a, b, c = (surface.vertices[surface.triangles[foot.triangle, k]] for k in range(3))
            upright = np.cross(b - a, c - a)
            upright /= np.linalg.norm(upright, axis=1, keepdims=True) + 1e-12
            signed = ((points[rows] - foot.position) * upright).sum(1)
            signed = np.where(free[rows], np.clip(signed, -_FARTHEST, _FARTHEST), 0.0)
            kept[rows] = foot.position + signed[:, None] * upright
            offset[rows], normal[rows] = signed, upright
        return kept, offset, normal

    def _cost(self, rows: NDArray, positions: NDArray, offset: NDArray) -> tuple[NDArray, NDArray, NDArray]:
        """Cost (k,); slope (k, P, 2, 3) crop units a metre and error (k, P, 2) crop units, both 0 where not marked."""
        pictures = len(self.sight)
        queries = torch.from_numpy((positions * self.unit).astype(np.float32)).to(self.sight.views[0].device)
        # Every (picture, point) pair is an item of its own, so that a predictor that attends sees one query at a time.
        pairs = queries[None].expand(pictures, -1, -1).reshape(-1, 1, 3).clone().requires_grad_()
        with torch.enable_grad():
            xy, _ = self.sight.repeated(len(rows)).decoded(self.network, pairs)
            slopes = [torch.autograd.grad(xy[..., axis].sum(), pairs, retain_graph=axis == 0)[0] for axis in (0, 1)]
        shape = (pictures, len(rows), 2)
        where = xy.detach().double().cpu().numpy().reshape(shape).transpose(1, 0, 2)
        slope = torch.stack(slopes, 2).double().cpu().numpy().reshape(*shape, 3).transpose(1, 0, 2, 3) * self.unit
        known = self.known[rows][..., None]
        error = np.where(known, self.target[rows] - where, 0.0)
        slope = np.where(known[..., None], slope, 0.0)
        return (error**2).sum((1, 2)) / _MARK**2 + (offset / _OFF_SURFACE) ** 2, slope, error

    def _step(
        self, slope: NDArray, error: NDArray, normal: NDArray, offset: NDArray, damping: NDArray, free: NDArray
    ) -> NDArray:
        """Damped Gauss-Newton steps (k, 3), along the surface for points that are not free, no longer than 4 mm."""
        rows = slope.reshape(len(slope), -1, 3) / _MARK
        stiff = np.where(free, 1 / _OFF_SURFACE, 1e6)  # a point that is not free moves along the surface
        square = (
            np.einsum("kri,krj->kij", rows, rows) + stiff[:, None, None] ** 2 * normal[:, :, None] * normal[:, None]
        )
        size = np.trace(np.einsum("kri,krj->kij", rows, rows), axis1=1, axis2=2) + 1e-6
        square += (damping * size)[:, None, None] * np.eye(3)
        pull = np.einsum("kri,kr->ki", rows, error.reshape(len(error), -1) / _MARK)
        pull -= np.where(free, offset / _OFF_SURFACE**2, 0.0)[:, None] * normal
        step = np.linalg.solve(square, pull[..., None])[..., 0]
        length = np.linalg.norm(step, axis=1, keepdims=True)
        return step * np.minimum(1.0, _LONGEST_STEP / np.maximum(length, 1e-12))
