"""The head's skin as a texture: where each texel lies on the head, and masks painted there by position.

The texture is the source's two UV tiles side by side (face left, back of the head right), so that the source's skins
fit without resampling; `side` texels high and 2 `side` wide.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from facequery.geometry.rasterize import rasterize

# Some of the 68 points of the rest head in canonical metres, right half and middle; the left half is the mirror image.
# They steer what is painted; labels never use them.
EYE_RIGHT = [(-0.0446, -0.0018, 0.0074), (-0.0387, 0.0026, 0.015), (-0.0278, 0.0032, 0.0167),
             (-0.0184, -0.0036, 0.0133),
             (-0.0273, -0.0053, 0.0155), (-0.0386, -0.0054, 0.0136)]  # fmt: skip
BROW_RIGHT = [(-0.0593, 0.0078, -0.0032), (-0.0506, 0.0168, 0.0106), (-0.0385, 0.0197, 0.0187),
              (-0.0261, 0.018, 0.0232),
              (-0.014, 0.0144, 0.0246)]  # fmt: skip
LIPS_OUTER = [(-0.0253, -0.0713, 0.0232), (-0.017, -0.0639, 0.0336), (-0.0073, -0.0604, 0.0386), (0.0, -0.061, 0.0397),
              (0.0073, -0.0604, 0.0386), (0.017, -0.0639, 0.0336), (0.0253, -0.0713, 0.0232), (0.018, -0.0767, 0.0303),
              (0.0103, -0.0792, 0.0352), (0.0, -0.0799, 0.0368), (-0.0103, -0.0792, 0.0352),
              (-0.018, -0.0767, 0.0303)]  # fmt: skip


@dataclass(frozen=True)
class Surface:
    """corner_uv (T, 3, 2) of the skin's triangles on the texture, [0, 1], v up; positions (H, W, 3) canonical metres of
    each texel (borders padded outwards), covered (H, W) bool; masks (H, W, 8) uint8 as `shading` names them."""

    corner_uv: NDArray[np.float32]
    positions: NDArray[np.float32]
    covered: NDArray[np.bool_]
    masks: NDArray[np.uint8]


def bake(rest: NDArray, triangles: NDArray, corner_uv: NDArray, side: int, ears: NDArray) -> Surface:
    """Texel positions and masks of a skin: rest (V, 3) canonical metres, triangles (T, 3), corner_uv (T, 3, 2); ears
    (V,) 1 on the ears, where no hair grows."""
    height, width = side, 2 * side
    xy = (corner_uv * [width, -height] + [0, height]).reshape(-1, 2)
    ids, _, bary = rasterize(xy, np.ones(len(xy)), np.arange(len(xy)).reshape(-1, 3), width, height)
    covered = ids >= 0
    positions = np.einsum("hwk,hwkc->hwc", bary, rest[triangles[ids]])
    _, nearest = cv2.distanceTransformWithLabels(
        (~covered).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    lookup = np.zeros((nearest.max() + 1, 3), np.float32)
    lookup[nearest[covered]] = positions[covered]
    positions = lookup[nearest].astype(np.float32)
    bald = cv2.blur(np.einsum("hwk,hwk->hw", bary, ears[triangles[ids]]).astype(np.float32), (5, 5))
    return Surface(corner_uv.astype(np.float32), positions, covered, _masks(positions, covered, bald))


def texel_of(positions: NDArray, covered: NDArray, points: NDArray) -> NDArray:
    """Texture pixels (N, 2), x y, nearest to points (N, 3) canonical metres."""
    rows, columns = np.nonzero(covered)
    cloud = positions[rows, columns]
    nearest = [int(np.argmin(((cloud - p) ** 2).sum(1))) for p in np.asarray(points)]
    return np.stack([columns[nearest] + 0.5, rows[nearest] + 0.5], axis=-1)


def mirrored(points: list[tuple[float, float, float]]) -> NDArray:
    """The same points on the subject's left."""
    return np.array(points) * [-1, 1, 1]


def closed_curve(points: NDArray, steps: int = 8) -> NDArray:
    """A Catmull-Rom curve through points (N, 2), closed: (N * steps, 2)."""
    p = [np.roll(points, 1 - k, axis=0)[:, None] for k in range(4)]
    t = (np.arange(steps) / steps)[None, :, None]
    curve = 0.5 * (
        2 * p[1] + (p[2] - p[0]) * t + (2 * p[0] - 5 * p[1] + 4 * p[2] - p[3]) * t**2
        + (3 * p[1] - p[0] - 3 * p[2] + p[3]) * t**3
    )  # fmt: skip
    return curve.reshape(-1, 2)


def _bump(value: NDArray, centre: float | NDArray, width: float) -> NDArray:
    return np.exp(-(((value - centre) / width) ** 2))


def _step(value: NDArray, low: float, high: float) -> NDArray:
    t = np.clip((value - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def _fill_curve(shape: tuple[int, int], curve: NDArray, blur: float) -> NDArray[np.float32]:
    mask = np.zeros(shape, np.uint8)
    cv2.fillPoly(mask, [np.round((curve - 0.5) * 16).astype(np.int32)], (255,), lineType=cv2.LINE_AA, shift=4)
    return cv2.GaussianBlur(mask, (0, 0), blur).astype(np.float32) / 255


MASKS_AT = ("beard", "scalp")


def masks_at(points: NDArray) -> NDArray[np.float64]:
    """The masks MASKS_AT, (..., 2) in 0..1, at skin points (..., 3) in canonical metres."""
    x, y, z = (np.asarray(points, np.float64)[..., k] for k in range(3))
    ax = np.abs(x)
    front = _step(z, -0.055, -0.035)
    moustache = _step(-y, 0.044, 0.055) * _step(-ax, -0.038, -0.024)
    # The cheek's line falls from the ear towards the mouth's corner.
    line = np.interp(ax, [0.02, 0.035, 0.05, 0.062, 0.07], [0.066, 0.06, 0.048, 0.03, 0.015])
    cheek = _step(-y - line, -0.012, 0.012) * _step(ax, 0.008, 0.022) * front
    chin = _step(-y, 0.082, 0.09) * front
    burn = _step(ax, 0.058, 0.066) * _step(z, -0.052, -0.044) * _step(-z, 0.0, 0.02) * _step(-y, -0.015, 0.015)
    beard = np.maximum(np.maximum(np.maximum(moustache, cheek), chin), burn) * _step(y, -0.145, -0.118)
    # The hair line: high over the forehead, down before the ear, over the ear, down to the nape.
    stations = [-0.15, -0.085, -0.075, -0.05, -0.035, -0.01, 0.015]
    level = np.interp(z, stations, [-0.065, -0.045, 0.02, 0.02, 0.0, 0.05, 0.072])
    scalp = np.clip(0.5 + (y - level - 0.006 * np.cos(ax * 90)) / 0.05, 0, 1)
    return np.stack([beard, scalp], axis=-1)


def _masks(positions: NDArray, covered: NDArray, bald: NDArray) -> NDArray[np.uint8]:
    x, y, z = (positions[..., k] for k in range(3))
    ax = np.abs(x)
    shape = x.shape[0], x.shape[1]
    texel = shape[0] / 512
    lips = _fill_curve(shape, closed_curve(texel_of(positions, covered, np.array(LIPS_OUTER))), 1.3 * texel)
    liner = np.zeros(shape, np.uint8)
    for eye in (np.array(EYE_RIGHT), mirrored(EYE_RIGHT)):
        curve = closed_curve(texel_of(positions, covered, eye))
        points = np.round((curve - 0.5) * 16).astype(np.int32)
        cv2.polylines(liner, [points], True, (255,), max(int(2 * texel), 1), cv2.LINE_AA, shift=4)
    liner_soft = cv2.GaussianBlur(liner, (0, 0), 0.8 * texel).astype(np.float32) / 255

    front = _step(z, -0.055, -0.035)
    beard, scalp = np.moveaxis(masks_at(positions), -1, 0)
    beard, scalp = beard * (1 - np.clip(lips * 1.3, 0, 1)), scalp * (1 - bald)

    blush = _bump(ax, 0.043, 0.018) * _bump(y, -0.03, 0.017) * front
    blush = np.maximum(blush, 0.6 * _bump(x, 0, 0.013) * _bump(y, -0.033, 0.016) * (z > 0.03))
    shadow = _bump(ax, 0.033, 0.014) * np.where(y > 0.004, _bump(y, 0.006, 0.007), _bump(y, 0.004, 0.004)) * (z > 0)

    height: NDArray = np.zeros(shape, np.float32)
    for k in range(5):  # forehead
        level = 0.036 + 0.0085 * k
        height -= _bump(y - 0.004 * np.cos(ax * 60 + k), level, 0.0013) * _step(-ax, -0.05, -0.03) * (z > 0)
    for side in (-1.0, 1.0):
        sx = side * x
        for k in range(3):  # crow's feet
            slope = 0.35 * (k - 1)
            height -= (
                0.8
                * _bump(y - slope * (sx - 0.047), -0.002, 0.0011)
                * _step(sx, 0.046, 0.05)
                * _step(-sx, -0.062, -0.057)
            )
        fold = 0.017 + 0.011 * np.clip((-y - 0.042) / 0.03, 0, 1.3) + 0.002
        height -= 1.6 * _bump(sx, fold, 0.0022) * _step(-y, 0.04, 0.046) * _step(y, -0.083, -0.07)  # smile line
        height -= (
            0.9
            * _bump(y + 0.013 + 6 * (sx - 0.03) ** 2 * -1, 0.0, 0.0015)
            * _step(sx, 0.015, 0.02)
            * _step(-sx, -0.045, -0.038)
        )
        height -= (
            0.9 * _bump(sx, 0.005 + 0.05 * (y - 0.02), 0.0013) * _step(y, 0.012, 0.017) * _step(-y, -0.035, -0.03)
        )  # frown
    height[z <= -0.02] = 0
    height = cv2.GaussianBlur(height, (0, 0), 1.2 * texel)
    grad_u = cv2.Sobel(height, cv2.CV_32F, 1, 0, ksize=3) / 8
    grad_v = -cv2.Sobel(height, cv2.CV_32F, 0, 1, ksize=3) / 8
    peak = max(float(np.abs(grad_u).max()), float(np.abs(grad_v).max()), 1e-6)
    channels = [
        lips,
        beard,
        scalp,
        blush,
        shadow,
        liner_soft,
        0.502 + 0.49 * grad_u / peak,
        0.502 + 0.49 * grad_v / peak,
    ]
    return np.clip(np.stack(channels, axis=-1) * 255, 0, 255).astype(np.uint8)
