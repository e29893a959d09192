"""A look at a frame: crops of it for a network, without making an RGB picture of the whole frame first.

Video is decoded to a plane of luma and two of chroma. A crop shows a part of them, mostly reduced: averaged over areas
while it is still in planes, it costs a third of converting the frame and averaging three colours.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple, Protocol

import numba
import numpy as np
from numpy.typing import ArrayLike, NDArray

from facequery.geometry.crops import crop_window, sample_crop, warped_crop

_WEIGHTS = {
    1: (0.2126, 0.0722),
    4: (0.30, 0.11),
    5: (0.299, 0.114),
    7: (0.212, 0.087),
}  # red, blue; H.273's codes


class Glance(Protocol):
    """A frame; pixels are the plate's."""

    def crop(self, crop_to_image: ArrayLike, size: int) -> NDArray[np.uint8]:
        """The crop (size, size, 3) that `sample_crop` gives of the frame's display picture."""
        ...

    def picture(self) -> NDArray[np.uint8]:
        """The whole display picture (H, W, 3)."""
        ...


@dataclass(frozen=True, eq=False)
class Picture:
    """A glance at a picture that there is already."""

    pixels: NDArray[np.uint8]

    def crop(self, crop_to_image: ArrayLike, size: int) -> NDArray[np.uint8]:
        return sample_crop(self.pixels, crop_to_image, size)

    def picture(self) -> NDArray[np.uint8]:
        return self.pixels


class Plane(NamedTuple):
    """One plane of a frame: `shape` (H, W), 8 bits, its rows beginning every `stride` in `pixels`."""

    pixels: NDArray[np.uint8]
    stride: int
    shape: tuple[int, int]


@dataclass(frozen=True, eq=False)
class Planes:
    """A glance at a decoded frame: luma, and two planes of chroma of half its size, rounded up.

    `matrix` is H.273's code (1: Rec.709, 4, 5: Rec.601, 7), `full` whether all 256 levels are used, `whole` makes the
    RGB picture. A crop differs from that of the RGB picture by a level of rounding.
    """

    luma: Plane
    blue: Plane
    red: Plane
    matrix: int
    full: bool
    whole: Callable[[], NDArray[np.uint8]]

    def picture(self) -> NDArray[np.uint8]:
        return self.whole()

    def crop(self, crop_to_image: ArrayLike, size: int) -> NDArray[np.uint8]:
        window = crop_window(crop_to_image, size, *self.luma.shape[::-1])
        height, width = window.shape
        parts = np.empty((3, height, width), np.float32)
        for part, plane, share in zip(parts, (self.luma, self.blue, self.red), (1.0, 0.5, 0.5), strict=True):
            x0, y0, x1, y1 = (value * share for value in window.box)
            rows, columns = plane.shape
            _mean(plane.pixels, plane.stride, rows, columns, x0, y0, (x1 - x0) / width, (y1 - y0) / height, part)
        reduced = np.empty((height, width, 3), np.uint8)
        _rgb(parts, _numbers(self.matrix, self.full), reduced)
        return warped_crop(reduced, window.matrix, size)


@lru_cache
def _numbers(matrix: int, full: bool) -> NDArray[np.float32]:
    """Luma's level of black, gain, what is added, and what chroma adds: red's to red and green, blue's to green and
    blue.

    FFmpeg cuts levels of the narrower range where it should round, green twice; crops of either picture shall be alike.
    """
    r, b = _WEIGHTS[matrix]
    g = 1 - r - b
    black, gain, gain_chroma, cut = (0.0, 1.0, 1.0, 0.0) if full else (16.0, 255 / 219, 255 / 224, -0.5)
    numbers = (
        black, gain, cut, 2 * (1 - r) * gain_chroma, -2 * (1 - r) * r / g * gain_chroma,
        -2 * (1 - b) * b / g * gain_chroma, 2 * (1 - b) * gain_chroma,
    )  # fmt: skip
    return np.array(numbers, np.float32)


def can_be_planes(matrix: int) -> bool:
    """Whether the conversion of that matrix (H.273's code) is known here."""
    return matrix in _WEIGHTS


@numba.njit(cache=True, nogil=True, fastmath=True)
def _shares(start, step, count, length):  # type: ignore[no-untyped-def]
    """Of cells `step` long from `start` on: the first pixel of each (count,), and how much of it the pixels from there
    on are (taps, count), which end with pixel length - 1."""
    taps = int(np.ceil(step)) + 1
    first, shares = np.empty(count, np.int64), np.zeros((taps, count), np.float32)
    for i in range(count):
        low, high = start + i * step, start + (i + 1) * step
        first[i] = min(int(low), length - 1)
        for k in range(taps):
            share = min(first[i] + k + 1.0, high) - max(float(first[i] + k), low)
            if share > 0:
                shares[min(k, length - 1 - first[i]), i] += np.float32(share / step)
    return first, shares


@numba.njit(cache=True, nogil=True, fastmath=True)
def _mean(pixels, stride, height, width, x0, y0, step_x, step_y, out):  # type: ignore[no-untyped-def]
    """Means of a plane (height x width; its rows begin every `stride` in `pixels`) over cells of step_x by step_y
    pixels from x0, y0 on: out (h, w)."""
    rows, columns = out.shape
    down, down_shares = _shares(y0, step_y, rows, height)
    across, across_shares = _shares(x0, step_x, columns, width)
    left = across[0]
    line = np.zeros(across[-1] - left + len(across_shares), np.float32)
    used = min(len(line), width - left)
    for i in range(rows):
        line[:] = 0
        for k in range(len(down_shares)):
            share = down_shares[k, i]
            if share > 0:
                start = (down[i] + k) * stride + left
                source = pixels[start : start + used]
                for x in range(used):
                    line[x] += share * np.float32(source[x])
        row = out[i]
        row[:] = 0
        for k in range(len(across_shares)):
            weights = across_shares[k]
            for j in range(columns):
                row[j] += weights[j] * line[across[j] - left + k]


@numba.njit(cache=True, nogil=True, fastmath=True)
def _rgb(parts, numbers, out):  # type: ignore[no-untyped-def]
    """Means of luma, blue and red chroma (3, h, w) -> out (h, w, 3)."""
    black, gain, cut, red_red, red_green = numbers[0], numbers[1], numbers[2], numbers[3], numbers[4]
    blue_green, blue_blue = numbers[5], numbers[6]
    cut_green, most = np.float32(-0.5), np.float32(255)
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            y = (parts[0, i, j] - black) * gain + cut
            b, r = parts[1, i, j] - np.float32(128), parts[2, i, j] - np.float32(128)
            out[i, j, 0] = np.uint8(min(max(y + red_red * r, np.float32(0)), most))
            out[i, j, 1] = np.uint8(min(max(y + cut_green + red_green * r + blue_green * b, np.float32(0)), most))
            out[i, j, 2] = np.uint8(min(max(y + blue_blue * b, np.float32(0)), most))
