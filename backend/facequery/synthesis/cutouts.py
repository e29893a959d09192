"""Cut-out textures that need no source data: lashes, and sheets of hair."""

import cv2
import numpy as np
from numpy.typing import NDArray


def lash_texture(side: int, seed: int = 3) -> NDArray:
    """Opacity (side, side) of a row of lashes, roots at the bottom."""
    rng = np.random.default_rng(seed)
    image: NDArray = np.zeros((side, side), np.uint8)
    for x in np.linspace(0.0, 1.0, 46) + rng.normal(0, 0.006, 46):
        length, bend = rng.uniform(0.55, 0.98), (x - 0.5) * 0.12 + rng.normal(0, 0.025)
        for t in np.linspace(0, 1, 24):
            width = max(side * 0.011 * (1 - 0.75 * t), 0.8)
            at = (int((x + bend * t * t) * side), int((1 - t * length) * (side - 1)))
            cv2.circle(image, at, int(np.ceil(width)), (255,), -1)
    return image


def strand_texture(side: int, seed: int = 4) -> NDArray:
    """Opacity (side, side) of a sheet of hair: full, ragged at the lower end and a little at the sides."""
    rng = np.random.default_rng(seed)
    image: NDArray = np.zeros((side, side), np.uint8)
    end = 0.86 + 0.05 * np.cumsum(rng.normal(0, 0.16, side))
    end = np.clip(end - end.mean() + 0.88 + rng.normal(0, 0.03, side), 0.7, 1.0)
    for x in range(side):
        image[: int(end[x] * side), x] = 255
    edge = int(0.03 * side)
    for x in range(edge):
        gaps = rng.random(side) > x / edge
        image[gaps, x] = image[gaps, side - 1 - x] = 0
    return cv2.blur(image, (1, 9))
