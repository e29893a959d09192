"""Data sets are query sets: one reader interface for renders, portraits and mixes of them.

An `Example` is an image with 3D queries and the 2D points where they lie. A source has `sample(rng) -> Example`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from facequery.errors import UserError
from facequery.geometry.crops import apply_affine, compose, crop_from_points, invert_affine, sample_crop
from facequery.training import augment
from facequery.training.configs import DataConfig

RENDERS, PORTRAITS = 0, 1  # data set numbers; 0 is the reference of the semantic correction
_STORED = 288  # side of the portraits kept in memory, pixels
_STORED_REACH = 1.55  # how much more than the crop they show, so that the crop can be shifted and turned


@dataclass(frozen=True)
class Example:
    """One training image: `image` (S, S, 3) uint8 RGB, `query` (n, 3) network units, `xy` (n, 2) crop coordinates,
    `weight` (n,) (0 = unlabelled), `dataset` its number.
    """

    image: NDArray[np.uint8]
    query: NDArray[np.float32]
    xy: NDArray[np.float32]
    weight: NDArray[np.float32]
    dataset: int


class Source(Protocol):
    """Anything that examples can be drawn from."""

    def sample(self, rng: np.random.Generator) -> Example: ...


def normalisation_points(points: NDArray) -> NDArray:
    """The four points of face normalisation (..., 4, 2) from points (..., 478, 2) of MediaPipe's mesh.

    An eye is the middle of its corners, as HeadModel.normalisation_points has it.
    """
    return np.stack(
        [
            points[..., [33, 133], :].mean(-2),
            points[..., [362, 263], :].mean(-2),
            points[..., 61, :],
            points[..., 291, :],
        ],
        -2,
    )


def rarity(points: NDArray) -> NDArray[np.float64]:
    """Probabilities (n,) to draw portraits with points (n, 478, 2) of MediaPipe's mesh: open mouths and turned heads up
    to four times as often as the many that look into the camera with closed lips.
    """
    four = normalisation_points(points)
    across = four[:, 1] - four[:, 0]
    length = np.linalg.norm(across, axis=-1)
    opening = np.linalg.norm(points[:, 13] - points[:, 14], axis=-1) / length
    middle = four.mean(1)
    aside = np.abs(((points[:, 1] - middle) * across).sum(-1)) / length**2  # the nose's tip off the face's middle
    weight = 1 + 3 * np.clip(opening / 0.25, 0, 1) + 2 * np.clip(aside / 0.35, 0, 1)
    return weight / weight.sum()


class PortraitSource:
    """Portraits with pseudo-labels, changed at random at every draw.

    `labels`: npz of tools/label_portraits.py; `positions` (478, 3): the layout's queries in network units. Images are
    kept in memory as generous crops.
    """

    def __init__(self, labels: Path, positions: NDArray[np.float32], size: int, config: DataConfig) -> None:
        if not labels.exists():
            raise UserError(
                f'There are no portrait labels at "{labels}".',
                "Make them with tools/label_portraits.py, or train with data.portraits = 0.", "FQ502",
            )  # fmt: skip
        with np.load(labels) as data:
            root, names = Path(str(data["root"])), [str(name) for name in data["images"]]
            points, sigma, self.mirror = data["points"], data["sigma"], data["mirror"]
        if positions.shape != (points.shape[1], 3):
            raise ValueError(f"positions must be ({points.shape[1]}, 3), not {positions.shape}")
        self.size, self.config, self.positions = size, config, positions.astype(np.float32)
        self.images = np.empty((len(names), _STORED, _STORED, 3), np.uint8)
        self.crops = np.empty((len(names), 2, 3))
        self.points = np.empty_like(points)
        self.weights = np.empty(sigma.shape, np.float32)
        for i, name in enumerate(names):
            image = cv2.imread(str(root / name))
            if image is None:
                raise UserError(f'The portrait "{root / name}" is missing.', "Label the portraits again.", "FQ503")
            crop = crop_from_points(normalisation_points(points[i]))
            stored = compose(crop, [[_STORED_REACH, 0, 0], [0, _STORED_REACH, 0]])
            border = "edge" if i % 2 else "black"
            self.images[i] = sample_crop(image[..., ::-1], stored, _STORED, border)  # type: ignore[arg-type]
            to_stored = compose([[_STORED / 2, 0, _STORED / 2], [0, _STORED / 2, _STORED / 2]], invert_affine(stored))
            self.crops[i] = compose(to_stored, crop)
            self.points[i] = apply_affine(to_stored, points[i])
            # views that disagree about a point by 1.5 % of the crop's half side leave it half its weight
            spread = sigma[i] / np.abs(np.linalg.det(crop[:, :2])) ** 0.5
            self.weights[i] = 1 / (1 + (spread / 0.015) ** 2)
        self.chances = rarity(points) if config.rare else np.full(len(names), 1 / len(names))

    def sample(self, rng: np.random.Generator) -> Example:
        """A portrait, flipped or not, in a jittered crop, with a random subset of its points."""
        i = int(rng.choice(len(self.images), p=self.chances))
        config, crop = self.config, self.crops[i]
        if config.affine:
            crop = augment.jitter_crop(rng, crop)
        image = sample_crop(self.images[i], crop, self.size)
        xy = apply_affine(invert_affine(crop), self.points[i])
        weight = self.weights[i]
        if config.flip and rng.random() < 0.5:
            image = np.ascontiguousarray(image[:, ::-1])
            xy = (xy * [-1, 1])[self.mirror]
            weight = weight[self.mirror]
        if rng.random() < config.cutout:
            image = augment.cover(rng, image)
        if config.colour:
            image = augment.degrade(rng, augment.colour(rng, image))
        chosen = rng.permutation(len(xy))[: config.queries]
        return Example(image, self.positions[chosen], xy[chosen].astype(np.float32), weight[chosen], PORTRAITS)


class Mix:
    """Sources with weights. `sample` draws the source first; `shares` tell a stream how to split batches."""

    def __init__(self, sources: Sequence[Source], weights: Sequence[float]) -> None:
        total = sum(weights)
        if not sources or total <= 0:
            raise ValueError("a mix needs at least one source with a positive weight")
        self.sources = list(sources)
        self.shares = [w / total for w in weights]

    def sample(self, rng: np.random.Generator) -> Example:
        return self.sources[int(rng.choice(len(self.sources), p=self.shares))].sample(rng)
