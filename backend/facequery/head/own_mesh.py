"""Bringing one's own skull, jaw or head: aligned to a head by named landmarks."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import RBFInterpolator

from facequery.errors import UserError
from facequery.geometry.align import apply_similarity, similarity_transform
from facequery.head.model import HeadModel
from facequery.head.queries import QuerySet


@dataclass(frozen=True, eq=False)
class OwnMesh:
    """A user's mesh in canonical space: vertices (V, 3) metres, triangles (T, 3), and by landmark name the residual in
    metres: how far each landmark lies from where the head has it, before warping."""

    vertices: NDArray[np.float32]
    triangles: NDArray[np.int32]
    residual: dict[str, float]


def aligned_mesh(
    model: HeadModel,
    vertices: NDArray,
    triangles: NDArray,
    landmarks: Mapping[str, NDArray],
    layout: QuerySet,
    identity: NDArray | None = None,
    warp: bool = False,
    target: NDArray | None = None,
    scale: bool = True,
) -> OwnMesh:
    """Bring an own mesh (V, 3), (T, 3), in any unit and pose, to a head of `identity`.

    landmarks: positions (3,) on the own mesh by the names that points of `layout` (skull, jaw, ibug68, ...) have. At
    least three that do not lie on a line; a similarity takes them to the head's. With `warp` and at least five, a
    thin-plate spline then bends the mesh so that all of them fit exactly. `target`: where the points of the layout are
    on the head (N, 3), where it is not just one of `identity`. Without `scale`
    the mesh is in metres already and keeps its size. Raises UserError for unknown names, too few landmarks,
    or landmarks on a line.
    """
    names = list(landmarks)
    index = layout.index(names)
    own = np.array([np.asarray(landmarks[n], np.float64) for n in names]).reshape(-1, 3)
    spread = np.linalg.svd(own - own.mean(0), compute_uv=False) if len(own) else np.zeros(3)
    if len(own) < 3 or spread[1] < 1e-3 * spread[0] or not np.isfinite(own).all():
        raise UserError(
            "The landmarks do not fix the mesh: three that are not on a line are needed.",
            "Mark more landmarks.",
            "FQ140",
        )
    places = model.points(layout.subset(index), identity) if target is None else np.asarray(target)[index]
    wanted = places.astype(np.float64)
    motion = similarity_transform(own, wanted, with_scale=scale)
    placed = apply_similarity(*motion, own)
    out = apply_similarity(*motion, np.asarray(vertices, np.float64))
    residual = dict(zip(names, np.linalg.norm(placed - wanted, axis=1).tolist(), strict=True))
    if warp:
        if len(own) < 5:
            raise UserError("Bending a mesh needs at least five landmarks.", "Mark more, or align without.", "FQ141")
        out += RBFInterpolator(placed, wanted - placed, kernel="thin_plate_spline")(out)
    return OwnMesh(out.astype(np.float32), np.asarray(triangles, np.int32), residual)
