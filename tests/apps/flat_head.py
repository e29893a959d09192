"""A head seen by a camera that stands far off, and a network that knows exactly where everything is in its pictures."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from facequery.apps.dense import DenseFace, DenseHead, Sight
from facequery.geometry.rotations import euler_to_matrix
from facequery.head.model import HeadModel

CROP = np.array([[150.0, 0, 200.0], [0, 150.0, 200.0]])  # crop coordinates to pixels of a plate of 400 x 400
SIZE = 400
TO_CAMERA = np.diag([1.0, -1.0, -1.0])
SCALE, DOWN = 8.0, -0.035  # crop units a metre; the height that is in the middle of the crop


def rotation(yaw: float, pitch: float = 0.0) -> np.ndarray:
    """Canonical space to camera axes, degrees."""
    return TO_CAMERA @ euler_to_matrix(np.radians(yaw), np.radians(pitch), 0.0)


def descriptor(yaw: float, pitch: float = 0.0, shift: tuple[float, float] = (0.0, 0.0)) -> np.ndarray:
    """What the network takes for a picture: two rows of the camera, and where the face is (crop coordinates)."""
    turn = rotation(yaw, pitch)
    middle = SCALE * turn[:2] @ np.array([0, DOWN, 0])
    return np.concatenate([(SCALE * turn[:2]).ravel(), np.array(shift) - middle])


class FlatNetwork:
    """Queries (B or 1, N, 3) in network units of 0.1 m -> their exact places."""

    def decode(self, descriptors, queries):
        if queries.ndim == 2:
            queries = queries[None]
        camera = descriptors[:, :6].reshape(-1, 2, 3)
        xy = torch.einsum("bij,bnj->bni", camera, (queries / 10).expand(len(descriptors), -1, -1))
        xy = xy + descriptors[:, None, 6:]
        return xy, torch.full(xy.shape[:2], float(np.log(0.02)))


def flat_head() -> DenseHead:
    detector: Any = SimpleNamespace(network=FlatNetwork(), units_per_metre=10.0, size=160, mirror=False)
    return DenseHead(detector, HeadModel.load())


def sight(*descriptors: np.ndarray) -> Sight:
    return Sight((torch.tensor(np.stack(descriptors), dtype=torch.float32),))


def true_face(head: DenseHead, yaw: float, pitch: float = 0.0, shift: tuple[float, float] = (0.0, 0.0)) -> DenseFace:
    """The exact dense face."""
    turn = rotation(yaw, pitch)
    placed = head.positions @ turn.T
    inside = SCALE * (placed[:, :2] - (turn @ np.array([0, DOWN, 0]))[:2]) + shift
    xy = inside @ CROP[:, :2].T + CROP[:, 2]
    sigma = np.full(len(xy), 3.0, np.float32)
    return DenseFace(xy.astype(np.float32), sigma, (placed[:, 2] + 1).astype(np.float32), CROP)
