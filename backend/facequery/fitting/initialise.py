"""Where a fit begins: the head's pose in every frame from the mean face under weak perspective."""

import numpy as np
from numpy.typing import NDArray

from facequery.geometry.rotations import project_to_so3

Array = NDArray[np.float64]
FRONTAL = np.diag([1.0, -1.0, -1.0])  # canonical axes of a face that looks into the camera, in the camera's axes
_FEWEST = 4  # landmarks below which a frame gets the frontal pose


def weak_perspective(points: Array, xy: Array, weight: Array, rounds: int = 8) -> tuple[Array, Array, Array, Array]:
    """Scaled orthographic pose of every frame: xy ~ scale * (R points)[:2] + shift, robustly.

    `points` (N, 3) canonical metres (or (F, N, 3)), `xy` (F, N, 2) pixels, `weight` (F, N), 0 for what is not
    there. Returns rotation (F, 3, 3), scale (F,) px per metre, shift (F, 2) px and spread (F,), the robust residual
    in px. A frame with fewer than four landmarks gets a frontal pose at their mean, or NaN where it has none.
    An affine camera is solved linearly with residuals reweighted, then made orthographic.
    """
    frames, count = weight.shape
    shape = np.broadcast_to(points, (frames, count, 3))
    design = np.concatenate([shape, np.ones((frames, count, 1))], axis=2)
    w = np.where(weight > 0, weight, 0.0)
    total = np.maximum(w.sum(1), 1e-12)
    mean = (w[..., None] * shape).sum(1) / total[:, None]
    spread = np.full(frames, np.nan)
    affine = np.zeros((frames, 2, 4))
    current = w
    for _ in range(rounds):
        weighted = design * current[..., None]
        # A trace of a prior keeps flat point sets (all at one depth) solvable; it is far below any real information.
        square = np.swapaxes(weighted, 1, 2) @ design
        square += np.diag([1e-9, 1e-9, 1e-9, 1e-15]) * (total[:, None, None] + 1e-12)
        right = np.swapaxes(weighted, 1, 2) @ xy
        affine = np.swapaxes(np.linalg.solve(square, right), 1, 2)
        gap = np.linalg.norm(design @ np.swapaxes(affine, 1, 2) - xy, axis=2)
        middle = np.array([_weighted_median(g, v) for g, v in zip(gap, w, strict=True)])
        spread = 1.4826 * middle
        width = np.maximum(np.nan_to_num(2.0 * spread), 1e-9)
        current = w / (1.0 + (gap / width[:, None]) ** 2) ** 2
    first, second = affine[:, 0, :3], affine[:, 1, :3]
    length = np.linalg.norm(affine[:, :, :3], axis=2)
    matrix = np.stack([first, second, np.cross(first, second) / np.maximum(length.mean(1), 1e-12)[:, None]], axis=1)
    scale = length.mean(1)
    rotation = project_to_so3(matrix / np.maximum(scale, 1e-12)[:, None, None])
    few = ((w > 0).sum(1) < _FEWEST) | ~np.isfinite(scale) | (scale <= 0)
    rotation[few] = FRONTAL
    for f in np.flatnonzero(few):
        scale[f], rotation[f] = _frontal_scale(shape[f], xy[f], w[f]), FRONTAL
    middle_xy = (w[..., None] * xy).sum(1) / total[:, None]
    shift = middle_xy - scale[:, None] * np.einsum("fij,fj->fi", rotation, mean)[:, :2]
    shift[total <= 1e-12] = np.nan
    return rotation, scale, shift, spread


def _frontal_scale(points: Array, xy: Array, weight: Array) -> float:
    """Pixels per metre of a frontal face from the spread of its few landmarks; NaN for fewer than two."""
    use = weight > 0
    if use.sum() < 2:
        return float("nan")
    size = float(np.linalg.norm(points[use, :2] - points[use, :2].mean(0)))
    return float(np.linalg.norm(xy[use] - xy[use].mean(0))) / max(size, 1e-6)


def _weighted_median(values: Array, weights: Array) -> float:
    order = np.argsort(values)
    cumulative = np.cumsum(weights[order])
    if cumulative[-1] <= 0:
        return float("nan")
    return float(values[order][np.searchsorted(cumulative, 0.5 * cumulative[-1])])


def fill_gaps(values: Array, known: NDArray[np.bool_], times: Array) -> Array:
    """`values` (F, ...) with the frames that are not `known` interpolated in time, and held beyond the ends."""
    if known.all():
        return values
    flat = values.reshape(len(values), -1).copy()
    at = np.flatnonzero(known)
    for c in range(flat.shape[1]):
        flat[~known, c] = np.interp(times[~known], times[at], flat[at, c])
    return flat.reshape(values.shape)
