"""Aligning small patches of two pictures to a fraction of a pixel.

Inverse-compositional Lucas-Kanade (Baker and Matthews, "Lucas-Kanade 20 Years On", 2004) for a translation, with the
gain and the bias of the light solved for in closed form. Light that falls off over a patch, which stays in place when
the skin below it moves, is taken out before.
"""

import cv2
import numba
import numpy as np
from numpy.typing import NDArray

HALF = 10  # a patch is 21 x 21 pixels at every level
_STEPS = 8
_SHADING = 29  # pixels: what changes over more than about so many is light, not skin
_DARK = 8.0  # of 255, added to the light by which contrast is divided
_LOUD = 4.0  # how much the errors of neighbouring pixels go together: one in so many counts


@numba.njit(cache=True, fastmath=True)
def _sample(picture, x, y):  # type: ignore[no-untyped-def]
    """Bilinear value at continuous pixels; NaN off the picture."""
    height, width = picture.shape
    x -= 0.5
    y -= 0.5
    if not (x >= 0 and y >= 0 and x <= width - 1 and y <= height - 1):
        return np.nan
    i, j = min(int(y), height - 2), min(int(x), width - 2)
    v, u = y - i, x - j
    return (picture[i, j] * (1 - u) + picture[i, j + 1] * u) * (1 - v) + (
        picture[i + 1, j] * (1 - u) + picture[i + 1, j + 1] * u
    ) * v


@numba.njit(cache=True)
def _align(reference, picture, at, start, affine, half, steps, limit, place, information, score):  # type: ignore[no-untyped-def]
    side = 2 * half + 1
    patch, gx, gy = np.empty((side, side)), np.empty((side, side)), np.empty((side, side))
    wide = np.empty((side + 2, side + 2))
    warped = np.empty((side, side))
    for n in range(len(at)):
        score[n] = -1.0
        good = True
        for i in range(side + 2):
            for j in range(side + 2):
                wide[i, j] = _sample(reference, at[n, 0] + j - half - 1, at[n, 1] + i - half - 1)
                if np.isnan(wide[i, j]):
                    good = False
        if not good or np.isnan(start[n, 0]) or np.isnan(start[n, 1]):
            continue
        mean = 0.0
        for i in range(side):
            for j in range(side):
                patch[i, j] = wide[i + 1, j + 1]
                gx[i, j] = 0.5 * (wide[i + 1, j + 2] - wide[i + 1, j])
                gy[i, j] = 0.5 * (wide[i + 2, j + 1] - wide[i, j + 1])
                mean += patch[i, j]
        mean /= side * side
        xx, xy, yy, power = 1e-9, 0.0, 1e-9, 1e-9
        for i in range(side):
            for j in range(side):
                patch[i, j] -= mean
                power += patch[i, j] ** 2
                xx += gx[i, j] ** 2
                xy += gx[i, j] * gy[i, j]
                yy += gy[i, j] ** 2
        # A ridge keeps a patch that holds an edge alone from sliding along it.
        ridge = 0.02 * (xx + yy)
        determinant = (xx + ridge) * (yy + ridge) - xy * xy
        px, py = start[n, 0], start[n, 1]
        a, b, c, d = affine[n, 0, 0], affine[n, 0, 1], affine[n, 1, 0], affine[n, 1, 1]
        error = 0.0
        for step in range(steps + 1):
            mean, total = 0.0, 0.0
            for i in range(side):
                for j in range(side):
                    u, v = j - half, i - half
                    warped[i, j] = _sample(picture, px + a * u + b * v, py + c * u + d * v)
                    mean += warped[i, j]
            mean /= side * side
            if np.isnan(mean):
                good = False
                break
            both, total = 0.0, 1e-9
            for i in range(side):
                for j in range(side):
                    warped[i, j] -= mean
                    both += warped[i, j] * patch[i, j]
                    total += warped[i, j] ** 2
            score[n] = both / np.sqrt(total * power)
            gain = both / total
            if gain <= 0:
                good = False
                break
            error, ex, ey = 0.0, 0.0, 0.0
            for i in range(side):
                for j in range(side):
                    e = gain * warped[i, j] - patch[i, j]
                    error += e * e
                    ex += gx[i, j] * e
                    ey += gy[i, j] * e
            if step == steps:
                break
            du = ((yy + ridge) * ex - xy * ey) / determinant
            dv = ((xx + ridge) * ey - xy * ex) / determinant
            px -= a * du + b * dv
            py -= c * du + d * dv
            if np.hypot(px - start[n, 0], py - start[n, 1]) > limit[n]:
                good = False
                break
            if du * du + dv * dv < 1e-5:
                break
        if not good:
            score[n] = -1.0
            continue
        place[n, 0], place[n, 1] = px, py
        noise = error / (side * side) + 1e-6 * power
        information[n, 0, 0], information[n, 1, 1] = xx / noise, yy / noise
        information[n, 0, 1] = information[n, 1, 0] = xy / noise


def pyramid(picture: NDArray[np.uint8], levels: int) -> list[NDArray[np.float32]]:
    """Local contrast, in per cent, of a display picture (H, W, 3), slightly softened, and of `levels` more of half the
    size each."""
    gray = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32)
    result: list[NDArray] = [cv2.GaussianBlur(gray, (0, 0), 0.8)]
    for _ in range(levels):
        height, width = result[-1].shape
        half = cv2.resize(result[-1], (max(width // 2, 2), max(height // 2, 2)), interpolation=cv2.INTER_AREA)
        result.append(half)
    return [_contrast(level) for level in result]


def _contrast(gray: NDArray[np.float32]) -> NDArray[np.float32]:
    """Luminance (H, W) less its mean round about, over it."""
    light: NDArray = gray
    for _ in range(2):
        light = cv2.blur(light, (_SHADING, _SHADING), borderType=cv2.BORDER_REFLECT)
    made: NDArray[np.float32] = 100 * (gray - light) / (light + _DARK)
    return made


def align_patches(
    reference: list[NDArray], picture: list[NDArray], at: NDArray, start: NDArray, affine: NDArray, reach: NDArray
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Where the patches round `at` (n, 2) of a reference are in a picture, both pyramids; from coarse to fine.

    start (n, 2) where they are expected, affine (n, 2, 2) how offsets in the reference turn into offsets in the
    picture, reach (n,) how far from `start` they may be; all in pixels of the finest level. Returns the place (n, 2),
    its information (n, 2, 2), the inverse of a covariance in pixels, and the correlation (n,), -1 where it failed.
    """
    place = np.array(start, np.float64)
    count = len(place)
    information, score = np.zeros((count, 2, 2)), np.full(count, -1.0)
    alive = np.isfinite(place).all(1)
    for level in range(len(reference) - 1, -1, -1):
        ratio = np.array(picture[level].shape[::-1]) / picture[0].shape[::-1]
        found, own, fit = np.zeros((count, 2)), np.zeros((count, 2, 2)), np.full(count, -1.0)
        begin = np.where(alive[:, None], place, np.nan) * ratio
        bound = reach * ratio.mean() if level == len(reference) - 1 else np.full(count, 3.0)
        _align(
            reference[level], picture[level], np.asarray(at, np.float64) * ratio, begin, np.asarray(affine, np.float64),
            HALF, _STEPS, bound, found, own, fit,
        )  # fmt: skip
        better = fit > 0
        place[better], information[better] = found[better] / ratio, own[better] * ratio.mean() ** 2
        score[better] = fit[better]
        alive &= better | (level > 0)
    failed = ~alive | (np.linalg.norm(place - start, axis=1) > reach)
    score[failed] = -1.0
    slope = np.linalg.inv(affine)
    information = np.swapaxes(slope, 1, 2) @ information @ slope / _LOUD
    information[failed] = 0
    return place, information, score
