"""Dense error: thousands of points of the skin on rendered pictures whose truth is exact."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facequery.detection.detector import Detector, tightened, to_pixels
from facequery.evaluation.errors import YAW_BINS
from facequery.geometry.crops import crop_from_points, four_points, sample_crop
from facequery.head.binding import Binding
from facequery.head.layouts import load_layout
from facequery.head.model import HeadModel
from facequery.head.queries import QuerySet
from facequery.head.sampling import uniform
from facequery.synthesis.cycles.dataset import DESCRIPTION, CyclesSet

QUERIES = 5000


def is_rendered(folder: Path) -> bool:
    """Whether a folder holds a set that Cycles rendered, with truth for any query."""
    return (folder / DESCRIPTION).exists()


def dense_queries(model: HeadModel, count: int = QUERIES, seed: int = 0) -> QuerySet:
    """`count` points of the face's skin, evenly spread by area."""
    points = uniform(model, count, np.random.default_rng(seed), weights=model.region_mask("face").astype(float))
    return QuerySet.from_positions(model, points.positions.astype(np.float32), name="dense")


@dataclass(frozen=True)
class Dense:
    """What a detector answers on n rendered pictures for N points of the skin, beside the truth.

    residual (n, N, 2): landmarks minus truth, pixels; floor (n, N, 2): the same of who knows identity coefficients,
    expression, pose and camera, and nothing of the shape beside the basis; seen (n, N); ocular (n,): distance of the
    outer eye corners, pixels, and from_front (n,), as it would look from the front, at their depth; yaw (n,) degrees;
    truth: canonical points (n, N, 3), metres, rotation (n, 3, 3) and translation (n, 3) to camera space, camera (n, 4)
    fx, fy, cx, cy.
    """

    residual: NDArray[np.float64]
    floor: NDArray[np.float64]
    seen: NDArray[np.bool_]
    ocular: NDArray[np.float64]
    from_front: NDArray[np.float64]
    yaw: NDArray[np.float64]
    canonical: NDArray[np.float64]
    rotation: NDArray[np.float64]
    translation: NDArray[np.float64]
    camera: NDArray[np.float64]


def look_dense(detector: Detector, rendered: CyclesSet, count: int = QUERIES) -> Dense:
    """The answers for `count` points in crops from the true points."""
    model = HeadModel.load()
    queries = dense_queries(model, count)
    binding = model.bind(queries.positions)
    eyes = model.bind(load_layout("ibug68").subset(np.array([36, 45])).positions)
    corners = model.bind(model.rest[model.normalisation_vertices])
    columns: list[tuple] = []
    for index in range(len(rendered)):
        truth, _, visible = rendered.points(index, model, binding)
        at = rendered.points(index, model, corners)[0]
        crop = tightened(crop_from_points(four_points(at)))
        picture = sample_crop(rendered.image(index), crop, detector.size)
        inside, spread = detector.look(picture[None], queries.positions)
        xy, _ = to_pixels(inside[0], spread[0], crop)
        (first, second), depth, _ = rendered.points(index, model, eyes)
        label = rendered.label(index)
        apart = _distance(eyes.moved(label["canonical"], np.asarray(model.rest, float))) * label["camera"][0]
        columns.append((
            xy - truth, _on_basis(model, binding, label) - truth, visible, float(np.linalg.norm(first - second)),
            apart / depth.mean(), turned(label["rotation"]),
            binding.moved(label["canonical"], np.asarray(model.rest, float)), label["rotation"], label["translation"],
            label["camera"],
        ))  # fmt: skip
    return Dense(*(np.array(column) for column in zip(*columns, strict=True)))


def dense_figures(dense: Dense) -> dict[str, Any]:
    """Error in percent of the distance of the outer eye corners over the surface points of every picture.

    `dense_nme` counts all points, as CLD does, `dense_seen` those that are seen, `dense_frontal` all points of faces
    turned by less than 30 degrees, `dense_median` the median over faces. In profile the eye corners fall together in
    the picture, and the measure with them: `dense_nme_3d` divides by their distance as it would look from the front.
    `dense_floor`: what is left, over the same, to who knows all but the shape beside the basis that held-out people
    have.
    """
    errors = 100 * np.linalg.norm(dense.residual, axis=-1) / dense.ocular[:, None]
    floor = 100 * np.linalg.norm(dense.floor, axis=-1) / dense.from_front[:, None]
    per_face = errors.mean(1)
    frontal = np.abs(dense.yaw) < YAW_BINS[0][1]
    figures = {
        "dense_points": errors.shape[1], "dense_nme": per_face.mean(), "dense_seen": errors[dense.seen].mean(),
        "dense_median": np.median(per_face), "dense_nme_3d": (per_face * dense.ocular / dense.from_front).mean(),
        "dense_floor": floor.mean(),
    }  # fmt: skip
    if frontal.any():
        figures["dense_frontal"] = per_face[frontal].mean()
    return {k: v if isinstance(v, int) else round(float(v), 3) for k, v in figures.items()}


def _distance(pair: NDArray) -> float:
    return float(np.linalg.norm(pair[0] - pair[1]))


def _on_basis(model: HeadModel, binding: Binding, label: dict[str, NDArray]) -> NDArray[np.float64]:
    """Pixels (N, 2) that bound points would have if a person had no shape beside the identity basis."""
    vertices = model.vertices(label["identity"], label["expression"])
    points = binding.moved(np.asarray(vertices, float), np.asarray(model.rest, float))
    points = points @ label["rotation"].T + label["translation"]
    fx, fy, cx, cy = label["camera"]
    return np.asarray(points[:, :2] / points[:, 2:] * [fx, fy] + [cx, cy])


def turned(rotation: NDArray) -> float:
    """Degrees of yaw of a head that `rotation` (3, 3) takes to the camera's axes."""
    forward = np.asarray(rotation) @ [0.0, 0.0, 1.0]
    return float(np.degrees(np.arctan2(forward[0], -forward[2])))
