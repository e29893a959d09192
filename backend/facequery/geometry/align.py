"""Similarity and rigid alignment of corresponding points."""

import numpy as np
from numpy.typing import ArrayLike, NDArray


def similarity_transform(
    src: ArrayLike, dst: ArrayLike, weights: ArrayLike | None = None, with_scale: bool = True
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Scale s, rotation R and translation t that minimise sum_i w_i |s R src_i + t - dst_i|^2.

    `src`, `dst` (..., N, D), D = 2 or 3; `weights` (..., N) not negative, or None for equal ones. Returns s (...),
    R (..., D, D) with determinant +1, t (..., D). Without `with_scale` s is 1 (rigid). Points that all coincide give
    s = 1 and R = 1.

    Umeyama, "Least-squares estimation of transformation parameters between two point patterns", PAMI 1991.
    """
    a, b = np.asarray(src, dtype=np.float64), np.asarray(dst, dtype=np.float64)
    w = np.ones(a.shape[:-1]) if weights is None else np.broadcast_to(np.asarray(weights, float), a.shape[:-1])
    w = (w / np.sum(w, axis=-1, keepdims=True))[..., None]
    mean_a, mean_b = np.sum(w * a, axis=-2, keepdims=True), np.sum(w * b, axis=-2, keepdims=True)
    a0, b0 = a - mean_a, b - mean_b
    covariance = np.swapaxes(b0, -1, -2) @ (w * a0)
    u, singular, vt = np.linalg.svd(covariance)
    sign = np.where(np.linalg.det(u @ vt) < 0, -1.0, 1.0)
    u[..., :, -1] *= sign[..., None]
    singular[..., -1] *= sign
    rotation = u @ vt
    variance = np.sum(w * a0 * a0, axis=(-1, -2))
    flat = variance <= 1e-300
    scale = np.ones_like(variance)
    if with_scale:
        scale = np.where(flat, 1.0, np.sum(singular, axis=-1) / np.where(flat, 1.0, variance))
    rotation = np.where(flat[..., None, None], np.eye(a.shape[-1]), rotation)
    translation = (mean_b - scale[..., None, None] * (mean_a @ np.swapaxes(rotation, -1, -2)))[..., 0, :]
    return scale, rotation, translation


def apply_similarity(scale: ArrayLike, rotation: ArrayLike, translation: ArrayLike, points: ArrayLike) -> NDArray:
    """s R p + t for `points` (..., N, D) and the results of `similarity_transform`. Returns (..., N, D)."""
    s, r, t = (np.asarray(v, dtype=np.float64) for v in (scale, rotation, translation))
    return s[..., None, None] * (np.asarray(points, dtype=np.float64) @ np.swapaxes(r, -1, -2)) + t[..., None, :]
