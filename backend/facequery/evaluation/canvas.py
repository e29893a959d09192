"""Pictures for the whole pipeline: faces anywhere on a canvas, and pictures without a face. All from seeds."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from facequery.assets import source_data
from facequery.evaluation.annotated import AnnotatedSet, read_rgb
from facequery.geometry.crops import apply_affine

SMALLEST, LARGEST = 0.08, 0.60  # height of the face over the canvas's
MOST_ROLL = 45.0  # degrees
FACELESS = 100


def canvases(chosen: AnnotatedSet, seed: int = 0) -> Iterator[tuple[NDArray[Any], NDArray[np.float64]]]:
    """Every picture of a set on its canvas, (H, W, 3) uint8, with the annotation (N, 2) there. Picture i depends on
    `seed` and i alone, so that several detectors can be shown the same."""
    for i, path in enumerate(chosen.paths):
        rng = np.random.default_rng([seed, i])
        canvas, matrix = place_on_canvas(read_rgb(path), chosen.points[i], rng)
        yield canvas, apply_affine(matrix, chosen.points[i])


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


def faceless(count: int = FACELESS, seed: int = 0) -> Iterator[NDArray[np.uint8]]:
    """Pictures (480, 480, 3) without a face: pieces of the source data's environments and textures."""
    rng = np.random.default_rng(seed)
    folders = [source_data("hdri"), source_data("textures")]
    paths = sorted(p for folder in folders for p in folder.iterdir() if p.suffix in (".jpg", ".png", ".exr", ".hdr"))
    for _ in range(count):
        image = _viewable(paths[int(rng.integers(len(paths)))])
        height, width = image.shape[:2]
        side = int(min(height, width) * rng.uniform(0.4, 1.0))
        top, left = (int(rng.integers(0, n - side + 1)) for n in (height, width))
        piece = image[top : top + side, left : left + side]
        yield np.asarray(cv2.resize(piece, (480, 480), interpolation=cv2.INTER_AREA), np.uint8)


def nearest_face(centres: NDArray, truth: NDArray) -> int | None:
    """Which of the faces found, by their middles (k, 2), is the annotated one, whose points are `truth` (N, 2).

    The nearest, if it is nearer than half the face's size: of several people in a picture only one is annotated.
    """
    if not len(centres):
        return None
    low, high = truth.min(0), truth.max(0)
    distance = np.linalg.norm(centres - (low + high) / 2, axis=-1)
    best = int(distance.argmin())
    return best if distance[best] < 0.5 * (high - low).max() else None


def _viewable(path: Path) -> NDArray[np.uint8]:
    if path.suffix in (".exr", ".hdr"):
        import OpenImageIO as oiio

        pixels = np.asarray(oiio.ImageBuf(str(path)).get_pixels(oiio.FLOAT))[..., :3]
        return (255 * np.clip(pixels / (np.median(pixels) * 4 + 1e-6), 0, 1) ** (1 / 2.2)).astype(np.uint8)
    return read_rgb(path)
