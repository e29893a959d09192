"""Tying any canonical point to vertices of the head, so that it moves with them.

A point's displacement is a weighted sum of the displacements of K vertices (weights sum to 1, some may be negative):
on a surface (skin, bone, tooth, eye) the corners of its triangle, which is exact;
in the volume a smooth mean of the nearest skin vertices and the nearest rigid ones (modified Shepard weights, which
fade to nothing at the last neighbour, so that nothing jumps), blended by the distances to both;
inside an eyeball an affine combination of six of its vertices, which turns with the eye exactly.
The share that goes with the jaw is shifted, by an affine combination of five vertices of the mandible, so that its mean
is the point itself: it swings with the jaw exactly, however far off the surface it lies.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from facequery.head.surface import Foot, Surface

if TYPE_CHECKING:
    from facequery.head.model import HeadModel

CORNERS, SKIN_NEIGHBOURS, RIGID_NEIGHBOURS = 3, 5, 4
NEIGHBOURS = CORNERS + SKIN_NEIGHBOURS + RIGID_NEIGHBOURS
# Where the five vertices lie that stand for the jaw: condyles, angles, chin.
JAW_FRAME = np.array([(1, 1, -1), (-1, 1, -1), (1, -1, -1), (-1, -1, -1), (0, -1, 1)], float)
ON_SURFACE = 0.0010  # metres: nearer than this a point is bound to the triangle alone
RIM = 0.0015  # metres
FAR_PART = 0.015  # metres farther than the nearest part: too far to matter
NEAR_SURFACE = 0.0040  # from here on it moves with the volume alone
RIGID_PARTS = ("eye_left", "eye_right", "teeth_upper", "teeth_lower", "cranium", "mandible")


@dataclass(frozen=True)
class Binding:
    """Points (N, 3) at rest with indices (N, K) into the head's vertices and weights (N, K), each row summing to 1."""

    positions: NDArray[np.float32]
    indices: NDArray[np.int32]
    weights: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.positions)

    def moved(self, vertices: NDArray, rest: NDArray) -> NDArray[np.float32]:
        """Positions (..., N, 3) of the points when the head's vertices are at `vertices` (..., V, 3)."""
        shift = vertices - rest
        out = np.zeros((*shift.shape[:-2], *self.positions.shape), np.float32)
        for k in range(self.indices.shape[1]):  # one neighbour at a time: 50,000 points need no (N, K, 3) array
            out += self.weights[:, k, None] * shift[..., self.indices[:, k], :]
        return out + self.positions

    def subset(self, index: NDArray) -> "Binding":
        """The binding of some of the points."""
        return Binding(self.positions[index], self.indices[index], self.weights[index])


@dataclass(frozen=True)
class Places:
    """What lies round points: the nearest part (index into names, the head's parts), its foot, the distances to the
    skin, to the nearest rigid part and to the second nearest part, how far each point is outside the skin's side of its
    foot (outward: cosine between the way to the point and the skin's normal), and in which eyeball it lies."""

    names: tuple[str, ...]
    part: NDArray[np.int64]
    foot: Foot
    skin_distance: NDArray[np.float64]
    rigid_distance: NDArray[np.float64]
    second_distance: NDArray[np.float64]
    outward: NDArray[np.float64]
    eye: NDArray[np.int64]  # 0 or 1 inside the left or right eyeball, -1 elsewhere


class _Finder:
    """Search trees over one head at rest."""

    def __init__(self, model: "HeadModel") -> None:
        self.names = tuple(model.parts)
        self.surfaces = [Surface(model.rest, model.triangles[p.triangles]) for p in model.parts.values()]
        self.first_triangle = np.array([p.triangles.start for p in model.parts.values()])
        rigid = [np.arange(p.vertices.start, p.vertices.stop) for n, p in model.parts.items() if n in RIGID_PARTS]
        self.skin = np.arange(model.parts["skin"].vertices.start, model.parts["skin"].vertices.stop)
        self.rigid = np.concatenate(rigid)
        self.skin_tree, self.rigid_tree = cKDTree(model.rest[self.skin]), cKDTree(model.rest[self.rigid])
        self.part_trees = [cKDTree(model.rest[p.vertices]) for p in model.parts.values()]
        self.normals = skin_normals(model)
        # Behind an open rim (mouth, lids) the nearest skin point says nothing about inside and outside.
        rims = model.rest[np.concatenate([model.loops[n] for n in ("mouth", "eye_left", "eye_right")])]
        self.normals[cKDTree(rims).query(model.rest[self.skin])[0] < RIM] = 0
        jaw = model.parts["mandible" if "mandible" in model.parts else "teeth_lower"].vertices
        self.jaw_frame = (model.rest[jaw] @ JAW_FRAME.T).argmax(0) + jaw.start
        self.in_jaw = np.zeros(len(model.rest), bool)
        for name in ("mandible", "teeth_lower"):
            if name in model.parts:
                self.in_jaw[model.parts[name].vertices] = True

    def places(self, model: "HeadModel", points: NDArray) -> Places:
        # Vertices bound the distance to a surface from above; parts that cannot be among the nearest are not searched.
        rough = np.stack([tree.query(points)[0] for tree in self.part_trees])
        distance = rough.copy()
        triangle = np.zeros(rough.shape, np.int64)
        bary, position = np.zeros((*rough.shape, 3)), np.zeros((*rough.shape, 3))
        close = rough < rough.min(0) + FAR_PART
        close[self.names.index("skin")] = True
        for part, surface in enumerate(self.surfaces):
            row = np.flatnonzero(close[part])
            foot = surface.nearest(points[row])
            triangle[part, row], distance[part, row] = foot.triangle + self.first_triangle[part], foot.distance
            bary[part, row], position[part, row] = foot.bary, foot.position
        part, row = distance.argmin(0), np.arange(len(points))
        second = distance.copy()
        second[part, row] = np.inf
        nearest = Foot(triangle[part, row], bary[part, row], position[part, row], distance[part, row])

        skin = self.names.index("skin")
        normal = np.einsum("nk,nkc->nc", bary[skin], self.normals[model.triangles[triangle[skin]]])
        way = points - position[skin]
        outward = (normal * way).sum(1) / np.maximum(np.linalg.norm(way, axis=1), 1e-9)
        eye = np.full(len(points), -1)
        for k, name in enumerate(("eye_left", "eye_right")):
            i = self.names.index(name)
            reach = np.linalg.norm(position[i] - model.eye_centres_rest[k], axis=1)
            eye[close[i] & (np.linalg.norm(points - model.eye_centres_rest[k], axis=1) <= reach)] = k
        rigid = [i for i, n in enumerate(self.names) if n in RIGID_PARTS]
        return Places(self.names, part, nearest, distance[skin], distance[rigid].min(0), second.min(0), outward, eye)


@lru_cache(maxsize=4)
def finder(model: "HeadModel") -> _Finder:
    """Search trees of a head, made once."""
    return _Finder(model)


def skin_normals(model: "HeadModel") -> NDArray[np.float64]:
    """Unit normals (Vskin, 3) of the skin at rest."""
    triangles = model.part_triangles("skin")
    points = model.rest[model.parts["skin"].vertices].astype(np.float64)
    corner = points[triangles]
    face = np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0])
    out = np.zeros_like(points)
    for k in range(3):
        np.add.at(out, triangles[:, k], face)
    return out / np.linalg.norm(out, axis=1, keepdims=True).clip(1e-15)


def find_places(model: "HeadModel", positions: NDArray) -> Places:
    """What lies round canonical rest positions (N, 3)."""
    return finder(model).places(model, np.asarray(positions, np.float64).reshape(-1, 3))


def _shepard(tree: cKDTree, points: NDArray, count: int) -> tuple[NDArray, NDArray]:
    """Nearest `count` tree points and weights (N, count) summing to 1 that fade to 0 at the next neighbour
    (Franke and Nielson's modified Shepard weights)."""
    distance, index = tree.query(points, k=count + 1)
    near = np.maximum(distance[:, :count], 1e-9)
    weight = ((distance[:, count:] - near).clip(0) / (distance[:, count:] * near).clip(1e-15)) ** 2 + 1e-30
    return index[:, :count], weight / weight.sum(1, keepdims=True)


def _smoothstep(low: float, high: float, x: NDArray) -> NDArray:
    t = np.clip((x - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def _affine(frame: NDArray, points: NDArray) -> NDArray:
    """Weights (N, F) of frame vertices (F, 3) with sum 1 and first moment each of `points` (N, 3), of least norm."""
    corners = np.concatenate([frame.T * 100, np.ones((1, len(frame)))])  # 100: metres and ones on one footing
    weights: NDArray = np.concatenate([points * 100, np.ones((len(points), 1))], 1) @ np.linalg.pinv(corners).T
    return weights


def _inside_eye(model: "HeadModel", points: NDArray, name: str) -> tuple[NDArray, NDArray]:
    """Six vertices of an eyeball and weights (N, 6) that make points in it turn with it."""
    span = model.parts[name].vertices
    vertices = model.rest[span].astype(np.float64)
    frame = (vertices @ np.concatenate([np.eye(3), -np.eye(3)]).T).argmax(0)
    return frame + span.start, _affine(vertices[frame], points)


def _compacted(indices: NDArray, weights: NDArray) -> tuple[NDArray, NDArray]:
    """Columns sorted by weight, those that nobody needs left out."""
    used = max(1, int((weights != 0).sum(1).max(initial=1)))
    order = np.argsort(-np.abs(weights), 1, kind="stable")[:, :used]
    return np.take_along_axis(indices, order, 1), np.take_along_axis(weights, order, 1)


def bind_positions(model: "HeadModel", positions: NDArray) -> Binding:
    """Bind canonical rest positions (N, 3) to the head; see the module. 50,000 points take a few seconds.

    K is as large as the points at hand need: 3 when all lie on surfaces, up to 17 in the volume.
    """
    points = np.asarray(positions, np.float64).reshape(-1, 3)
    search = finder(model)
    near = search.places(model, points)
    indices = np.zeros((len(points), NEIGHBOURS), np.int64)
    weights = np.zeros((len(points), NEIGHBOURS))

    contrast = (near.second_distance - near.foot.distance) / np.maximum(
        near.second_distance + near.foot.distance, 1e-12
    )
    surface = (1 - _smoothstep(ON_SURFACE, NEAR_SURFACE, near.foot.distance)) * _smoothstep(0, 0.5, contrast)
    indices[:, :CORNERS] = model.triangles[near.foot.triangle]
    weights[:, :CORNERS] = surface[:, None] * near.foot.bary

    skin_index, skin_weight = _shepard(search.skin_tree, points, SKIN_NEIGHBOURS)
    rigid_index, rigid_weight = _shepard(search.rigid_tree, points, RIGID_NEIGHBOURS)
    skin2, rigid2 = near.skin_distance**2, near.rigid_distance**2
    share = rigid2 / np.maximum(skin2 + rigid2, 1e-18)
    share += (1 - share) * _smoothstep(0.2, 0.7, near.outward)  # in front of the skin there is only the skin
    to_skin = (1 - surface) * share
    to_rigid = (1 - surface) - to_skin
    middle = CORNERS + SKIN_NEIGHBOURS
    indices[:, CORNERS:middle] = search.skin[skin_index]
    weights[:, CORNERS:middle] = to_skin[:, None] * skin_weight
    indices[:, middle:] = search.rigid[rigid_index]
    weights[:, middle:] = to_rigid[:, None] * rigid_weight

    jaw_weight = np.where(search.in_jaw[indices], weights, 0)
    share = jaw_weight.sum(1, keepdims=True)
    mean = np.einsum("nk,nkc->nc", jaw_weight, model.rest[indices]) / np.maximum(share, 1e-12)
    frame = model.rest[search.jaw_frame].astype(np.float64)
    shift = share * (_affine(frame, points) - _affine(frame, mean))
    shift[(share[:, 0] < 1e-9) | (np.linalg.norm(points - mean, axis=1) < 1e-7)] = 0  # on the bone already
    indices = np.concatenate([indices, np.broadcast_to(search.jaw_frame, shift.shape)], 1)
    weights = np.concatenate([weights, shift], 1)

    for k, name in enumerate(("eye_left", "eye_right")):
        on_other = (near.foot.distance < 1e-6) & (near.part != near.names.index(name))
        inside = np.flatnonzero((near.eye == k) & ~on_other)
        if len(inside):
            corners, inner = _inside_eye(model, points[inside], name)
            indices[inside], weights[inside] = corners[0], 0
            indices[inside[:, None], np.arange(6)] = corners
            weights[inside[:, None], np.arange(6)] = inner
    indices, weights = _compacted(indices, weights)
    return Binding(points.astype(np.float32), indices.astype(np.int32), weights.astype(np.float32))
