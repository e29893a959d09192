"""Our own eyeball: a sphere with a cornea, its pole at the pupil, and how it follows identity."""

import numpy as np
from numpy.typing import NDArray

RADIUS = 0.0130  # metres. Anatomy says 0.012, the source 0.015; the lids of the source need something between
LIMBUS = 0.0059  # radius of the iris
CORNEA_RISE = 0.0011  # how far the cornea's apex stands out of the sphere
SEGMENTS = 32
# Angles from the optical axis, in degrees: dense over iris and limbus, sparse at the back.
_IRIS_RINGS = 7
_OUTER = (31.0, 36.0, 43.0, 52.0, 62.0, 73.0, 85.0, 98.0, 112.0, 127.0, 142.0, 157.0, 169.0)


def limbus_angle() -> float:
    """Angle in radians between the optical axis and the limbus, seen from the centre of the eyeball."""
    return float(np.arcsin(LIMBUS / RADIUS))


def eyeball() -> tuple[NDArray[np.float64], NDArray[np.int32], NDArray[np.float64], NDArray[np.int32]]:
    """An eyeball about the origin looking along +z: vertices (V, 3) metres, quads (Q, 4) (triangles end with -1),
    uv (U, 2) and quads_uv (Q, 4).

    Vertex 0 is the apex of the cornea, the last one the back pole. uv: centre (0.5, 0.5) is the pupil, the distance
    from it is angle / pi * 0.5, so the back pole lies on the circle of radius 0.5.
    """
    limbus = limbus_angle()
    inner = limbus * np.arange(1, _IRIS_RINGS + 1) / _IRIS_RINGS
    angles = np.r_[inner, np.radians(_OUTER)]
    turn = 2 * np.pi * np.arange(SEGMENTS) / SEGMENTS
    rise = np.where(angles < limbus, CORNEA_RISE * (1 - (angles / limbus) ** 2), 0.0)
    radius = RADIUS + rise
    rings = np.stack(
        [
            (radius * np.sin(angles))[:, None] * np.cos(turn),
            (radius * np.sin(angles))[:, None] * np.sin(turn),
            np.broadcast_to((radius * np.cos(angles))[:, None], (len(angles), SEGMENTS)),
        ],
        -1,
    )
    vertices = np.concatenate([[[0, 0, RADIUS + CORNEA_RISE]], rings.reshape(-1, 3), [[0, 0, -RADIUS]]])
    reach = 0.5 * angles / np.pi
    ring_uv = np.stack([0.5 + reach[:, None] * np.cos(turn), 0.5 + reach[:, None] * np.sin(turn)], -1)
    back_uv = np.stack([0.5 + 0.5 * np.cos(turn), 0.5 + 0.5 * np.sin(turn)], -1)  # the pole, once per segment
    uv = np.concatenate([[[0.5, 0.5]], ring_uv.reshape(-1, 2), back_uv])

    last = len(vertices) - 1
    quads, quads_uv = [], []
    for s in range(SEGMENTS):
        t = (s + 1) % SEGMENTS
        quads.append((0, 1 + s, 1 + t, -1))
        quads_uv.append((0, 1 + s, 1 + t, -1))
        for r in range(len(angles) - 1):
            a, b = 1 + r * SEGMENTS, 1 + (r + 1) * SEGMENTS
            quads.append((a + s, b + s, b + t, a + t))
            quads_uv.append((a + s, b + s, b + t, a + t))
        a = 1 + (len(angles) - 1) * SEGMENTS
        quads.append((a + s, last, a + t, -1))
        quads_uv.append((a + s, last + s, a + t, -1))
    return vertices, np.array(quads, np.int32), uv, np.array(quads_uv, np.int32)


def texture_uv(vertices: NDArray, left: bool) -> NDArray[np.float64]:
    """uv (V, 2) of eyeball vertices in a MakeHuman eye texture, which shows both eyes from the front."""
    centre = np.array([0.707, 0.703]) if left else np.array([0.293, 0.297])
    angle = np.arccos(np.clip(vertices[:, 2] / np.linalg.norm(vertices, axis=1), -1, 1))
    side = vertices[:, :2] / np.maximum(np.linalg.norm(vertices[:, :2], axis=1), 1e-9)[:, None]
    reach = np.where(
        angle < limbus_angle(),
        0.1135 * np.sin(angle) / np.sin(limbus_angle()),
        0.1135 + 0.16 * (np.sin(np.minimum(angle, np.pi / 2)) - np.sin(limbus_angle())) / (1 - np.sin(limbus_angle())),
    )
    return centre + side * reach[:, None]


def follow(source: NDArray, basis: NDArray, centre: NDArray) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """How the source's eyeball (V, 3) moves under identity modes (K, V, 3), as translation and growth.

    Returns translation (K, 3) of `centre` and growth (K,): a point p of the eye moves by t + g * (p - centre).
    """
    mean = source.mean(0)
    arm = source - mean
    growth = np.einsum("kvc,vc->k", basis, arm) / (arm**2).sum()
    return basis.mean(1) + growth[:, None] * (centre - mean), growth
