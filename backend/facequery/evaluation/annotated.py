"""Folders of photographs with points set by hand. Evaluation only, never training."""

import json
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from facequery.errors import UserError
from facequery.evaluation.errors import OUTER_EYE_CORNERS, inter_ocular
from facequery.geometry.crops import crop_from_box, invert_affine, sample_crop

# Where a set's files put the centre of the top-left pixel, both coordinates; elsewhere it is at 0. 300-W's count from 1
# as MATLAB does. The horizontal offset shows it, for in the mean over both sides a detector that averages with the
# mirrored picture cannot have one: with 0 assumed everywhere, ours lay 0.9 and 1.5 pixels (MediaPipe's mesh 1.0 and
# 1.3) to the left of LFPW's and AFW's points, whatever the size of the face, and 0.6 and 0.4 of London's and Canada's.
FIRST_CENTRE = {"lfpw": 1.0, "afw": 1.0, "london": 0.5, "canada": 0.5}


@dataclass(frozen=True)
class AnnotatedSet:
    """Pictures (paths) with points (n, N, 2) of one layout, continuous pixels (top-left pixel's centre (0.5, 0.5));
    `first_centre` is what that centre's coordinates are taken to be in the file."""

    name: str
    layout: str
    paths: tuple[Path, ...]
    points: NDArray[np.float64]
    first_centre: float = 0.0

    @property
    def ocular(self) -> NDArray[np.float64]:
        """(n,) distance of the outer eye corners, pixels."""
        return inter_ocular(self.points, self.layout)

    def subset(self, chosen: NDArray | slice) -> "AnnotatedSet":
        """The pictures at `chosen`: numbers, booleans or a slice."""
        index = np.arange(len(self.paths))[chosen]
        paths = tuple(self.paths[i] for i in index)
        return replace(self, paths=paths, points=self.points[index])

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
        raise UserError(f'The picture "{path}" cannot be read.', "Check the file.", "FQ260")
    return np.ascontiguousarray(image[..., ::-1])


def load_annotated(folder: Path, first_centre: float | None = None) -> AnnotatedSet:
    """Read a folder with pictures and `landmarks.json`: a list of `{image, layout, points}`.

    `first_centre`: where the file puts the centre of the top-left pixel, both coordinates; by default 0, but for the
    folders named in FIRST_CENTRE. Raises UserError for a missing or malformed file, an unknown layout, or more than one
    layout.
    """
    file = folder / "landmarks.json"
    if not file.exists():
        raise UserError(f'There is no "landmarks.json" in "{folder}".', "Give a folder of annotated pictures.", "FQ261")
    try:
        rows = json.loads(file.read_text())
        layouts = {row["layout"] for row in rows}
        points = np.array([row["points"] for row in rows], dtype=np.float64)
        paths = tuple(folder / row["image"] for row in rows)
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f'"{file}" is malformed.', "It must list {image, layout, points}.", "FQ262") from error
    if len(layouts) != 1 or points.ndim != 3 or not layouts <= set(OUTER_EYE_CORNERS):
        raise UserError(
            f'"{file}" must hold one of the layouts {", ".join(OUTER_EYE_CORNERS)}.', "Split it by layout.", "FQ263"
        )
    first = FIRST_CENTRE.get(folder.name, 0.0) if first_centre is None else first_centre
    return AnnotatedSet(folder.name, layouts.pop(), paths, points + 0.5 - first, first)


def to_crop(points: NDArray, crops: NDArray) -> NDArray[np.float64]:
    """Image points (n, N, 2) in the coordinates of crops (n, 2, 3)."""
    inverse = invert_affine(crops)
    return points @ np.swapaxes(inverse[..., :2], -1, -2) + inverse[:, None, :, 2]
