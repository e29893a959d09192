"""Points in space from several views, and the closest points of a mesh."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from facequery.geometry.cameras import Camera
from facequery.geometry.closest import closest_point_on_mesh

__all__ = ["closest_point_on_mesh", "triangulate", "triangulate_points"]

_STEPS = 10
_WORST_CONDITION = 1e10  # of the normal matrix: rays within about a hundred-thousandth of parallel


def triangulate(
    cameras: Sequence[Camera], xy: ArrayLike, sigma: ArrayLike | None = None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """World points (F, N, 3) from what V synchronised cameras see of them, and the reprojection RMS (F, N) in pixels.

    `xy` (V, F, N, 2) plate pixels, distorted; NaN where a view does not see a point. `sigma` (V, F, N) pixels, per
    axis. See `triangulate_points`.
    """
    pixels = np.asarray(xy, dtype=np.float64)
    ideal = np.stack([camera.undistort(seen) for camera, seen in zip(cameras, pixels, strict=True)])
    projections = []
    for camera in cameras:
        rotation = np.eye(3)[None] if camera.rotation is None else camera.rotation
        translation = np.zeros((1, 3)) if camera.translation is None else camera.translation
        projection = camera.matrix @ np.concatenate([rotation, translation[..., None]], axis=-1)
        projections.append(np.broadcast_to(projection, (pixels.shape[1], 3, 4)))
    return triangulate_points(np.stack(projections)[:, :, None], ideal, sigma)


def triangulate_points(
    projections: ArrayLike, xy: ArrayLike, sigma: ArrayLike | None = None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Points (..., 3) that minimise the reprojection error over V views, and its RMS (...) in the unit of `xy`.

    `projections` (V, ..., 3, 4) world to ideal (undistorted) pixels, `xy` (V, ..., 2), `sigma` (V, ...) standard
    deviation per axis; a view whose pixel or sigma is not finite does not count. A linear solution (Hartley and
    Zisserman, "Multiple View Geometry", section 12.2) starts Gauss-Newton on the pixels. NaN for points seen by fewer
    than two views, with (nearly) parallel rays, or behind a camera that sees them.
    """
    pixels = np.asarray(xy, dtype=np.float64)
    matrix = np.broadcast_to(np.asarray(projections, dtype=np.float64), (*pixels.shape[:-1], 3, 4))
    weight = np.ones(pixels.shape[:-1]) if sigma is None else 1.0 / np.asarray(sigma, dtype=np.float64)
    seen = np.isfinite(pixels).all(axis=-1) & np.isfinite(weight) & (weight > 0)
    weight, pixels = np.where(seen, weight, 0.0), np.where(seen[..., None], pixels, 0.0)
    enough = seen.sum(axis=0) >= 2

    # Each view gives two rows; dividing by the focal length makes them comparable before depths are known.
    focal = np.linalg.norm(matrix[..., 0, :3], axis=-1)
    rows = pixels[..., None] * matrix[..., 2:, :] - matrix[..., :2, :]
    rows = rows * (weight / np.maximum(focal, 1e-30))[..., None, None]
    rows = np.moveaxis(rows, 0, -3).reshape(*pixels.shape[1:-1], -1, 4)
    points, good = _least_squares(rows[..., :3], -rows[..., 3])
    good &= enough

    for _ in range(_STEPS):
        residual, jacobian, depth = _reproject(matrix, points, pixels)
        a = np.moveaxis(jacobian * weight[..., None, None], 0, -3).reshape(*pixels.shape[1:-1], -1, 3)
        b = np.moveaxis(residual * weight[..., None], 0, -2).reshape(*pixels.shape[1:-1], -1)
        step, solved = _least_squares(a, b)
        good &= solved
        points = points - np.where(good[..., None], step, 0.0)
        if not (np.abs(step[good]) > 1e-12 * (1 + np.abs(points[good]))).any():
            break
    residual, _, depth = _reproject(matrix, points, pixels)
    good &= ((depth > 0) | ~seen).all(axis=0)
    mean = np.sum(np.where(seen, np.sum(residual**2, axis=-1), 0.0), axis=0) / np.maximum(seen.sum(axis=0), 1)
    return np.where(good[..., None], points, np.nan), np.where(good, np.sqrt(mean), np.nan)


def _reproject(matrix: NDArray, points: NDArray, pixels: NDArray) -> tuple[NDArray, NDArray, NDArray]:
    """Residuals (V, ..., 2), their Jacobian (V, ..., 2, 3) by the points, and depths (V, ...)."""
    homogeneous = np.einsum("v...ij,...j->v...i", matrix[..., :3], points) + matrix[..., 3]
    depth = homogeneous[..., 2]
    safe = np.where(np.abs(depth) < 1e-12, 1e-12, depth)
    projected = homogeneous[..., :2] / safe[..., None]
    jacobian = (matrix[..., :2, :3] - projected[..., None] * matrix[..., 2:, :3]) / safe[..., None, None]
    return projected - pixels, jacobian, depth


def _least_squares(a: NDArray, b: NDArray) -> tuple[NDArray, NDArray]:
    """Solutions (..., 3) of a x = b, a (..., M, 3), and which of them are well conditioned."""
    normal = np.swapaxes(a, -1, -2) @ a
    normal = np.where(np.isfinite(normal).all(axis=(-1, -2), keepdims=True), normal, 0.0)
    values = np.linalg.eigvalsh(normal)
    good = values[..., 0] * _WORST_CONDITION > values[..., 2]
    normal = np.where(good[..., None, None], normal, np.eye(3))
    right = np.swapaxes(a, -1, -2) @ b[..., None]
    return np.where(good[..., None], np.linalg.solve(normal, right)[..., 0], 0.0), good
