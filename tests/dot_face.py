"""A face of four coloured dots, and stand-ins for the networks that see exactly those.

The dots are the four points of face normalisation, so that a query's place in a picture follows from them.
"""

import numpy as np
import torch
from facequery.detection.faces import Face, face_from_points
from facequery.geometry.align import apply_similarity, similarity_transform
from facequery.head.model import HeadModel

COLOURS = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 0]])
SIGMA = 0.02


def flat_points(positions: np.ndarray) -> np.ndarray:
    """Canonical positions (N, 3) as a camera far in front sees them, x right, y down (N, 2), metres."""
    return np.asarray(positions, dtype=np.float64)[:, :2] * [1, -1]


def four_points() -> np.ndarray:
    return flat_points(HeadModel.load().normalisation_points())


def placed(t: float) -> tuple[float, np.ndarray, np.ndarray]:
    """Scale, rotation and translation of the face at time t, metres to square pixels."""
    angle = 0.1 * np.sin(t / 9)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return 700.0, turn, np.array([110 + 1.5 * t, 90 + 0.7 * t])


def draw(t: float, width: int, height: int, aspect: float = 1.0, face: bool = True) -> np.ndarray:
    picture = np.full((height, width, 3), 90.0)
    if face:
        y, x = np.mgrid[:height, :width] + 0.5
        for point, colour in zip(apply_similarity(*placed(t), four_points()), COLOURS, strict=True):
            cover = np.clip(6.5 - np.hypot(x * aspect - point[0], y - point[1]), 0, 1)[..., None]
            picture = picture * (1 - cover) + colour * cover
    return np.round(picture).astype(np.uint8)


def true_pixels(t: float, positions: np.ndarray, aspect: float = 1.0) -> np.ndarray:
    """Where queries are in the plate's pixels."""
    return apply_similarity(*placed(t), flat_points(positions)) / [aspect, 1]


def dots(picture: np.ndarray) -> np.ndarray | None:
    """Centres (4, 2) of the coloured dots, continuous pixels."""
    found = []
    for colour in COLOURS:
        weight = np.clip(1 - np.abs(picture.astype(np.float64) - colour).max(axis=-1) / 120, 0, 1)
        if weight.sum() < 3:
            return None
        y, x = np.mgrid[: picture.shape[0], : picture.shape[1]] + 0.5
        found.append([(weight * x).sum() / weight.sum(), (weight * y).sum() / weight.sum()])
    return np.array(found)


class DotFinder:
    device = torch.device("cpu")

    def find_batch(self, images):
        return [self.find(image) for image in images]

    def find(self, image) -> list[Face]:
        points = dots(image)
        return [] if points is None else [face_from_points(points, 0.9)]


class DotDetector:
    size = 96
    device = torch.device("cpu")
    answers_singly = True

    def encode(self, crops):
        return list(crops)

    def decode(self, descriptor, positions):
        xy, sigma = [], []
        for crop in descriptor:
            points = dots(crop)
            if points is None:
                xy.append(np.zeros((len(positions), 2)))
                sigma.append(np.full(len(positions), 0.5))
                continue
            motion = similarity_transform(four_points(), points * 2 / self.size - 1)
            xy.append(apply_similarity(*motion, flat_points(positions)))
            sigma.append(np.full(len(positions), SIGMA))
        return np.array(xy, np.float32), np.array(sigma, np.float32)

    def look(self, crops, positions):
        return self.decode(self.encode(crops), positions)

    def see(self, crops):
        return np.asarray(crops)[None]

    def read(self, views, positions):
        return self.decode(views[0], positions)
