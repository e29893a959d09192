"""Landmarks for the fitting benchmark: which points of the head, and where a perfect detector with noise sees them."""

from dataclasses import dataclass

import numpy as np
from facequery.geometry.cameras import Camera
from facequery.head.binding import Binding
from facequery.head.model import HeadModel
from numpy.typing import NDArray

from benchmarks.fit_truth import Clip

Array = NDArray[np.float64]
INNER_POINTS = 120  # on cranium, mandible and teeth, for skull and jaw


@dataclass(frozen=True, eq=False)
class Points:
    """Queries by position alone, which is all a fit reads of them."""

    positions: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.positions)


@dataclass(frozen=True, eq=False)
class TrueTracks:
    """Tracks of exact points with noise."""

    xy: Array
    sigma: Array
    visible: Array
    frames: NDArray[np.int64]
    queries: Points
    width: int
    height: int
    fps: float = 25.0


@dataclass(frozen=True, eq=False)
class GivenActor:
    """A person whose neutral mesh is given: mean identity, all of their shape in the offsets."""

    name: str
    identity: NDArray[np.float32]
    offsets: NDArray[np.float32]


def skin_points(model: HeadModel, count: int, rng: np.random.Generator) -> Binding:
    """`count` points on the skin of the face: by area, exact on their triangles. 68: vertices far from each other."""
    part = model.parts["skin"]
    triangles = np.asarray(model.triangles[part.triangles])
    face = model.region_mask("face")
    triangles = triangles[face[triangles - part.vertices.start].all(1)]
    corners = np.asarray(model.rest, np.float64)[triangles]
    area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    many = count if count > 5000 else 20 * count
    which = rng.choice(len(triangles), many, p=area / area.sum())
    bary = rng.dirichlet(np.ones(3), many)
    positions = (corners[which] * bary[..., None]).sum(1)
    keep = np.arange(many)
    if many > count:
        chosen, nearest = [0], np.full(many, np.inf)
        while len(chosen) < count:
            nearest = np.minimum(nearest, ((positions - positions[chosen[-1]]) ** 2).sum(1))
            chosen.append(int(nearest.argmax()))
        keep = np.array(chosen)
    return Binding(
        positions[keep].astype(np.float32), triangles[which[keep]].astype(np.int32), bary[keep].astype(np.float32)
    )


def inner_points(model: HeadModel, rng: np.random.Generator) -> Binding:
    """Vertices of cranium (its front), mandible and teeth."""
    rest = np.asarray(model.rest)
    pool = []
    for name in ("cranium", "mandible", "teeth_upper", "teeth_lower"):
        part = np.arange(len(rest))[model.parts[name].vertices]
        pool.append(rng.choice(part[rest[part, 2] > -0.06], INNER_POINTS // 4, replace=False))
    index = np.concatenate(pool).astype(np.int32)
    return Binding(rest[index], index[:, None], np.ones((len(index), 1), np.float32))


def joined(one: Binding, two: Binding) -> Binding:
    """Both sets of points, the narrower binding padded with weights of 0."""
    wide = max(one.indices.shape[1], two.indices.shape[1])

    def padded(values: NDArray) -> NDArray:
        return np.pad(values, ((0, 0), (0, wide - values.shape[1])))

    return Binding(
        np.concatenate([one.positions, two.positions]),
        np.concatenate([padded(one.indices), padded(two.indices)]),
        np.concatenate([padded(one.weights), padded(two.weights)]),
    )


def true_tracks(
    model: HeadModel, clip: Clip, binding: Binding, camera: Camera, noise: float, rng: np.random.Generator
) -> TrueTracks:
    """Tracks of bound points in one view."""
    rest = np.asarray(model.rest, np.float64)
    own = binding.weights.astype(np.float64)
    points = np.stack([(v[binding.indices] * own[..., None]).sum(1) for v in clip.vertices])
    seen = camera.to_camera(points)
    xy = camera.project(seen)
    # How far apart the eyes would be if they were seen from the front: their distance over their depth.
    middle = camera.to_camera(clip.vertices[:, model.parts["eye_left"].vertices].mean(1)[:, None])[..., 2]
    apart = np.linalg.norm(
        rest[model.parts["eye_left"].vertices].mean(0) - rest[model.parts["eye_right"].vertices].mean(0)
    )
    scale = camera.fx[0] * apart / middle
    facing = _facing(model, clip, binding, camera)
    sigma = noise * scale * np.where(facing, 1.0, 3.0)
    xy = xy + rng.normal(size=xy.shape) * sigma[..., None]
    return TrueTracks(
        xy.astype(np.float32), sigma.astype(np.float32), facing.astype(np.float32), clip.frames,
        Points(binding.positions), camera.width, camera.height,
    )  # fmt: skip


def _facing(model: HeadModel, clip: Clip, binding: Binding, camera: Camera) -> NDArray[np.bool_]:
    """(F, N) whether the skin at a point's first vertex is turned to the camera; inner points are never seen."""
    skin = model.parts["skin"]
    triangles = np.asarray(model.triangles[skin.triangles])
    out = np.zeros((len(clip.vertices), len(binding)), bool)
    on_skin = binding.indices[:, 0] < skin.vertices.stop
    for f, vertices in enumerate(clip.vertices):
        here = camera.to_camera(vertices[None, : skin.vertices.stop])[0]
        face = np.cross(here[triangles[:, 1]] - here[triangles[:, 0]], here[triangles[:, 2]] - here[triangles[:, 0]])
        normal = np.zeros_like(here)
        for k in range(3):
            np.add.at(normal, triangles[:, k], face)
        turned = (normal * here).sum(1) < -0.1 * np.linalg.norm(normal, axis=1) * np.linalg.norm(here, axis=1)
        out[f] = on_skin & turned[np.minimum(binding.indices[:, 0], skin.vertices.stop - 1)]
    return out
