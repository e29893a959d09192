"""Which points of a face are seen: hidden by the face's own shape, turned away, or behind something else."""

from dataclasses import replace
from functools import lru_cache

import numba
import numpy as np
from numpy.typing import NDArray

from facequery.apps.dense import DenseFace, HeadUnderLandmarks, nearest
from facequery.detection.visibility import visible_from_sigma
from facequery.head.binding import Binding
from facequery.head.model import HeadModel
from facequery.head.queries import QuerySet

_GRAZING, _SHARPNESS = -0.05, 0.12  # cosine to the line of sight at which a point is as likely turned away as seen
_BEHIND, _SOFTNESS = 0.005, 0.0025  # metres behind the surface in front at which a point is as likely hidden as seen

_ANCHORS = 250  # vertices that the network is asked for, to lay the head under them
_CUT_BELOW, _KEPT_ABOVE = 0.25, 0.6  # probability of being seen


def self_visibility(face: DenseFace, triangles: NDArray, binding: Binding) -> NDArray[np.float32]:
    """Probability (N,) that bound points of skin and eyes are not hidden by the face itself.

    Their places and depths follow from the vertices that they are bound to; `triangles` (T, 3) of the dense face.
    """
    weight = binding.weights
    used = np.where(weight != 0, binding.indices, 0)
    own = (face.depth[used] * weight).sum(1)
    xy = (face.xy[used] * weight[..., None]).sum(1)
    points = np.concatenate([face.xy * _metres_per_pixel(face), face.depth[:, None]], 1).astype(np.float32)
    front, normal = _turns(points, triangles)
    behind = own - nearest(face, triangles[front], xy)
    away = np.einsum("nk,nk->n", normal[used], weight)
    front = 1 / (1 + np.exp(-(away - _GRAZING) / _SHARPNESS))
    odds = np.exp(np.clip((np.maximum(behind, 0) - _BEHIND) / _SOFTNESS, -40, 40))
    free = (1 + np.exp(-_BEHIND / _SOFTNESS)) / (1 + odds)  # 1 on the surface itself
    return (front * free).astype(np.float32)


def not_covered(face: DenseFace) -> NDArray[np.float32]:
    """(V,) how much of a dense face's vertices to keep in a picture that is cut where things are in front.

    Firm: a point that is merely vague is kept whole, one that the network can only guess is cut whole.
    """
    seen = visible_from_sigma(face.sigma / face.scale)
    return np.clip((seen - _CUT_BELOW) / (_KEPT_ABOVE - _CUT_BELOW), 0, 1).astype(np.float32)


@numba.njit(cache=True, nogil=True)
def _turns(points, triangles):  # type: ignore[no-untyped-def]
    """(T,) which triangles of points (V, 3) turn to the camera, and (V,) how far each vertex's normal does: 1 facing
    it, -1 away."""
    front = np.zeros(len(triangles), np.bool_)
    total = np.zeros((len(points), 3), np.float32)
    for t in range(len(triangles)):
        i, j, k = triangles[t, 0], triangles[t, 1], triangles[t, 2]
        ax, ay, az = points[j, 0] - points[i, 0], points[j, 1] - points[i, 1], points[j, 2] - points[i, 2]
        bx, by, bz = points[k, 0] - points[i, 0], points[k, 1] - points[i, 1], points[k, 2] - points[i, 2]
        x, y, z = ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx
        front[t] = z < 0
        for v in (i, j, k):
            total[v, 0] += x
            total[v, 1] += y
            total[v, 2] += z
    turned = np.empty(len(points), np.float32)
    for v in range(len(points)):
        x, y, z = total[v, 0], total[v, 1], total[v, 2]
        turned[v] = -z / (np.sqrt(x * x + y * y + z * z) + 1e-12)
    return front, turned


def _metres_per_pixel(face: DenseFace) -> float:
    """About: a crop's half side shows some 13 cm."""
    return 0.13 / face.scale


_HIDING = ("skin", "eye_left", "eye_right")  # parts that hide points of skin and eyes


@lru_cache(maxsize=2)
def _under(model: HeadModel) -> HeadUnderLandmarks:
    """The head that is laid under landmarks, without what lies behind skin: that is half of its vertices."""
    parts = {name: model.parts[name] for name in _HIDING}
    own, triangles = (max(getattr(p, kind).stop for p in parts.values()) for kind in ("vertices", "triangles"))
    outside = replace(
        model, parts=parts, rest=model.rest[:own], triangles=model.triangles[:triangles],
        identity_basis=np.ascontiguousarray(model.identity_basis[:, :own]),
        expression_basis=np.ascontiguousarray(model.expression_basis[:, :own]),
        tissue_basis=model.tissue_basis[:, :own], jaw_weight=model.jaw_weight[:own],
    )  # fmt: skip
    return HeadUnderLandmarks(outside, own, _ANCHORS)


class ShapeVisibility:
    """Which of some points the predicted head itself hides, from landmarks of a picture at a few hundred vertices.

    `positions` (n, 3) are those that the network must be asked for beside the points.
    """

    def __init__(self, model: HeadModel, queries: QuerySet) -> None:
        self.under = _under(model)
        self.count, self.triangles = self.under.count, self.under.model.triangles
        self.positions = model.rest[self.under.anchors]
        # Bone, teeth and points in the tissue lie behind skin, which does not hide them.
        outside = np.flatnonzero(np.isin(np.array(queries.kinds), ("skin", "eye")))
        # A point of the skin that lies a little inside of it may be bound to the bone as well.
        bound = model.bind(queries.positions[outside])
        self.columns = outside[(np.where(bound.weights != 0, bound.indices, 0) < self.count).all(axis=1)]
        self.binding = model.bind(queries.positions[self.columns])
        self.points = len(queries)

    def of(self, inside: NDArray, sigma: NDArray) -> NDArray[np.float32]:
        """Probability (N,) for all points, from xy (n, 2) and sigma (n,) of `positions` in crop coordinates."""
        seen = np.ones(self.points, np.float32)
        if len(self.columns):
            xy, depth = self.under.of(inside, sigma)
            crop = np.array([[1.0, 0, 0], [0, 1.0, 0]])
            face = DenseFace(xy, np.zeros(len(xy), np.float32), depth, crop)
            seen[self.columns] = self_visibility(face, self.triangles, self.binding)
        return seen
