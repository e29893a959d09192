"""Things in front of a face: hands, sticks, cups, plates; meshes, so that depth and shadow are right."""

import numpy as np
from numpy.typing import NDArray

from facequery.geometry.rasterize import rasterize
from facequery.geometry.rotations import axis_angle_to_matrix
from facequery.synthesis import shading
from facequery.synthesis.backgrounds import muted
from facequery.synthesis.body import cloth_row
from facequery.synthesis.chance import pick
from facequery.synthesis.looks import draw_tone, row
from facequery.synthesis.meshes import Extra
from facequery.synthesis.scene import Scene

_RINGS, _SIDES = 7, 9
_TURN = np.stack([np.cos(np.arange(_SIDES) / _SIDES * 2 * np.pi), np.sin(np.arange(_SIDES) / _SIDES * 2 * np.pi)], -1)
_SHAPE = np.array([0.05, 0.7, 1.0, 1.0, 1.0, 0.7, 0.05])  # radius along a capsule, over its own
_MOST_COVERED = 0.6  # share of a face that one thing may cover: behind more there is nothing to learn, only to guess
_TRIES = 8
_FAR = 0.5  # metres to the camera; nearer, what is before a face is nearer to it too, or it would fill the picture


def _capsule_triangles() -> NDArray[np.int32]:
    i, j = np.meshgrid(np.arange(_RINGS - 1), np.arange(_SIDES), indexing="ij")
    a, b = i * _SIDES + j, i * _SIDES + (j + 1) % _SIDES
    c, d = a + _SIDES, b + _SIDES
    triangles = np.stack([np.stack([a, d, b], -1), np.stack([a, c, d], -1)], 2).reshape(-1, 3)
    return triangles.astype(np.int32)


_CAPSULE = _capsule_triangles()


def capsule(start: NDArray, end: NDArray, r0: float, r1: float) -> tuple[NDArray, NDArray]:
    """A capsule from start to end (3,) with radii r0, r1: vertices (V, 3), triangles (T, 3)."""
    axis = end - start
    length = float(np.sqrt(axis @ axis)) + 1e-9
    x, y, z = axis / length
    # Two directions across the axis, without cross products (Duff et al. 2017, Building an Orthonormal Basis).
    sign = 1.0 if z >= 0 else -1.0
    p = -1.0 / (sign + z)
    q = x * y * p
    across = np.array([[1.0 + sign * x * x * p, sign * q, -sign * x], [q, sign + y * y * p, -y]])
    ring = _TURN @ across
    at = np.array([-r0, -0.7 * r0, 0.0, 0.5 * length, length, length + 0.7 * r1, length + r1])
    radius = (r0 + (r1 - r0) * np.clip(at / length, 0, 1)) * _SHAPE
    points = start + at[:, None, None] * (axis / length) + ring * radius[:, None, None]
    return points.reshape(-1, 3), _CAPSULE


def joined(parts: list[tuple[NDArray, NDArray]]) -> tuple[NDArray, NDArray]:
    """Several meshes as one."""
    starts = np.cumsum([0] + [len(v) for v, _ in parts[:-1]])
    return np.concatenate([v for v, _ in parts]), np.concatenate(
        [t + s for (_, t), s in zip(parts, starts, strict=True)]
    )


def hand(rng: np.random.Generator) -> tuple[NDArray, NDArray]:
    """A right or left hand, palm in the plane z = 0, fingers up +y, wrist below; metres."""
    parts = []
    spread, curl = rng.uniform(0, 0.28), rng.uniform(0, 0.9)
    for k, (x, reach) in enumerate(((-0.030, 0.066), (-0.010, 0.076), (0.010, 0.072), (0.029, 0.056))):
        angle = spread * (k - 1.5) + rng.normal(0, 0.04)
        bend = curl * rng.uniform(0.6, 1.3)
        if rng.random() < 0.12:
            bend += 1.4  # a finger folded in
        at, direction = np.array([x, 0.045, 0.0]), 0.25 * bend
        radius = rng.uniform(0.0078, 0.0092)
        for share in (0.46, 0.31, 0.23):
            step = (
                reach
                * share
                * np.array([np.sin(angle) * np.cos(direction), np.cos(angle) * np.cos(direction), np.sin(direction)])
            )
            parts.append(capsule(at, at + step, radius, radius * 0.92))
            at, radius, direction = at + step, radius * 0.92, direction + 0.7 * bend
    thumb = np.array([-0.034, -0.02, 0.004])
    tilt = rng.uniform(0.3, 1.2)
    tip = thumb + 0.042 * np.array([-np.sin(tilt), np.cos(tilt), 0.25])
    parts.append(capsule(thumb, tip, 0.013, 0.010))
    parts.append(capsule(tip, tip + 0.03 * np.array([-np.sin(tilt - 0.4), np.cos(tilt - 0.4), 0.2]), 0.0098, 0.0085))
    for x0, x1 in ((-0.028, -0.024), (-0.010, -0.008), (0.009, 0.009), (0.027, 0.024)):
        parts.append(capsule(np.array([x1, -0.04, 0.0]), np.array([x0, 0.042, 0.0]), 0.014, 0.0115))
    parts.append(capsule(np.array([0.0, -0.22, 0.0]), np.array([0.0, -0.05, 0.0]), 0.033, 0.026))
    points, triangles = joined(parts)
    if rng.random() < 0.5:
        points = points * [-1, 1, 1]
        triangles = triangles[:, ::-1]
    return points, triangles


def _blob(rng: np.random.Generator, size: float) -> tuple[NDArray, NDArray]:
    """A deformed ellipsoid."""
    n, m = 8, 12
    polar, turn = np.meshgrid(np.linspace(0.01, np.pi - 0.01, n), np.arange(m) / m * 2 * np.pi, indexing="ij")
    d = np.stack([np.sin(polar) * np.cos(turn), np.cos(polar), np.sin(polar) * np.sin(turn)], -1).reshape(-1, 3)
    lumps = 1 + 0.2 * np.sin(d @ rng.normal(0, 2.5, (3, 4)) + rng.uniform(0, 6, 4)).sum(1) * 0.5
    points = d * lumps[:, None] * size * np.exp(rng.normal(0, 0.45, 3))
    i, j = np.meshgrid(np.arange(n - 1), np.arange(m), indexing="ij")
    a, b = i * m + j, i * m + (j + 1) % m
    triangles = np.stack([np.stack([a, b, b + m], -1), np.stack([a, b + m, a + m], -1)], 2).reshape(-1, 3)
    return points, triangles


def _plate(rng: np.random.Generator) -> tuple[NDArray, NDArray]:
    """A flat polygon: a phone, a book, a sheet."""
    n = int(rng.integers(3, 8))
    turn = np.sort(rng.uniform(0, 2 * np.pi, n)) if rng.random() < 0.4 else (np.arange(4) + 0.5) / 4 * 2 * np.pi
    n = len(turn)
    outline = np.stack([np.cos(turn), np.sin(turn), 0 * turn], -1) * np.append(np.exp(rng.normal(-3.1, 0.4, 2)), 1)
    points = np.concatenate([outline, np.zeros((1, 3))])
    triangles = np.stack([np.arange(n), (np.arange(n) + 1) % n, np.full(n, n)], -1)
    return points, triangles


def covered(points: NDArray, triangles: NDArray, face: NDArray) -> float:
    """Share of camera-space points `face` (F, 3) that a mesh covers, if it is before them."""
    side = 40
    plane = face[:, :2] / face[:, 2:]
    low, high = plane.min(0), plane.max(0)
    screen = (points[:, :2] / points[:, 2:] - low) * (side / np.maximum(high - low, 1e-6))
    drawn = rasterize(screen, points[:, 2], triangles, side, side)[0] >= 0
    x, y = ((plane - low) * ((side - 1) / np.maximum(high - low, 1e-6))).astype(int).T
    return float(drawn[y, x].mean())


def draw_occluder(rng: np.random.Generator, scene: Scene, vertices: NDArray, face: NDArray, hand_share: float) -> Extra:
    """One thing in front of a head, over one of its camera-space `vertices` (V, 3); of the `face` (F, 3), camera space
    too, enough stays free that where it is can be seen."""
    for _ in range(_TRIES):
        thing = _draw(rng, scene, vertices, hand_share)
        if covered(thing.vertices, thing.triangles, face) <= _MOST_COVERED:
            break
    return thing


def _draw(rng: np.random.Generator, scene: Scene, vertices: NDArray, hand_share: float) -> Extra:
    target = vertices[rng.integers(len(vertices))].astype(np.float64)
    front = float(vertices[:, 2].min())
    kind = "hand" if rng.random() < hand_share else pick(rng, ("stick", "blob", "plate", "cup"))
    if kind == "hand":
        points, triangles = hand(rng)
        points = points * rng.uniform(0.85, 1.1)
        touch = points[np.argmax(points[:, 1])] * rng.uniform(-0.2, 1.0)
        points = points - touch
        roll = rng.normal(0, 0.7)
        turn = axis_angle_to_matrix(np.array([0, 0, roll])) @ axis_angle_to_matrix(rng.normal(0, 0.45, 3))
        albedo = scene.albedo if rng.random() < 0.5 else draw_tone(rng)[1]
        material = row(
            shading.PLAIN, albedo, albedo * [0.85, 0.65, 0.6], pattern=70, amount=0.5, specular=0.05, shine=15
        )
        # y up in the hand, y down in the camera.
        points = points @ turn.T * [1, -1, -1]
    else:
        if kind == "stick":
            reach = rng.normal(0, 1, 3) * [0.12, 0.2, 0.03]
            points, triangles = capsule(-reach, reach, np.exp(rng.uniform(-6.2, -3.9)), np.exp(rng.uniform(-6.2, -3.9)))
        elif kind == "blob":
            points, triangles = _blob(rng, np.exp(rng.uniform(-4.2, -2.9)))
        elif kind == "cup":
            points, triangles = capsule(np.array([0, -0.05, 0]), np.array([0, 0.05, 0]), 0.042, 0.034)
            points = points @ axis_angle_to_matrix(rng.normal(0, 0.5, 3)).T
        else:
            points, triangles = _plate(rng)
            points = points @ axis_angle_to_matrix(rng.normal(0, 0.5, 3)).T
        if rng.random() < 0.5:
            material = cloth_row(rng)
        else:
            material = row(
                shading.PLAIN,
                muted(rng),
                muted(rng),
                pattern=30,
                amount=rng.uniform(0, 0.7),
                specular=rng.uniform(0, 0.3),
                shine=40,
            )
    # Between the camera and what is hidden, mostly close to the face.
    gap = np.exp(rng.uniform(np.log(0.004), np.log(0.12))) * min(1.0, front / _FAR)
    depth = min(target[2], front + 0.03) - gap
    depth = max(depth, 0.12)
    place = target * (depth / target[2])
    points = points + place
    points[:, 2] = np.maximum(points[:, 2], 0.06)
    return Extra(points.astype(np.float32), (points - place).astype(np.float32), triangles.astype(np.int32), material)
