"""Folders of photographs with points set by hand, and errors measured on them. Evaluation only, never training."""

import json
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from facequery.errors import UserError
from facequery.geometry.crops import crop_from_box, invert_affine, sample_crop

GROUPS_68 = {
    "contour": range(0, 17), "brows": range(17, 27), "nose": range(27, 36), "eyes": range(36, 48),
    "mouth": range(48, 68),
}  # fmt: skip
OUTER_EYE_CORNERS = {"ibug68": (36, 45), "frl189": (18, 27)}  # the subject's right, left: inter-ocular distance
NOT_SKIN_189 = range(134, 158)  # hair line and outer oval: no fixed points of the skin


@dataclass(frozen=True)
class AnnotatedSet:
    """Pictures (paths) with points (n, N, 2) of one layout, continuous pixels (top-left pixel's centre (0.5, 0.5))."""

    name: str
    layout: str
    paths: tuple[Path, ...]
    points: NDArray[np.float64]

    @property
    def ocular(self) -> NDArray[np.float64]:
        """(n,) distance of the outer eye corners, pixels."""
        first, second = OUTER_EYE_CORNERS[self.layout]
        return np.linalg.norm(self.points[:, first] - self.points[:, second], axis=-1)

    @property
    def core(self) -> list[int]:
        """Points of the layout that are fixed points of the skin."""
        skipped = NOT_SKIN_189 if self.layout == "frl189" else ()
        return [i for i in range(self.points.shape[1]) if i not in skipped]

    def crops(self) -> NDArray[np.float64]:
        """(n, 2, 3) crop_to_image from the tight box of the annotation, as the 300-W protocol has it.

        For `frl189` the box is that of the points that `ibug68` would have: without ears, hair line and outer oval.
        """
        inner = list(range(0, 109)) + list(range(125, 134)) + list(range(158, 179))
        points = self.points[:, inner] if self.layout == "frl189" else self.points
        low, high = points.min(1), points.max(1)
        return crop_from_box(low[:, 0], low[:, 1], high[:, 0] - low[:, 0], high[:, 1] - low[:, 1])

    def images(self, crops: NDArray[np.float64], size: int) -> NDArray[np.uint8]:
        """(n, size, size, 3) the pictures' crops, RGB."""
        result = np.empty((len(self.paths), size, size, 3), np.uint8)
        for i, path in enumerate(self.paths):
            result[i] = sample_crop(read_rgb(path), crops[i], size)
        return result


def read_rgb(path: Path) -> NDArray[np.uint8]:
    """(H, W, 3) uint8. Raises UserError when the file is no readable picture."""
    image = cv2.imread(str(path))
    if image is None:
        raise UserError(f'The picture "{path}" cannot be read.', "Check the file.", "FQ520")
    return np.ascontiguousarray(image[..., ::-1])


def load_annotated(folder: Path) -> AnnotatedSet:
    """Read a folder with pictures and `landmarks.json`: a list of `{image, layout, points}`.

    The file has pixel centres on integers: half a pixel is added. Raises UserError for a missing or malformed file, an
    unknown layout, or more than one layout.
    """
    file = folder / "landmarks.json"
    if not file.exists():
        raise UserError(f'There is no "landmarks.json" in "{folder}".', "Give a folder of annotated pictures.", "FQ521")
    try:
        rows = json.loads(file.read_text())
        layouts = {row["layout"] for row in rows}
        points = np.array([row["points"] for row in rows], dtype=np.float64)
        paths = tuple(folder / row["image"] for row in rows)
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f'"{file}" is malformed.', "It must list {image, layout, points}.", "FQ522") from error
    if len(layouts) != 1 or points.ndim != 3 or not layouts <= set(OUTER_EYE_CORNERS):
        raise UserError(
            f'"{file}" must hold one of the layouts {", ".join(OUTER_EYE_CORNERS)}.', "Split it by layout.", "FQ523"
        )
    return AnnotatedSet(folder.name, layouts.pop(), paths, points + 0.5)


def normalised_errors(predicted: NDArray, truth: NDArray, ocular: NDArray) -> NDArray[np.float64]:
    """Errors (n, N) of points (n, N, 2) over the inter-ocular distance (n,). A face that was missed (NaN) counts 1."""
    errors = np.linalg.norm(predicted - truth, axis=-1) / ocular[:, None]
    return np.where(np.isfinite(errors), errors, 1.0)


def area_under_curve(per_face: NDArray, limit: float = 0.10) -> float:
    """Area under the cumulative distribution of faces' errors (n,) from 0 to `limit`, as a fraction of the whole."""
    return float(np.clip(1 - per_face / limit, 0, 1).mean())


def summary(errors: NDArray[np.float64], annotated: AnnotatedSet) -> dict[str, float]:
    """Figures of errors (n, N): NME in percent over all points, over the core, and for ibug68 by group."""
    figures = {"nme": 100 * errors.mean(), "nme_core": 100 * errors[:, annotated.core].mean()}
    if annotated.layout == "ibug68":
        per_face = errors.mean(1)
        figures |= {"nme68": 100 * per_face.mean(), "nme51": 100 * errors[:, 17:].mean()}
        figures |= {name: 100 * errors[:, list(group)].mean() for name, group in GROUPS_68.items()}
        figures |= {"fail10": 100 * float((per_face > 0.10).mean()), "auc10": 100 * area_under_curve(per_face)}
    return {name: round(float(value), 3) for name, value in figures.items()}


def spearman(a: NDArray, b: NDArray) -> float:
    """Rank correlation of two arrays (n,)."""
    ranks = [np.argsort(np.argsort(values)).astype(float) for values in (a, b)]
    return float(np.corrcoef(ranks[0], ranks[1])[0, 1])


def to_crop(points: NDArray, crops: NDArray) -> NDArray[np.float64]:
    """Image points (n, N, 2) in the coordinates of crops (n, 2, 3)."""
    inverse = invert_affine(crops)
    return points @ np.swapaxes(inverse[..., :2], -1, -2) + inverse[:, None, :, 2]
