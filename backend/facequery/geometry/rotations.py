"""Rotations: matrices, axis-angle vectors, Euler angles, quaternions; the nearest rotation, means, angles.

All functions take leading dimensions (...,), work in float64 and return new arrays. Matrices act on column vectors.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

_SMALL = 1e-4  # squared angle below which a Taylor series is more exact than the quotient


def axis_angle_to_matrix(vectors: ArrayLike) -> NDArray[np.float64]:
    """Rodrigues' formula: axis times angle in radians (..., 3) to rotation matrices (..., 3, 3)."""
    v = np.asarray(vectors, dtype=np.float64)
    square = np.sum(v * v, axis=-1)[..., None, None]
    angle = np.sqrt(square)
    safe = np.where(square < _SMALL, 1.0, square)
    sine = np.where(square < _SMALL, 1 - square / 6 + square**2 / 120, np.sin(angle) / np.sqrt(safe))
    cosine = np.where(square < _SMALL, 0.5 - square / 24 + square**2 / 720, 2 * np.sin(angle / 2) ** 2 / safe)
    cross = skew(v)
    return np.eye(3) + sine * cross + cosine * (cross @ cross)


def skew(vectors: ArrayLike) -> NDArray[np.float64]:
    """Cross-product matrices (..., 3, 3) of vectors (..., 3): skew(a) @ b = a x b."""
    v = np.asarray(vectors, dtype=np.float64)
    out = np.zeros((*v.shape, 3))
    out[..., 0, 1], out[..., 0, 2], out[..., 1, 2] = -v[..., 2], v[..., 1], -v[..., 0]
    out[..., 1, 0], out[..., 2, 0], out[..., 2, 1] = v[..., 2], -v[..., 1], v[..., 0]
    return out


def matrix_to_axis_angle(matrices: ArrayLike) -> NDArray[np.float64]:
    """Rotation matrices (..., 3, 3) to axis times angle (..., 3), angle in [0, pi]. Exact near 0 and near pi."""
    q = matrix_to_quaternion(matrices)
    length = np.linalg.norm(q[..., 1:], axis=-1, keepdims=True)
    angle = 2 * np.arctan2(length, q[..., :1])
    # angle / length tends to 2 / w; w is 1 there.
    ratio = np.where(length < 1e-12, 2.0, angle / np.where(length < 1e-12, 1.0, length))
    return q[..., 1:] * ratio


def matrix_to_quaternion(matrices: ArrayLike) -> NDArray[np.float64]:
    """Rotation matrices (..., 3, 3) to unit quaternions (..., 4) as (w, x, y, z), w >= 0.

    Of the four ways to divide, the one with the largest divisor is taken, so that none loses digits.
    """
    m = np.asarray(matrices, dtype=np.float64)
    xx, yy, zz = m[..., 0, 0], m[..., 1, 1], m[..., 2, 2]
    wx, wy, wz = m[..., 2, 1] - m[..., 1, 2], m[..., 0, 2] - m[..., 2, 0], m[..., 1, 0] - m[..., 0, 1]
    xy, xz, yz = m[..., 1, 0] + m[..., 0, 1], m[..., 2, 0] + m[..., 0, 2], m[..., 2, 1] + m[..., 1, 2]
    rows = np.stack(
        [
            np.stack([1 + xx + yy + zz, wx, wy, wz], axis=-1),
            np.stack([wx, 1 + xx - yy - zz, xy, xz], axis=-1),
            np.stack([wy, xy, 1 - xx + yy - zz, yz], axis=-1),
            np.stack([wz, xz, yz, 1 - xx - yy + zz], axis=-1),
        ],
        axis=-2,
    )  # each row is the quaternion times four of one of its components
    best = np.argmax(np.diagonal(rows, axis1=-2, axis2=-1), axis=-1)
    q = np.take_along_axis(rows, best[..., None, None], axis=-2)[..., 0, :]
    q = q / np.linalg.norm(q, axis=-1, keepdims=True)
    return np.where(q[..., :1] < 0, -q, q)


def euler_to_matrix(yaw: ArrayLike, pitch: ArrayLike, roll: ArrayLike) -> NDArray[np.float64]:
    """R = Ry(yaw) Rx(pitch) Rz(roll), radians (...), right-handed about the canonical axes. Returns (..., 3, 3).

    Of a head in canonical axes: positive yaw turns the face to the subject's left, positive pitch bows it down,
    positive roll tips it over to the subject's right shoulder.
    """
    y, p, r = np.broadcast_arrays(*(np.asarray(a, dtype=np.float64) for a in (yaw, pitch, roll)))
    cy, sy, cp, sp, cr, sr = np.cos(y), np.sin(y), np.cos(p), np.sin(p), np.cos(r), np.sin(r)
    out = np.empty((*y.shape, 3, 3))
    out[..., 0, 0], out[..., 0, 1], out[..., 0, 2] = cy * cr + sy * sp * sr, -cy * sr + sy * sp * cr, sy * cp
    out[..., 1, 0], out[..., 1, 1], out[..., 1, 2] = cp * sr, cp * cr, -sp
    out[..., 2, 0], out[..., 2, 1], out[..., 2, 2] = -sy * cr + cy * sp * sr, sy * sr + cy * sp * cr, cy * cp
    return out


def matrix_to_euler(matrices: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """(yaw, pitch, roll) radians, each (...), of rotation matrices (..., 3, 3); pitch in [-pi/2, pi/2].

    The inverse of `euler_to_matrix`. At pitch = +-pi/2 yaw and roll turn about one axis, and roll is set to 0.
    """
    m = np.asarray(matrices, dtype=np.float64)
    cos_pitch = np.hypot(m[..., 1, 0], m[..., 1, 1])
    locked = cos_pitch < 1e-9
    pitch = np.arctan2(-m[..., 1, 2], cos_pitch)
    yaw = np.where(locked, np.arctan2(-m[..., 2, 0], m[..., 0, 0]), np.arctan2(m[..., 0, 2], m[..., 2, 2]))
    roll = np.where(locked, 0.0, np.arctan2(m[..., 1, 0], m[..., 1, 1]))
    return yaw, pitch, roll


def project_to_so3(matrices: ArrayLike) -> NDArray[np.float64]:
    """The rotation closest (Frobenius) to each matrix (..., D, D), D = 2 or 3, reflections excluded."""
    u, _, vt = np.linalg.svd(np.asarray(matrices, dtype=np.float64))
    sign = np.where(np.linalg.det(u @ vt) < 0, -1.0, 1.0)
    u[..., :, -1] *= sign[..., None]
    return u @ vt


def rotation_mean(matrices: ArrayLike, weights: ArrayLike | None = None) -> NDArray[np.float64]:
    """Weighted chordal mean (3, 3) of rotations (N, 3, 3) with weights (N,)."""
    return project_to_so3(np.average(np.asarray(matrices, dtype=np.float64), axis=0, weights=weights))


def angle_between(a: ArrayLike, b: ArrayLike) -> NDArray[np.float64]:
    """Angle (...) in radians, [0, pi], of the rotation between rotations `a` and `b` (..., 3, 3)."""
    first, second = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    return np.linalg.norm(matrix_to_axis_angle(np.swapaxes(first, -1, -2) @ second), axis=-1)
