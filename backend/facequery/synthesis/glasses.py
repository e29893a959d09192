"""Glasses: frames as tubes round two rims, lenses clear or dark with a mirrored sky."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from facequery.head.model import HeadModel
from facequery.synthesis import shading
from facequery.synthesis.backgrounds import muted
from facequery.synthesis.chance import pick
from facequery.synthesis.looks import row
from facequery.synthesis.meshes import Extra
from facequery.synthesis.scene import Scene

_ROUND = 24  # points round a rim
_TUBE = 5  # points round a tube


@dataclass(frozen=True)
class Lens:
    """A pane: vertices (V, 3) camera space, triangles (T, 3); opacity 0..1 of its own colour (3,) linear; reflection:
    strength of the mirrored sky; dark: what lies behind counts as hidden."""

    vertices: NDArray[np.float32]
    triangles: NDArray[np.int32]
    opacity: float
    colour: NDArray[np.float32]
    reflection: float
    dark: bool


def _cross(a: NDArray, b: NDArray) -> NDArray:
    """Cross product (N, 3); NumPy's own is general and slow on so few."""
    return np.stack(
        [
            a[:, 1] * b[:, 2] - a[:, 2] * b[:, 1],
            a[:, 2] * b[:, 0] - a[:, 0] * b[:, 2],
            a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0],
        ],
        axis=1,
    )


def tube(path: NDArray, radius: float, closed: bool, flat: float = 1.0) -> tuple[NDArray, NDArray]:
    """A tube along path (N, 3): vertices (N * 5, 3) and triangles; `flat` stretches it in y."""
    following = np.roll(path, -1, 0) - np.roll(path, 1, 0)
    if not closed:
        following[0], following[-1] = path[1] - path[0], path[-1] - path[-2]
    along = following / (np.linalg.norm(following, axis=1, keepdims=True) + 1e-12)
    helper = np.where(np.abs(along[:, 2:]) < 0.9, [[0, 0, 1.0]], [[0, 1.0, 0]])
    side = _cross(along, helper)
    side /= np.sqrt((side * side).sum(1, keepdims=True))
    up = _cross(side, along)
    turn = np.arange(_TUBE) / _TUBE * 2 * np.pi
    ring = side[:, None] * np.cos(turn)[None, :, None] * flat + up[:, None] * np.sin(turn)[None, :, None]
    vertices = (path[:, None] + radius * ring).reshape(-1, 3)
    n = len(path)
    i, j = np.meshgrid(np.arange(n if closed else n - 1), np.arange(_TUBE), indexing="ij")
    a, b = i * _TUBE + j, i * _TUBE + (j + 1) % _TUBE
    c, d = (i + 1) % n * _TUBE + j, (i + 1) % n * _TUBE + (j + 1) % _TUBE
    triangles = np.stack([np.stack([a, b, d], -1), np.stack([a, d, c], -1)], 2).reshape(-1, 3)
    return vertices, triangles.astype(np.int32)


@lru_cache(maxsize=64)
def _nearest(model: HeadModel, point: tuple[float, float, float]) -> int:
    """The skin vertex nearest to a point on the rest head."""
    skin = model.rest[model.parts["skin"].vertices]
    return int(np.argmin(((skin - point) ** 2).sum(1)))


def build_glasses(
    rng: np.random.Generator, scene: Scene, model: HeadModel, vertices: NDArray, dark: bool
) -> tuple[list[Extra], list[Lens]]:
    """Glasses that sit on the nose of canonical head vertices (V, 3)."""

    def near(point: tuple[float, float, float]) -> NDArray[np.float64]:
        return vertices[_nearest(model, point)].astype(np.float64)

    bridge = near((0.0, -0.006, 0.035))
    ears = [near((side * 0.079, -0.004, -0.062)) for side in (-1, 1)]
    cheeks = max(near((side * 0.036, -0.022, 0.02))[2] for side in (-1, 1))
    eyes = 0.5 * (
        vertices[model.parts["eye_left"].vertices].mean(0) - vertices[model.parts["eye_right"].vertices].mean(0)
    )
    half_width = rng.uniform(0.021, 0.03)
    half_height = half_width * rng.uniform(0.55, 1.05)
    power = rng.uniform(0.45, 1.0)  # 1 is an ellipse, less is a box
    turn = np.arange(_ROUND) / _ROUND * 2 * np.pi
    cx, cy = np.cos(turn), np.sin(turn)
    rim_x = np.sign(cx) * np.abs(cx) ** power * half_width
    rim_y = np.sign(cy) * np.abs(cy) ** power * half_height
    rim_y = rim_y + 0.12 * rng.normal() * np.abs(rim_x) * np.sign(rim_y)
    centre_x = max(float(eyes[0]) + rng.uniform(-0.001, 0.004), half_width + 0.007)
    centre_y = bridge[1] - rng.uniform(-0.001, 0.012) - 0.15 * half_height
    z = max(bridge[2] + rng.uniform(-0.004, 0.004), cheeks + 0.002)
    wrap = rng.uniform(0, 0.25) + (0.25 if dark and rng.random() < 0.4 else 0.0)
    slant = rng.uniform(0.0, 0.12)
    colour = muted(rng) if rng.random() < 0.45 else np.array([0.02, 0.02, 0.022]) * np.exp(rng.normal(0, 0.6))
    metal = rng.random() < 0.35
    material = row(shading.PLAIN, colour, colour, specular=0.3 if metal else 0.12, shine=90 if metal else 50)
    thick = rng.uniform(0.0006, 0.0012) if metal else rng.uniform(0.001, 0.0026)
    rimless = rng.random() < 0.12
    paths, lenses = [], []
    opacity = rng.uniform(0.7, 0.99) if dark else rng.uniform(0.0, 0.08)
    glass = muted(rng) * 0.15 if dark else np.array([0.5, 0.55, 0.5])
    reflection = pick(rng, (0.0, 0.06, 0.2, 0.6), (0.5, 0.32, 0.13, 0.05))
    outer = []
    for side in (-1.0, 1.0):
        x = side * (centre_x + rim_x)
        rim = np.stack([x, centre_y + rim_y, z - wrap * np.abs(x) ** 2 / 0.06 + slant * rim_y], -1)
        if not rimless:
            paths.append((rim, thick, True))
        outer.append(rim[2])
        middle = rim.mean(0)
        points = np.concatenate([rim, middle[None]]) @ scene.view.rotation.T + scene.view.translation
        fan = np.stack([np.arange(_ROUND), (np.arange(_ROUND) + 1) % _ROUND, np.full(_ROUND, _ROUND)], -1)
        lenses.append(
            Lens(
                points.astype(np.float32),
                fan.astype(np.int32),
                opacity,
                glass.astype(np.float32),
                reflection,
                opacity > 0.6,
            )
        )
    gap = centre_x - half_width
    height = centre_y + half_height * rng.uniform(0.1, 0.6)
    arch = np.linspace(-1, 1, 7)
    paths.append(
        (np.stack([arch * gap, height + 0.003 * (1 - arch**2), z + 0.002 * (1 - arch**2) + 0 * arch], -1), thick, False)
    )
    for k, ear in enumerate(ears):
        hinge = outer[k]
        end = ear + np.array([np.sign(ear[0]) * 0.002, 0.012, 0.0])
        t = np.linspace(0, 1, 8)[:, None]
        arm = hinge + (end - hinge) * t
        arm[:, 0] += np.sign(ear[0]) * 0.006 * np.sin(np.pi * t[:, 0])
        paths.append((np.concatenate([arm, end[None] + [[0, -0.03, -0.02]]]), thick * 1.1, False))
    parts = [tube(path, radius, closed, rng.uniform(0.9, 1.8)) for path, radius, closed in paths]
    starts = np.cumsum([0] + [len(v) for v, _ in parts[:-1]])
    points = np.concatenate([v for v, _ in parts])
    triangles = np.concatenate([t + np.int32(s) for (_, t), s in zip(parts, starts, strict=True)])
    camera = points @ scene.view.rotation.T + scene.view.translation
    frame = Extra(camera.astype(np.float32), points.astype(np.float32), triangles, material)
    return [frame], lenses
