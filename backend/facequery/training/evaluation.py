"""Measuring a detector on folders of annotated photographs."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from facequery.assets import source_data
from facequery.errors import UserError
from facequery.geometry.crops import apply_affine, crop_from_points, sample_crop
from facequery.head.layouts import layout_names, load_layout
from facequery.head.model import HeadModel
from facequery.models.landmarks import LandmarkNet
from facequery.models.weights import load_landmark_net
from facequery.training import annotated, calibration
from facequery.training.annotated import AnnotatedSet

CALIBRATION_SET = "real_dev/lfpw"  # the only set that queries may be optimised on
SMALLEST, LARGEST = 0.08, 0.60  # height of the face over the canvas's
MOST_ROLL = 45.0  # degrees
FACELESS = 100

# picture (H, W, 3) uint8 -> faces (k, 4, 2) pixels: right eye, left eye, right and left mouth corner; surest first
Find = Callable[[NDArray[Any]], NDArray[np.float64]]


@dataclass(frozen=True)
class Prediction:
    """Landmarks of a set: `xy` (n, N, 2) picture pixels (NaN where the face was missed), `sigma` (n, N) pixels,
    `missed` (n,), and the milliseconds a face took."""

    xy: NDArray[np.float64]
    sigma: NDArray[np.float64]
    missed: NDArray[np.bool_]
    milliseconds: float


def evaluate_folder(
    folder: Path, weights: Path | str = "landmarks", crop: Literal["points", "auto"] = "points",
    layout: str | None = None, calibrate: bool = False, find: Find | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Figures of a detector on one folder of annotated pictures (see `load_annotated` for its form).

    `crop` "points": crops from the annotation's box, as protocols have it; "auto": the whole pipeline, every picture
    pasted onto a canvas so that the face is 8-60 % of its height, anywhere, turned by up to 45 degrees, from a seed;
    a missed face counts as an error of 100 %. `layout`: the query positions, by default the set's own layout.
    `calibrate`: queries are optimised on `real_dev/lfpw` first; on that set itself in two folds, so that no face is
    scored with points placed on it. `find` replaces the shipped face finder.
    """
    chosen = annotated.load_annotated(folder)
    network, _ = load_landmark_net(weights)
    name = layout or chosen.layout
    queries = load_layout(name).positions * HeadModel.load().scale
    if len(queries) != chosen.points.shape[1]:
        raise UserError(
            f'The layout "{name}" has {len(queries)} points, the pictures in "{folder}" have {chosen.points.shape[1]}.',
            f"Layouts: {', '.join(layout_names())}.", "FQ524",
        )  # fmt: skip
    per_face = np.broadcast_to(queries, (len(chosen.paths), *queries.shape))
    if calibrate:
        per_face = calibrated_queries(network, chosen, queries)
    extra: dict[str, Any] = {}
    if crop == "points":
        prediction, truth, ocular = predict_points(network, chosen, per_face), chosen.points, chosen.ocular
    else:
        find = find or shipped_finder()
        prediction, truth, ocular = predict_auto(network, chosen, per_face, find)
        extra["false_per_100"] = false_detections(find)
    errors = annotated.normalised_errors(prediction.xy, truth, ocular)
    figures: dict[str, Any] = {
        "set": chosen.name, "crop": crop, "layout": name + ("+calibrated" if calibrate else ""),
        "faces": len(chosen.paths), "missed": int(prediction.missed.sum()),
        **annotated.summary(errors, chosen), **extra, **sigma_figures(prediction, truth, ocular),
        "ms_per_face": round(prediction.milliseconds, 2),
    }  # fmt: skip
    return figures


def predict_points(network: LandmarkNet, chosen: AnnotatedSet, queries: NDArray) -> Prediction:
    """Landmarks in crops from the annotation's boxes; queries (n, N, 3) of every picture in network units."""
    crops = chosen.crops()
    images = chosen.images(crops, network.config.input_size)
    begin = time.perf_counter()
    xy, sigma = _decode_each(network, calibration.describe(network, images), queries)
    spent = 1000 * (time.perf_counter() - begin) / len(images)
    half = np.abs(np.linalg.det(crops[..., :2])) ** 0.5
    return Prediction(apply_affine(crops, xy), sigma * half[:, None], np.zeros(len(images), bool), spent)


def predict_auto(
    network: LandmarkNet, chosen: AnnotatedSet, queries: NDArray, find: Find, seed: int = 0
) -> tuple[Prediction, NDArray, NDArray]:
    """Landmarks found on canvases, in canvas pixels, with the truth (n, N, 2) and the ocular distances (n,) there.

    The face that is scored is the one found nearest to the annotated one: of several people in a picture only one is
    annotated.
    """
    xy = np.full(chosen.points.shape, np.nan)
    sigma = np.full(chosen.points.shape[:2], np.nan)
    truth = np.empty_like(chosen.points)
    spent = 0.0
    for i, path in enumerate(chosen.paths):
        rng = np.random.default_rng([seed, i])
        canvas, matrix = place_on_canvas(annotated.read_rgb(path), chosen.points[i], rng)
        truth[i] = apply_affine(matrix, chosen.points[i])
        begin = time.perf_counter()
        faces = find(canvas)
        low, high = truth[i].min(0), truth[i].max(0)
        inside = [f for f in faces if np.linalg.norm(f.mean(0) - (low + high) / 2) < 0.5 * (high - low).max()]
        if inside:
            nearest = min(inside, key=lambda f: float(np.linalg.norm(f.mean(0) - (low + high) / 2)))
            crop = refined_crop(network, canvas, crop_from_points(nearest))
            image = sample_crop(canvas, crop, network.config.input_size)
            found, own = _decode_each(network, calibration.describe(network, image[None]), queries[i : i + 1])
            xy[i] = apply_affine(crop, found[0])
            sigma[i] = own[0] * np.abs(np.linalg.det(crop[:, :2])) ** 0.5
        spent += time.perf_counter() - begin
    first, second = annotated.OUTER_EYE_CORNERS[chosen.layout]
    ocular = np.linalg.norm(truth[:, first] - truth[:, second], axis=-1)
    prediction = Prediction(xy, sigma, np.isnan(xy[:, 0, 0]), 1000 * spent / len(chosen.paths))
    return prediction, truth, ocular


def refined_crop(network: LandmarkNet, image: NDArray[Any], crop: NDArray[np.float64]) -> NDArray[np.float64]:
    """The crop (2, 3) that the detector itself would choose, having seen a first one: from the landmarks of the head's
    normalisation points, which it places better than the face finder does.
    """
    model = HeadModel.load()
    queries = model.rest[model.normalisation_vertices] * model.scale
    view = sample_crop(image, crop, network.config.input_size)
    xy, _ = calibration.locate(network, calibration.describe(network, view[None]), queries)
    corners = apply_affine(crop, xy[0])
    eyes = 0.5 * (corners[[0, 2]] + corners[[1, 3]])
    return crop_from_points(np.concatenate([eyes, corners[4:]]))


def place_on_canvas(
    image: NDArray[Any], points: NDArray, rng: np.random.Generator
) -> tuple[NDArray[Any], NDArray[np.float64]]:
    """A canvas with the picture pasted at random, and the matrix (2, 3) from picture to canvas pixels.

    The face's height (extent of its points along its own upright) is 8-60 % of the canvas's, evenly in its logarithm;
    the whole face is inside; roll is even within 45 degrees. The ground is the picture itself, blurred beyond
    recognition.
    """
    height, width = [(480, 640), (640, 480), (540, 960), (720, 720)][int(rng.integers(4))]
    low, high = points.min(0), points.max(0)
    face = float(high[1] - low[1])
    scale = height * np.exp(rng.uniform(np.log(SMALLEST), np.log(LARGEST))) / face
    angle = np.radians(rng.uniform(-MOST_ROLL, MOST_ROLL))
    linear = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    moved = points @ linear.T
    lowest, highest = moved.min(0), moved.max(0)
    room = np.array([width, height]) - (highest - lowest)
    shift = rng.random(2) * np.maximum(room, 0) + np.minimum(room, 0) / 2 - lowest
    matrix = np.hstack([linear, shift[:, None]])
    small = cv2.resize(image, (9, 9), interpolation=cv2.INTER_AREA)
    ground = cv2.resize(small[::-1], (width, height), interpolation=cv2.INTER_CUBIC)
    if scale < 1:
        fine = [max(4, round(n * scale)) for n in image.shape[:2]]
        shrink = np.array([image.shape[1] / fine[1], image.shape[0] / fine[0]])
        image = cv2.resize(image, (fine[1], fine[0]), interpolation=cv2.INTER_AREA)
        inner = np.hstack([linear * shrink, shift[:, None]])
    else:
        inner = matrix
    for_cv = inner.copy()
    for_cv[:, 2] += inner[:, :2] @ [0.5, 0.5] - 0.5  # OpenCV counts from pixel centres
    share = cv2.warpAffine(np.full(image.shape[:2], 255, np.uint8), for_cv, (width, height))[..., None] / 255.0
    pasted = cv2.warpAffine(image, for_cv, (width, height), borderMode=cv2.BORDER_REPLICATE)
    return (ground * (1 - share) + pasted * share + 0.5).astype(np.uint8), matrix


def false_detections(find: Find, seed: int = 0) -> float:
    """Faces found per 100 pictures without one: pieces of the source data's environments and textures."""
    rng = np.random.default_rng(seed)
    folders = [source_data("hdri"), source_data("textures")]
    paths = sorted(p for folder in folders for p in folder.iterdir() if p.suffix in (".jpg", ".png", ".exr", ".hdr"))
    count = 0
    for _ in range(FACELESS):
        image = _viewable(paths[int(rng.integers(len(paths)))])
        height, width = image.shape[:2]
        side = int(min(height, width) * rng.uniform(0.4, 1.0))
        top, left = (int(rng.integers(0, n - side + 1)) for n in (height, width))
        piece = image[top : top + side, left : left + side]
        count += len(find(cv2.resize(piece, (480, 480), interpolation=cv2.INTER_AREA)))
    return 100.0 * count / FACELESS


def _viewable(path: Path) -> NDArray[Any]:
    if path.suffix in (".exr", ".hdr"):
        import OpenImageIO as oiio

        pixels = np.asarray(oiio.ImageBuf(str(path)).get_pixels(oiio.FLOAT))[..., :3]
        return (255 * np.clip(pixels / (np.median(pixels) * 4 + 1e-6), 0, 1) ** (1 / 2.2)).astype(np.uint8)
    return annotated.read_rgb(path)


def shipped_finder() -> Find:
    """The face finder that ships, as a function from picture to points."""
    from facequery.detection.finder import FaceFinder

    finder = FaceFinder.from_pretrained()

    def find(image: NDArray[Any]) -> NDArray[np.float64]:
        faces = finder.find(image)
        return np.stack([face.points for face in faces]) if faces else np.zeros((0, 4, 2))

    return find


def calibrated_queries(network: LandmarkNet, chosen: AnnotatedSet, start: NDArray) -> NDArray[np.float32]:
    """Queries (n, 68, 3) of every picture, optimised on `real_dev/lfpw`, whose own faces are split in two folds."""
    if chosen.layout != "ibug68":
        raise UserError(
            f'Queries are calibrated for "ibug68" alone, not "{chosen.layout}".', "Drop --calibrate.", "FQ525"
        )
    guide = annotated.load_annotated(source_data(CALIBRATION_SET))
    crops = guide.crops()
    descriptors = calibration.describe(network, guide.images(crops, network.config.input_size))
    target = annotated.to_crop(guide.points, crops)
    own = chosen.name == guide.name and len(chosen.paths) == len(guide.paths)
    fold = np.arange(len(guide.paths)) % 2
    if not own:
        fitted = calibration.optimise_queries(network, descriptors, target, start)
        return np.broadcast_to(fitted, (len(chosen.paths), *fitted.shape))
    result = np.empty((len(fold), *start.shape), np.float32)
    for part in (0, 1):
        others = fold != part
        kept = descriptors[torch.from_numpy(others)]
        result[fold == part] = calibration.optimise_queries(network, kept, target[others], start)
    return result


def sigma_figures(prediction: Prediction, truth: NDArray, ocular: NDArray) -> dict[str, float]:
    """How far sigma can be trusted: share of |dx|, |dy| inside 1 and 2 sigma (a Gaussian has 68 and 95 percent), and
    the rank correlation of error and sigma over faces, mean over the landmarks."""
    seen = ~prediction.missed
    if seen.sum() < 3:
        return {}
    residual = np.abs(prediction.xy - truth)[seen]
    sigma = prediction.sigma[seen]
    error = np.linalg.norm(residual, axis=-1) / ocular[seen, None]
    relative = sigma / ocular[seen, None]
    ranks = [annotated.spearman(error[:, k], relative[:, k]) for k in range(error.shape[1])]
    return {
        "inside_1_sigma": round(100 * float((residual < sigma[..., None]).mean()), 1),
        "inside_2_sigma": round(100 * float((residual < 2 * sigma[..., None]).mean()), 1),
        "sigma_rank": round(float(np.mean(ranks)), 3),
    }


@torch.no_grad()
def _decode_each(network: LandmarkNet, descriptors: torch.Tensor, queries: NDArray) -> tuple[NDArray, NDArray]:
    """Landmarks and sigma in crop coordinates; queries (n, N, 3), one set for each descriptor (n, d)."""
    each = torch.from_numpy(np.array(queries, np.float32))
    xy, log_sigma = network.decode(descriptors, each)
    return xy.double().numpy(), log_sigma.exp().double().numpy()
