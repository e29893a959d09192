"""Mattes: how much of each pixel shows each region of the head (CLD, section 4.3 and figure 9)."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from facequery.apps.dense import DenseFace
from facequery.apps.regions import Region
from facequery.apps.surface_pass import Strip, corner_uv, strips
from facequery.head.model import HeadModel


def face_mattes(
    face: DenseFace,
    model: HeadModel,
    regions: Sequence[Region],
    width: int,
    height: int,
    seen: NDArray | None = None,
    samples: int = 3,
) -> NDArray[np.float32]:
    """Mattes (R, H, W) in [0, 1] of the regions of a dense face over a plate, anti-aliased.

    Triangles of the head at their dense landmarks hide each other by depth; each pixel is the mean of `samples` squared
    sub-samples. `seen` (V,), the probability that a vertex is not hidden by a thing in front, multiplies them.
    """
    triangles = model.triangles[: _triangle_count(model, len(face.xy))]
    uv = corner_uv(model, len(triangles)) if any(r.picture is not None for r in regions) else None
    skin_triangles = model.parts["skin"].triangles.stop
    mattes = np.zeros((len(regions), height, width), np.float32)
    for strip in strips(face, triangles, width, height, samples):
        free = 1.0 if seen is None else strip.of_vertices(seen, triangles)
        for index, region in enumerate(regions):
            if region.weights is not None:
                inside = (strip.of_vertices(region.weights, triangles) > 0.5).astype(np.float32)
            else:
                assert region.picture is not None and uv is not None
                inside = _on_uv(strip, uv, region.picture) * (strip.triangle < skin_triangles)
            mattes[index][strip.window] = strip.pixels(inside * free)
    return mattes


def _triangle_count(model: HeadModel, vertices: int) -> int:
    """Triangles of the parts that make up the first `vertices` vertices."""
    return max(part.triangles.stop for part in model.parts.values() if part.vertices.stop <= vertices)


def _on_uv(strip: Strip, uv: NDArray, picture: NDArray) -> NDArray[np.float32]:
    """The picture's values where the sub-samples lie on the UV atlas; 0 off the head."""
    place = strip.of_corners(uv)
    height, width = picture.shape[:2]
    x, y = place[..., 0] * width - 0.5, (1 - place[..., 1]) * height - 0.5
    values = cv2.remap(picture, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.where(strip.triangle >= 0, values, 0).astype(np.float32)


def id_picture(mattes: NDArray) -> NDArray[np.uint8]:
    """(H, W) of mattes (R, H, W): 0 where no region has half of the pixel, else the number from 1 of the last one that
    has: later regions lie on earlier ones."""
    ids = np.zeros(mattes.shape[1:], np.uint8)
    for number, matte in enumerate(mattes, start=1):
        ids[matte >= 0.5] = number
    return ids
