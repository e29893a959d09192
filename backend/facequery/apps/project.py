"""Projecting prints onto footage through dense landmarks, without a 3D reconstruction (CLD, section 4.4, figure 10)."""

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from facequery.apps.dense import DenseFace
from facequery.apps.prints import Print
from facequery.apps.surface_pass import Strip, strips

BLENDS = ("multiply", "luminance", "over")
_LUMA = np.array([0.2126, 0.7152, 0.0722], np.float32)  # of linear Rec.709
_BLUR_STEP = 1.5  # pixels of motion between two moments of the shutter
_MOST_MOMENTS = 9


@dataclass(frozen=True)
class Shutter:
    """Motion of a face about one frame: `velocity` (V, 2) plate pixels a frame, `open` the share of the frame time that
    the shutter is open (0.5: 180 degrees)."""

    velocity: NDArray[np.float32]
    open: float = 0.5


def project_print(
    face: DenseFace,
    printed: Print,
    triangles: NDArray,
    width: int,
    height: int,
    seen: NDArray | None = None,
    shutter: Shutter | None = None,
    samples: int = 3,
) -> NDArray[np.float32]:
    """The print as a plate of `width` x `height` would show it: (H, W, 4) linear light, premultiplied, over black.

    The picture is averaged down to the plate's resolution, cut where the head hides it or turns away, and by `seen`
    (V,) where something else does; a moving face's print is averaged over the moments that the shutter is open.
    """
    vertices = printed.vertices(triangles)
    total = np.zeros((height, width, 4), np.float32)
    if not len(vertices):
        return total
    moments = _moments(shutter, vertices)
    level = _at_resolution(printed, face, triangles, samples)
    for moment in moments:
        here = face if moment == 0 else replace(face, xy=face.xy + np.float32(moment) * shutter.velocity)  # type: ignore[union-attr]
        for strip in strips(here, triangles, width, height, samples, vertices):
            total[strip.window] += strip.pixels(_sampled(strip, printed, level, triangles, seen))
    return total / np.float32(len(moments))


def _moments(shutter: Shutter | None, vertices: NDArray) -> list[float]:
    if shutter is None or shutter.open <= 0:
        return [0.0]
    fastest = float(np.nanmax(np.linalg.norm(shutter.velocity[vertices], axis=1))) * shutter.open
    count = int(np.clip(np.ceil(fastest / _BLUR_STEP), 1, _MOST_MOMENTS)) if np.isfinite(fastest) else 1
    return [float(t) for t in (np.arange(count) + 0.5) / count * shutter.open - shutter.open / 2]


def _at_resolution(printed: Print, face: DenseFace, triangles: NDArray, samples: int) -> NDArray[np.float32]:
    """The picture shrunk until its texels are about as large as sub-samples, so that it does not alias."""
    used = np.flatnonzero(printed.used)
    size = np.array(printed.picture.shape[1::-1])

    def doubled_areas(corners: NDArray) -> NDArray:
        a, b = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
        return np.abs(a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0])

    texels = doubled_areas(printed.corners[used] * size).sum()
    covered = doubled_areas(face.xy[triangles[used]]).sum() * samples**2
    ratio = float(np.sqrt(texels / max(covered, 1e-6)))
    if ratio <= 1:
        return printed.picture
    small = np.maximum(np.round(size / ratio), 1).astype(int)
    shrunk: NDArray = cv2.resize(printed.picture, (int(small[0]), int(small[1])), interpolation=cv2.INTER_AREA)
    return shrunk


def _sampled(
    strip: Strip, printed: Print, picture: NDArray, triangles: NDArray, seen: NDArray | None
) -> NDArray[np.float32]:
    """(h s, w s, 4) the picture where the sub-samples show a triangle that carries it."""
    place = strip.of_corners(printed.corners)
    height, width = picture.shape[:2]
    x, y = place[..., 0] * width - 0.5, place[..., 1] * height - 0.5
    bordered = cv2.copyMakeBorder(picture, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=(0, 0, 0, 0))
    values = cv2.remap(bordered, x + 1, y + 1, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
    carries = (strip.triangle >= 0) & printed.used[np.maximum(strip.triangle, 0)]
    weight = carries.astype(np.float32)
    if seen is not None:
        weight = weight * strip.of_vertices(seen, triangles)
    return values * weight[..., None]


def composite(plate: NDArray, layer: NDArray, blend: str, level: float = 1.0) -> NDArray[np.float32]:
    """A projected print (H, W, 4) on a plate (H, W, 3), both linear light; (H, W, 3).

    multiply: as ink on the skin, whose own light and texture shine through; luminance: as opaque paint that takes the
    light of the skin below, whose mean luminance is `level`; over: as it is.
    """
    alpha = layer[..., 3:]
    if blend == "multiply":
        return (plate * (1 - alpha + layer[..., :3])).astype(np.float32)
    if blend == "luminance":
        light = shading(plate, level)[..., None]
        return (plate * (1 - alpha) + layer[..., :3] * light).astype(np.float32)
    return (plate * (1 - alpha) + layer[..., :3]).astype(np.float32)


def shading(plate: NDArray, level: float) -> NDArray[np.float32]:
    """(H, W) the plate's luminance against `level`, that of the skin in the reference frame: 1 as bright as there."""
    return np.maximum(plate @ _LUMA, 0) / np.float32(max(level, 1e-6))


def skin_level(plate: NDArray, layer: NDArray) -> float:
    """Mean luminance of the plate (H, W, 3) under a projected print (H, W, 4), weighted by its alpha; 1 without any."""
    weight = layer[..., 3]
    total = float(weight.sum(dtype=np.float64))
    return float(((plate @ _LUMA) * weight).sum(dtype=np.float64) / total) if total > 1 else 1.0
