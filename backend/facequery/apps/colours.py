"""What a picture's own colours and edges say of where one thing ends: log odds from histograms, and mattes of them."""

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, map_coordinates

_BINS = 24  # of the histograms, a channel
_MOST = 4.0  # log odds that colours may give
_FIRM = 2.0  # how much steeper mattes are than odds
_RARE = 0.04  # of a sample: what every colour has, so that few samples say little


def small_window(
    picture: NDArray, points: NDArray, margin: float, finest: float
) -> tuple[tuple[slice, slice], NDArray[np.uint8]]:
    """Rows and columns of a picture round `points` (n, 2), and that part of it, `finest` times as large."""
    height, width = picture.shape[:2]
    low = np.floor(np.nanmin(points, 0) - margin).astype(int).clip(0, [width - 2, height - 2])
    high = np.maximum(np.ceil(np.nanmax(points, 0) + margin).astype(int).clip(0, [width, height]), low + 2)
    window = slice(int(low[1]), int(high[1])), slice(int(low[0]), int(high[0]))
    size = np.maximum(np.round((high - low) * finest).astype(int), 2)
    part: NDArray = cv2.resize(picture[window], (int(size[0]), int(size[1])), interpolation=cv2.INTER_AREA)
    return window, part


def lab_of(picture: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Lab of RGB, each channel 0 to 255, hue twice as large: skin, lips and hair differ by little in it."""
    lab = cv2.cvtColor(picture, cv2.COLOR_RGB2LAB).astype(np.float32)
    lab[..., 1:] = np.clip(2 * lab[..., 1:] - 128, 0, 255)
    return lab


def distance_in(mask: NDArray) -> NDArray[np.float32]:
    """Pixels to the nearest pixel out of the mask; 0 out of it."""
    away: NDArray = cv2.distanceTransform(np.ascontiguousarray(mask, np.uint8), cv2.DIST_L2, 3)
    return away


def resized(values: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    """Values (h, w) at another `size`, width and height."""
    made: NDArray = cv2.resize(values, size, interpolation=cv2.INTER_LINEAR)
    return made


def colour_odds(lab: NDArray, ours: NDArray, others: NDArray, new: float = 1.0) -> NDArray[np.float32]:
    """Log odds (H, W) that a pixel's colour (H, W, 3) is one of those weighted by `ours`, not by `others`, (H, W);
    a colour that neither has is `new` times as likely ours."""
    rare = _RARE / max(min(float(ours.sum()), float(others.sum())), 1.0)
    place = lab * (_BINS / 256)

    def density(weight: NDArray, known: float = 1.0) -> NDArray:
        used = weight > 0
        bins = np.clip(place[used].astype(int), 0, _BINS - 1)
        counts = np.zeros((_BINS,) * 3, np.float32)
        np.add.at(counts, tuple(bins.T), weight[used])
        counts = gaussian_filter(counts, (1.6, 0.8, 0.8))  # light varies more than colour
        counts /= max(float(counts.sum()), 1e-6)
        found = map_coordinates(counts, place.reshape(-1, 3).T - 0.5, order=1, mode="nearest")
        return found.reshape(lab.shape[:2]) + known * rare

    odds: NDArray = np.log(density(ours, new) / density(others)).clip(-_MOST, _MOST).astype(np.float32)
    return odds


def told_apart(odds: NDArray, ours: NDArray, others: NDArray) -> float:
    """How far, 0 to 1, odds (H, W) of colours tell `ours` and `others`, (H, W), apart."""
    apart = float(np.tanh(odds[ours] / 2).mean() - np.tanh(odds[others] / 2).mean()) / 2
    return float(np.clip(8 * apart - 0.8, 0, 1))


def along_edges(odds: NDArray, lab: NDArray, radius: int) -> NDArray[np.float32]:
    """A matte (H, W) of log odds, smoothed within `radius` pixels but not across edges of a colour picture."""
    said = np.tanh(odds / 2).astype(np.float32)
    guide = lab.astype(np.float32) / 255

    def mean(values: NDArray) -> NDArray:
        return cv2.blur(values, (2 * radius + 1, 2 * radius + 1), borderType=cv2.BORDER_REFLECT)

    middle, level = mean(guide), mean(said)
    with_guide = np.stack([mean(guide[..., c] * said) for c in range(3)], -1) - middle * level[..., None]
    spread = np.stack([mean(guide * guide[..., c : c + 1]) for c in range(3)], -1)
    spread -= middle[..., :, None] * middle[..., None, :]
    slope = np.linalg.solve(spread + 1e-3 * np.eye(3, dtype=np.float32), with_guide[..., None])[..., 0]
    offset = level - (slope * middle).sum(-1)
    smooth = (mean(slope) * guide).sum(-1) + mean(offset)
    return np.clip(0.5 + _FIRM / 2 * smooth, 0, 1).astype(np.float32)
