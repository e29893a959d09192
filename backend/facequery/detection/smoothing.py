"""A smoother for finished tracks: zero lag, stronger where the detector is unsure. Offline, over the whole shot."""

import numpy as np
from numpy.typing import NDArray

# Model of a landmark, lengths over the face's size. Sigma tells how wrong a landmark is, most of which does not change
# from frame to frame; this share of it does.
_FLICKER = 0.15
_ACCELERATION = 0.6  # per second squared: heads and slow faces; blinks and lips exceed it by far
_TAILS = 1.0  # how readily a larger acceleration is believed: degrees of freedom of Student's distribution
_PASSES = 8  # of reweighting
_CUT = 0.3  # of the face's size: a common jump between two frames that is no motion
_COLUMNS = 4096  # landmarks solved at once: bounds memory


def smooth_tracks(xy: NDArray, sigma: NDArray, strength: float, fps: float = 25.0) -> NDArray[np.float32]:
    """Smoothed landmarks (F, N, 2) of `xy` (F, N, 2) with standard deviations `sigma` (F, N), all in pixels.

    Every landmark becomes the path x that minimises

        sum_t |x_t - xy_t|^2 / (strength c sigma_t)^2 + sum_t rho(|x_(t-1) - 2 x_t + x_(t+1)| / a)

    a Whittaker smoother whose noise follows sigma, with Student's robust rho, so that what rests is held still and what
    is quick (a blink) is let go. Being solved over all frames at once it has no lag. Frames without the face (NaN) stay
    empty; nothing is smoothed across them, nor across a cut. `strength` 0 returns `xy` unchanged, 1 is moderate.
    """
    result = np.array(xy, dtype=np.float32)
    found = np.isfinite(xy).all(axis=(1, 2)) & np.isfinite(sigma).all(axis=1)
    if strength <= 0 or not found.any():
        return result
    low, high = np.nanmin(xy[found], axis=1), np.nanmax(xy[found], axis=1)
    size = float(np.median(np.linalg.norm(high - low, axis=-1))) / np.sqrt(2)
    limit = _ACCELERATION * max(size, 1.0) / fps**2
    for run in _runs(xy, found, size):
        if len(run) < 3:
            continue
        for start in range(0, xy.shape[1], _COLUMNS):
            block = np.ix_(run, np.arange(start, min(start + _COLUMNS, xy.shape[1])))
            noise = strength * _FLICKER * np.asarray(sigma[block], np.float64)
            result[block] = _robust_path(np.asarray(xy[block], np.float64), noise, limit)
    return result


def _runs(xy: NDArray, found: NDArray[np.bool_], size: float) -> list[NDArray[np.int64]]:
    """Frame indices of the stretches without gaps and cuts."""
    frames = np.flatnonzero(found)
    moved = np.median(np.linalg.norm(np.diff(xy[frames], axis=0), axis=-1), axis=1)
    breaks = np.flatnonzero((np.diff(frames) > 1) | (moved > _CUT * size)) + 1
    return np.split(frames, breaks)


def _robust_path(y: NDArray, noise: NDArray, limit: float) -> NDArray[np.float64]:
    """The path for measurements y (f, n, 2) with noise (f, n): least squares, reweighted by the accelerations found."""
    data = 1.0 / np.maximum(noise, 1e-6) ** 2
    bend = np.full((len(y) - 2, y.shape[1]), 1.0 / limit**2)
    x = y
    for _ in range(_PASSES):
        x = _solve(y, data, bend)
        acceleration = np.linalg.norm(x[:-2] - 2 * x[1:-1] + x[2:], axis=-1) / limit
        bend = (_TAILS + 2) / (_TAILS + acceleration**2) / limit**2
    return x


def _solve(y: NDArray, data: NDArray, bend: NDArray) -> NDArray[np.float64]:
    """Solve (W + D' V D) x = W y for every landmark: W = diag(data) (f, n), V = diag(bend) (f - 2, n), D the second
    difference. The matrix has five diagonals; it is factored as L diag L' frame by frame, for all landmarks at once."""
    count = len(y)
    middle, first, second = data.copy(), np.zeros_like(data), np.zeros_like(data)
    for offset, factor in ((0, 1.0), (1, 4.0), (2, 1.0)):
        middle[offset : count - 2 + offset] += factor * bend
    first[: count - 2] -= 2 * bend  # entry (t, t + 1)
    first[1 : count - 1] -= 2 * bend
    second[: count - 2] += bend  # entry (t, t + 2)
    one, two = np.zeros_like(data), np.zeros_like(data)  # L's entries (t + 1, t) and (t + 2, t)
    x = data[..., None] * y
    for t in range(count):
        if t >= 1:
            middle[t] -= one[t - 1] ** 2 * middle[t - 1]
            first[t] -= one[t - 1] * two[t - 1] * middle[t - 1]
            x[t] -= one[t - 1, :, None] * x[t - 1]
        if t >= 2:
            middle[t] -= two[t - 2] ** 2 * middle[t - 2]
            x[t] -= two[t - 2, :, None] * x[t - 2]
        one[t], two[t] = first[t] / middle[t], second[t] / middle[t]
    x /= middle[..., None]
    for t in range(count - 2, -1, -1):
        x[t] -= one[t, :, None] * x[t + 1]
        if t + 2 < count:
            x[t] -= two[t, :, None] * x[t + 2]
    return x
