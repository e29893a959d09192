"""Pictures with the face anywhere in them, for the spatial transformer (Inf3D, section 3.2).

A region is a square picture that is larger than the face's normalised crop: a matrix (2, 3) maps the region's [-1, 1]
coordinates to those of the crop.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from facequery.synthesis.scene import View

SMALLEST, LARGEST = 0.15, 1.0  # height of the face (brows to chin) over the region's
_FACE = 0.62  # the same over the normalised crop's
_UPRIGHT = 0.5  # share of faces that are turned by less than about 30 degrees; the others by any angle


def draw_region(rng: np.random.Generator) -> NDArray[np.float64]:
    """A region: the face is 15 % to 100 % of its height, anywhere in it, turned by any angle."""
    height = np.exp(rng.uniform(np.log(SMALLEST), np.log(LARGEST)))
    scale = _FACE / height
    turn = np.radians(rng.normal(0, 15)) if rng.random() < _UPRIGHT else rng.uniform(-np.pi, np.pi)
    room = max(1 - 0.9 * height, 0.03)
    place = rng.uniform(-room, room, 2)
    linear = scale * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    return np.hstack([linear, -(linear @ place)[:, None]])


def unit_of(region: NDArray[np.float64]) -> float:
    """Half side of the crop over the region's."""
    return float(1 / np.sqrt(np.linalg.det(region[:, :2])))


def view_of_region(view: View, region: NDArray[np.float64]) -> View:
    """The view of a region round the crop that `view` shows; its turn is moved into the rotation, which is exact."""
    scale = np.sqrt(np.linalg.det(region[:, :2]))
    back = region[:, :2].T / scale  # the turn's inverse
    spin = np.eye(3)
    spin[:2, :2] = back
    centre = back @ (2 * np.array([view.cx, view.cy]) - 1 - region[:, 2]) / scale
    return replace(
        view,
        rotation=spin @ view.rotation,
        translation=spin @ view.translation,
        focal=view.focal / scale,
        cx=float((centre[0] + 1) / 2),
        cy=float((centre[1] + 1) / 2),
    )
