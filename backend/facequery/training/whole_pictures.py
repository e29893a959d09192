"""Whole pictures with faces anywhere in them, for the face finder: renders, and portraits pasted onto a ground.

They travel as examples: `xy` (MOST_FACES * 4, 2) holds the four points of every face in coordinates of the picture
([-1, 1]), `weight` is 1 where there is a face; there are no queries.
"""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from facequery.errors import UserError
from facequery.geometry.crops import apply_affine
from facequery.training import augment
from facequery.training.configs import DataConfig
from facequery.training.examples import PORTRAITS, RENDERS, Example
from facequery.training.readers import normalisation_points, portrait_labels

MOST_FACES = 4
SMALLEST, LARGEST = 0.08, 0.60  # height of a face (brows to chin) over the picture's
_FACE_HEIGHT = 2.15  # that height over the distance from eyes to mouth


def picture_example(image: NDArray[Any], faces: list[NDArray], dataset: int) -> Example:
    """An example from a square picture (S, S, 3) and its faces, each (4, 2) pixels."""
    size = image.shape[0]
    xy = np.zeros((MOST_FACES * 4, 2), np.float32)
    weight = np.zeros(MOST_FACES * 4, np.float32)
    for i, face in enumerate(faces[:MOST_FACES]):
        xy[4 * i : 4 * i + 4] = np.asarray(face) * (2 / size) - 1
        weight[4 * i : 4 * i + 4] = 1
    return Example(image, np.zeros((MOST_FACES * 4, 3), np.float32), xy, weight, dataset)


class RenderedPictureSource:
    """Pictures of facequery.synthesis.pictures: up to three rendered faces, or none."""

    def __init__(self, size: int) -> None:
        from facequery.synthesis.pictures import whole_picture

        self.size, self.make = size, whole_picture

    def sample(self, rng: np.random.Generator) -> Example:
        image, faces, *_ = self.make(rng, self.size, self.size)
        return picture_example(image, list(faces), RENDERS)


class PastedPortraitSource:
    """Portraits turned, scaled and moved in front of what is left of their own or another portrait's surroundings.

    One picture in eight has no face: only the ground, which is a much magnified piece of a portrait's border, a
    gradient, or noise.
    """

    def __init__(self, labels: Path, size: int, config: DataConfig) -> None:
        data = portrait_labels(labels)
        root, names = Path(str(data["root"])), [str(name) for name in data["images"]]
        points = data["points"]
        self.size, self.config = size, config
        self.images: list[NDArray[Any]] = []
        self.faces: list[NDArray] = []
        for name, own in zip(names, points, strict=True):
            image = cv2.imread(str(root / name))
            if image is None:
                raise UserError(f'The portrait "{root / name}" is missing.', "Label the portraits again.", "FQ243")
            scale = min(1.0, 320 / max(image.shape))
            small = cv2.resize(image[..., ::-1], None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
            self.images.append(np.ascontiguousarray(small))
            self.faces.append(normalisation_points(own) * scale)

    def sample(self, rng: np.random.Generator) -> Example:
        size = self.size
        image = self._ground(rng)
        faces: list[NDArray] = []
        if rng.random() > 0.12:
            i = int(rng.integers(len(self.images)))
            portrait, four = self.images[i], self.faces[i]
            if rng.random() < 0.5:
                portrait = np.ascontiguousarray(portrait[:, ::-1])
                four = ((four * [-1, 1]) + [portrait.shape[1], 0])[[1, 0, 3, 2]]
            down = four[2:].mean(0) - four[:2].mean(0)
            height = _FACE_HEIGHT * max(np.linalg.norm(down), 0.95 * np.linalg.norm(four[1] - four[0]))
            scale = size * np.exp(rng.uniform(np.log(SMALLEST), np.log(LARGEST))) / height
            angle = np.radians(rng.uniform(-60, 60) if rng.random() < 0.5 else rng.normal(0, 12))
            turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) * scale
            centre = four.mean(0)
            reach = 0.5 * height * scale
            place = rng.uniform(min(0.7 * reach, size / 2), max(size - 0.7 * reach, size / 2), 2)
            matrix = np.hstack([turn, (place - turn @ centre)[:, None]])
            image = _paste(image, portrait, matrix, rng)
            faces.append(apply_affine(matrix, four))
        if rng.random() < 0.25 and not faces:
            image = augment.cover(rng, image)
        image = augment.degrade(rng, augment.colour(rng, image))
        return picture_example(image, faces, PORTRAITS)

    def _ground(self, rng: np.random.Generator) -> NDArray[Any]:
        if rng.random() < 0.6:
            return strip_ground(rng, self.images[int(rng.integers(len(self.images)))], self.size)
        return rough_ground(rng, self.size)


def strip_ground(rng: np.random.Generator, portrait: NDArray[Any], size: int) -> NDArray[Any]:
    """A ground (size, size, 3) from the outer strip of a portrait: walls, trees, clothes, hair, never a face."""
    width = max(8, portrait.shape[1] // 7)
    strip = portrait[:, :width] if rng.random() < 0.5 else portrait[:, -width:]
    return cv2.resize(strip, (size, size), interpolation=cv2.INTER_LINEAR)


def rough_ground(rng: np.random.Generator, size: int) -> NDArray[Any]:
    """A ground (size, size, 3) of coloured noise, coarse or fine."""
    cells = (int(rng.integers(2, 40)), int(rng.integers(2, 40)), 3)
    rough = np.clip(rng.uniform(0, 255, 3) + rng.normal(0, rng.uniform(3, 70), cells), 0, 255).astype(np.uint8)
    return cv2.resize(rough, (size, size), interpolation=cv2.INTER_LINEAR)


def _paste(ground: NDArray[Any], portrait: NDArray[Any], matrix: NDArray, rng: np.random.Generator) -> NDArray[Any]:
    """Put a portrait, mapped by a matrix (2, 3) in continuous pixels, onto a ground; often its border is repeated."""
    size = ground.shape[0]
    scale = abs(np.linalg.det(matrix[:, :2])) ** 0.5
    if scale < 1:  # average over areas first, so that small faces do not alias
        height, width = (max(8, round(n * scale)) for n in portrait.shape[:2])
        shrink = np.array([portrait.shape[1] / width, portrait.shape[0] / height])
        portrait = cv2.resize(portrait, (width, height), interpolation=cv2.INTER_AREA)
        matrix = np.hstack([matrix[:, :2] * shrink, matrix[:, 2:]])
    shifted = matrix.copy()
    shifted[:, 2] += matrix[:, :2] @ [0.5, 0.5] - 0.5  # OpenCV counts from pixel centres
    if rng.random() < 0.35:
        return cv2.warpAffine(portrait, shifted, (size, size), borderMode=cv2.BORDER_REPLICATE)
    mask = cv2.warpAffine(np.full(portrait.shape[:2], 255, np.uint8), shifted, (size, size))
    picture = cv2.warpAffine(portrait, shifted, (size, size), borderMode=cv2.BORDER_REPLICATE)
    share = (mask[..., None] / 255).astype(np.float32)
    return (ground * (1 - share) + picture * share).astype(np.uint8)
