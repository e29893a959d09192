"""Pictures whose points can be read back."""

import numpy as np


def dot_picture(points, size=400):
    """A picture with a red, soft dot at every point (continuous pixels)."""
    image = np.zeros((size, size, 3), np.float32)
    y, x = np.mgrid[:size, :size] + 0.5
    for u, v in points:
        image[..., 0] = np.maximum(image[..., 0], 255 * np.exp(-((x - u) ** 2 + (y - v) ** 2) / 12))
    return image.astype(np.uint8)


def dots_in(image, near):
    """Where the dots nearest to `near` (N, 2) pixels are: centroids of the red light around each."""
    found = []
    y, x = np.mgrid[: image.shape[0], : image.shape[1]] + 0.5
    for u, v in near:
        light = image[..., 0] * (((x - u) ** 2 + (y - v) ** 2) < 25)
        found.append([(light * x).sum() / light.sum(), (light * y).sum() / light.sum()])
    return np.array(found)
