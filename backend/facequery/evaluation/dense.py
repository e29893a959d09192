"""Dense error: thousands of points of the skin on rendered pictures whose truth is exact."""

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


def dense_figures(detector: Detector, rendered: CyclesSet, count: int = QUERIES) -> dict[str, Any]:
    """Error in percent of the distance of the outer eye corners over `count` surface points of every picture.

    `dense_nme` counts all points, as CLD does, `dense_seen` those that are seen, `dense_frontal` all points of faces
    turned by less than 30 degrees, `dense_median` the median over faces. In profile the eye corners fall together in
    the picture, and the measure with them: `dense_nme_3d` divides by their distance in space as it would look from the
    front, at their depth. `dense_floor`: what is left, over the same, to who knows everybody's identity coefficients,
    expression, pose and camera, and nothing of the shape beside the basis that held-out people have.
    Crops come from the true points.
    """
    model = HeadModel.load()
    queries = dense_queries(model, count)
    binding = model.bind(queries.positions)
    eyes = model.bind(load_layout("ibug68").subset(np.array([36, 45])).positions)
    four = model.rest[model.normalisation_vertices]
    corners = model.bind(four)
    errors, seen, yaw, foreshortened, floor = [], [], [], [], []
    for index in range(len(rendered)):
        truth, _, visible = rendered.points(index, model, binding)
        at = rendered.points(index, model, corners)[0]
        crop = tightened(crop_from_points(four_points(at)))
        picture = sample_crop(rendered.image(index), crop, detector.size)
        inside, spread = detector.look(picture[None], queries.positions)
        xy, _ = to_pixels(inside[0], spread[0], crop)
        (first, second), depth, _ = rendered.points(index, model, eyes)
        label = rendered.label(index)
        ocular = float(np.linalg.norm(first - second))
        from_front = _distance(eyes.moved(label["canonical"], np.asarray(model.rest, float))) * label["camera"][0]
        errors.append(np.linalg.norm(xy - truth, axis=-1) / ocular)
        floor.append(np.linalg.norm(_on_basis(model, binding, label) - truth, axis=-1) / ocular)
        foreshortened.append(ocular / (from_front / depth.mean()))
        seen.append(visible)
        yaw.append(abs(turned(label["rotation"])))
    return _figures(*(np.array(found) for found in (errors, seen, yaw, foreshortened, floor)))


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


def _figures(errors: NDArray, seen: NDArray, yaw: NDArray, foreshortened: NDArray, floor: NDArray) -> dict[str, Any]:
    per_face = 100 * errors.mean(1)
    frontal = yaw < YAW_BINS[0][1]
    figures = {
        "dense_points": errors.shape[1], "dense_nme": per_face.mean(), "dense_seen": 100 * errors[seen].mean(),
        "dense_median": np.median(per_face), "dense_nme_3d": (per_face * foreshortened).mean(),
        "dense_floor": (100 * floor.mean(1) * foreshortened).mean(),
    }  # fmt: skip
    if frontal.any():
        figures["dense_frontal"] = per_face[frontal].mean()
    return {k: v if isinstance(v, int) else round(float(v), 3) for k, v in figures.items()}
