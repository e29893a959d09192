"""Square face crops: where they lie in the picture, and how they are sampled.

A crop is one 2x3 matrix, `crop_to_image`: crop coordinates, [-1, 1] over the crop with x right and y down, to
continuous image pixels, in which the top-left pixel covers [0, 1) x [0, 1) and has its centre at (0.5, 0.5).
OpenCV's warps put pixel centres on integers; `_warp_matrix` is the only place that converts.
"""

import math
from typing import Literal, NamedTuple

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

_CENTRE_DOWN = 0.40  # centre of the crop, from the eyes (0) towards the mouth (1)
_HALF_SIZE = 1.75  # half a crop's side, in units of the face's size d
_EYES_TO_MOUTH = 0.95  # eye-to-mouth distance of a frontal face over its eye distance
_BOX_HALF_SIZE = 0.72  # half a crop's side over the longer side of a box round the landmarks
_BOX_UP = 0.06  # how far the crop's centre lies above the box's, in box heights
_SHORTEST_AXIS = 0.1  # eye-to-mouth axis, over the eye distance, below which its direction is not trusted


def crop_from_points(points: ArrayLike) -> NDArray[np.float64]:
    """Crops from four points of each face, the normalisation by centre, scale and roll of CLD, section 3.1.

    `points` (..., 4, 2) image pixels: right eye, left eye, right and left mouth corner of the *subject*, so that the
    right eye is at the image's left in an upright picture. Returns `crop_to_image` (..., 2, 3).

    With e and m the midpoints of eyes and mouth and d = max(|m - e|, 0.95 |eyes|): the crop is centred at
    e + 0.4 (m - e), its half side is 1.75 d, its y axis points along m - e. In views from far below or above m - e
    shrinks to noise, and the eye line gives the roll. Points that all coincide give an upright crop of one pixel.
    """
    four = np.asarray(points, dtype=np.float64)
    eyes, mouth = four[..., :2, :].mean(axis=-2), four[..., 2:, :].mean(axis=-2)
    axis, eye_line = mouth - eyes, four[..., 1, :] - four[..., 0, :]
    length, width = np.linalg.norm(axis, axis=-1), np.linalg.norm(eye_line, axis=-1)
    # A quarter turn of the eye line (y down) points from the eyes to the mouth.
    down = np.stack([-eye_line[..., 1], eye_line[..., 0]], axis=-1)
    down = np.where((length < _SHORTEST_AXIS * width)[..., None], down, axis)
    size = np.maximum(length, _EYES_TO_MOUTH * width)
    roll = np.arctan2(-down[..., 0], down[..., 1])
    return crop_from_similarity(eyes + _CENTRE_DOWN * axis, np.maximum(_HALF_SIZE * size, 0.5), roll)


def four_points(corners: NDArray) -> NDArray:
    """The points (..., 4, D) of `crop_from_points`, from two corners of the right eye, of the left one and of the mouth
    (..., 6, D): an eye is the middle of its corners."""
    eyes = 0.5 * (corners[..., [0, 2], :] + corners[..., [1, 3], :])
    return np.concatenate([eyes, corners[..., 4:, :]], axis=-2)


def crop_from_box(x: ArrayLike, y: ArrayLike, w: ArrayLike, h: ArrayLike) -> NDArray[np.float64]:
    """Upright crops from boxes drawn tightly round the 68 landmarks (brows to chin).

    `x`, `y` the box's top-left corner, `w`, `h` its size, image pixels, scalars or arrays of one shape (...).
    Returns `crop_to_image` (..., 2, 3), about what `crop_from_points` gives for an upright frontal face.
    """
    left, top, width, height = np.broadcast_arrays(*(np.asarray(v, dtype=np.float64) for v in (x, y, w, h)))
    centre = np.stack([left + 0.5 * width, top + 0.5 * height - _BOX_UP * height], axis=-1)
    return crop_from_similarity(centre, _BOX_HALF_SIZE * np.maximum(width, height))


def crop_from_similarity(centre: ArrayLike, half_size: ArrayLike, roll: ArrayLike = 0.0) -> NDArray[np.float64]:
    """Crops with `centre` (..., 2) and `half_size` (...) in image pixels, turned by `roll` (...) radians.

    Positive roll turns the crop clockwise as seen in the picture (from x towards y). Returns (..., 2, 3).
    """
    middle, half, angle = np.asarray(centre, float), np.asarray(half_size, float), np.asarray(roll, float)
    half, angle = np.broadcast_to(half, middle.shape[:-1]), np.broadcast_to(angle, middle.shape[:-1])
    cos, sin = half * np.cos(angle), half * np.sin(angle)
    return np.stack(
        [np.stack([cos, -sin, middle[..., 0]], axis=-1), np.stack([sin, cos, middle[..., 1]], axis=-1)], axis=-2
    )


def crop_parameters(matrix: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Centre (..., 2) and half size (...) in image pixels and roll (...) in radians of similarity crops (..., 2, 3).

    The inverse of `crop_from_similarity`: these are the numbers to smooth over time.
    """
    m = np.asarray(matrix, dtype=np.float64)
    return m[..., :, 2], np.hypot(m[..., 0, 0], m[..., 1, 0]), np.arctan2(m[..., 1, 0], m[..., 0, 0])


def apply_affine(matrix: ArrayLike, points: ArrayLike) -> NDArray[np.float64]:
    """Map `points` (..., N, 2) by `matrix` (..., 2, 3); leading dimensions broadcast. Returns (..., N, 2)."""
    m, p = np.asarray(matrix, dtype=np.float64), np.asarray(points, dtype=np.float64)
    return p @ np.swapaxes(m[..., :2], -1, -2) + m[..., None, :, 2]


def invert_affine(matrix: ArrayLike) -> NDArray[np.float64]:
    """Inverse of affine maps (..., 2, 3). Raises numpy.linalg.LinAlgError when one is singular."""
    m = np.asarray(matrix, dtype=np.float64)
    inverse = np.linalg.inv(m[..., :2])
    return np.concatenate([inverse, -inverse @ m[..., 2:]], axis=-1)


def compose(outer: ArrayLike, inner: ArrayLike) -> NDArray[np.float64]:
    """The affine map (..., 2, 3) that applies `inner` first and `outer` to its result."""
    a, b = np.asarray(outer, dtype=np.float64), np.asarray(inner, dtype=np.float64)
    linear = a[..., :2] @ b[..., :2]
    return np.concatenate([linear, a[..., :2] @ b[..., 2:] + a[..., 2:]], axis=-1)


def _warp_matrix(crop_to_image: NDArray, width: int, height: int) -> NDArray[np.float64]:
    """The 2x3 matrix from integer-centred crop pixels to integer-centred image pixels, as OpenCV wants it."""
    to_crop = np.array([[2.0 / width, 0.0, 1.0 / width - 1.0], [0.0, 2.0 / height, 1.0 / height - 1.0]])
    matrix = compose(crop_to_image, to_crop)
    matrix[:, 2] -= 0.5
    return matrix


def sample_crop(
    image: NDArray, crop_to_image: ArrayLike, size: int, border: Literal["edge", "black"] = "edge"
) -> NDArray:
    """Cut one crop out of a picture and resample it to `size` x `size` pixels.

    `image` (H, W) or (H, W, C), uint8, uint16 or float; `crop_to_image` (2, 3). Returns (size, size[, C]) of the same
    dtype. Where the crop has fewer pixels than the picture the picture is averaged over areas first, so that fine
    texture does not alias. Outside the picture the border is repeated, or black. A crop that covers the picture
    exactly, at its size, returns it bit by bit.
    """
    source = image.astype(np.float32) if image.dtype == np.float16 else image
    window = crop_window(crop_to_image, size, source.shape[1], source.shape[0])
    x0, y0, x1, y1 = window.box
    source = np.ascontiguousarray(source[y0:y1, x0:x1])
    if window.shape != source.shape[:2]:
        source = cv2.resize(source, window.shape[::-1], interpolation=cv2.INTER_AREA)
    warped = warped_crop(source, window.matrix, size, border)
    if image.ndim == 3 and warped.ndim == 2:  # OpenCV drops a single channel
        warped = warped[..., None]
    return warped.astype(image.dtype, copy=False)


class Window(NamedTuple):
    """What a crop needs of a picture: the pixels of `box` (x0, y0, x1, y1), averaged over areas to `shape` (h, w), and
    `matrix` (2, 3), from crop coordinates to the pixels of that."""

    box: tuple[int, int, int, int]
    shape: tuple[int, int]
    matrix: NDArray[np.float64]


def crop_window(crop_to_image: ArrayLike, size: int, width: int, height: int) -> Window:
    """The window of a crop (2, 3) of `size` x `size` pixels out of a picture of `width` x `height`."""
    matrix = np.array(crop_to_image, dtype=np.float64)
    # Image pixels per crop pixel, along the image's own axes (rows: anamorphic crops differ in x and y).
    scale_x, scale_y = np.hypot(matrix[0, 0], matrix[0, 1]) * 2 / size, np.hypot(matrix[1, 0], matrix[1, 1]) * 2 / size
    reach_x, reach_y = np.abs(matrix[:, :2]).sum(axis=1) + 2 * np.array([scale_x, scale_y]) + 2
    x0, x1 = _span(matrix[0, 2] - reach_x, matrix[0, 2] + reach_x, width)
    y0, y1 = _span(matrix[1, 2] - reach_y, matrix[1, 2] + reach_y, height)
    matrix[:, 2] -= x0, y0
    new_width, new_height = x1 - x0, y1 - y0
    if scale_x > 1 or scale_y > 1:
        new_width = max(1, round((x1 - x0) / max(scale_x, 1.0)))
        new_height = max(1, round((y1 - y0) / max(scale_y, 1.0)))
        matrix[0] *= new_width / (x1 - x0)
        matrix[1] *= new_height / (y1 - y0)
    return Window((x0, y0, x1, y1), (new_height, new_width), matrix)


def warped_crop(
    source: NDArray, crop_to_source: NDArray, size: int, border: Literal["edge", "black"] = "edge"
) -> NDArray:
    """A crop (2, 3) out of the window that `crop_window` gave, bilinear."""
    return cv2.warpAffine(
        source,
        _warp_matrix(crop_to_source, size, size),
        (size, size),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE if border == "edge" else cv2.BORDER_CONSTANT,
    )


def _span(start: float, stop: float, length: int) -> tuple[int, int]:
    """Whole pixels that cover [start, stop), kept inside [0, length) and at least one pixel long."""
    first = min(max(math.floor(max(start, 0.0)), 0), length - 1)
    last = max(min(math.ceil(min(stop, float(length))), length), first + 1)
    return first, last
