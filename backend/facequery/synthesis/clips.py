"""Clips: short sequences of one face with smooth motion and the exact truth of every frame.

Light, colours, clothes and the camera's development stay; head, face, gaze and crop move smoothly; noise is new in
every frame. For training temporal stability, and for measuring it.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from facequery.geometry.crops import crop_from_points, crop_parameters
from facequery.geometry.rotations import euler_to_matrix
from facequery.head.binding import Binding
from facequery.synthesis.backgrounds import draw_background
from facequery.synthesis.expressions import ExpressionSampler
from facequery.synthesis.labels import labels, surface_points
from facequery.synthesis.picture import composed, develop, exposure
from facequery.synthesis.samples import FaceSampler
from facequery.synthesis.scene import TO_CAMERA, Scene, View, crop_view


@dataclass(frozen=True)
class Clip:
    """images (F, S, S, 3) uint8; query (n, 3) canonical rest positions, metres; xy (F, n, 2) crop coordinates of every
    frame's own crop; depth (F, n) metres; visible (F, n) bool; identity (K,); expression (F, 52); rotation (F, 3, 3),
    translation (F, 3) canonical -> camera; intrinsics (F, 3): focal, cx, cy in units of the crop's side."""

    images: NDArray[np.uint8]
    query: NDArray[np.float32]
    xy: NDArray[np.float32]
    depth: NDArray[np.float32]
    visible: NDArray[np.bool_]
    identity: NDArray[np.float32]
    expression: NDArray[np.float32]
    rotation: NDArray[np.float32]
    translation: NDArray[np.float32]
    intrinsics: NDArray[np.float32]


@dataclass(frozen=True)
class ClipSettings:
    """How much a clip moves; frames are taken at about 25 a second."""

    pose_degrees: float = 10.0  # standard deviation of yaw about its mean; pitch and roll take half
    pose_seconds: float = 0.5  # time over which the pose forgets
    travel: float = 0.02  # metres the head wanders
    crop_shift: float = 0.03  # wander of the crop, of its half-size
    crop_scale: float = 0.02
    crop_turn: float = 1.5  # degrees
    fps: float = 25.0


def smooth_walk(
    rng: np.random.Generator, frames: int, spread: float, seconds: float, fps: float
) -> NDArray[np.float64]:
    """A smooth random path (F,) of zero mean and standard deviation `spread` that forgets after `seconds`."""
    sigma = max(seconds * fps, 1e-3)
    noise = rng.normal(size=frames + int(8 * sigma) + 2)
    path = gaussian_filter1d(noise, sigma, mode="wrap") * np.sqrt(2 * np.sqrt(np.pi) * sigma)
    return spread * path[:frames]


def expression_path(
    rng: np.random.Generator,
    expressions: ExpressionSampler,
    frames: int,
    fps: float,
    seconds: tuple[float, float] = (0.4, 1.2),
) -> NDArray[np.float32]:
    """Weights (F, 52) that ease from one drawn expression to the next, with blinks and a wandering gaze.

    seconds: the shortest and the longest time from one expression to the next.
    """
    pause = max(int(rng.uniform(*seconds) * fps), 3)
    count = frames // pause + 3
    keys = np.stack([expressions.draw(rng) for _ in range(count)])
    start = rng.uniform(0, pause)
    at = (np.arange(frames) + start) / pause
    low = at.astype(int)
    ease = np.clip((at - low) * 1.4 - 0.2, 0, 1)
    ease = (ease * ease * (3 - 2 * ease))[:, None]
    weights = keys[low] * (1 - ease) + keys[low + 1] * ease
    names = expressions.names
    time = np.arange(frames) / fps
    for blink in np.cumsum(rng.exponential(2.5, 8)) - rng.uniform(0, 2.5):
        closed = np.clip(1.15 - np.abs(time - blink) / 0.11, 0, 1) ** 0.7
        for name in ("eyeBlinkLeft", "eyeBlinkRight"):
            column = names.index(name)
            weights[:, column] = np.maximum(weights[:, column], closed)
    return np.clip(weights, 0, 1).astype(np.float32)


def _views(rng: np.random.Generator, scene: Scene, four: NDArray, settings: ClipSettings) -> list[View]:
    """A view per frame round the scene's own, for normalisation points (F, 4, 3) in canonical metres."""
    frames = len(four)
    walk = [
        smooth_walk(rng, frames, np.radians(settings.pose_degrees) * share, settings.pose_seconds, settings.fps)
        for share in (1.0, 0.5, 0.5)
    ]
    travel = np.stack([smooth_walk(rng, frames, settings.travel, 0.6, settings.fps) for _ in range(3)], -1)
    shift = np.stack([smooth_walk(rng, frames, settings.crop_shift, 0.3, settings.fps) for _ in range(2)], -1)
    zoom = np.exp(smooth_walk(rng, frames, settings.crop_scale, 0.3, settings.fps))
    spin = np.radians(smooth_walk(rng, frames, settings.crop_turn, 0.3, settings.fps))
    distance = max(scene.view.distance, 0.3)
    offset = rng.normal(0, [0.05, 0.05]), float(np.exp(rng.normal(0, 0.08)))
    views = []
    for f in range(frames):
        yaw, pitch = scene.view.yaw + walk[0][f], scene.view.pitch + walk[1][f]
        rotation = TO_CAMERA @ euler_to_matrix(yaw, pitch, walk[2][f])
        translation = np.array([0, 0, distance]) + travel[f] - rotation @ np.array([0.0, -0.035, 0.0])
        points = four[f] @ rotation.T + translation
        centre, half, turn = crop_parameters(crop_from_points(points[:, :2] / points[:, 2:] * 1000))
        size = float(half) * offset[1] * zoom[f]
        middle = np.asarray(centre) + size * (offset[0] + shift[f])
        views.append(
            crop_view(rotation, translation, middle / 1000, size / 1000, float(turn) + spin[f], yaw, pitch, distance)
        )
    return views


def sample_clip(
    sampler: FaceSampler,
    rng: np.random.Generator,
    frames: int,
    size: int,
    binding: Binding,
    n_queries: int | None = None,
    settings: ClipSettings | None = None,
) -> Clip:
    """A clip of `frames` crops of `size` pixels, with labels of `n_queries` points of the binding (None: all).

    The same state of rng gives the same clip. The crop follows the face as a steady detector's would.
    """
    settings = settings or ClipSettings()
    scene = sampler.draw_scene(rng)
    expression = expression_path(rng, sampler.expressions, frames, settings.fps)
    four = sampler.model.normalisation_points(scene.identity, expression).astype(np.float64)
    views = _views(rng, scene, four, settings)
    index = np.arange(len(binding)) if n_queries is None else rng.integers(len(binding), size=n_queries)
    chosen = binding.subset(index)
    surface = surface_points(chosen, sampler.model)
    background = draw_background(rng, sampler.library, scene.light.environment, size, size)
    seed = int(rng.integers(2**31))
    gain: NDArray[np.float32] | None = None
    images, found = [], []
    for f in range(frames):
        own = replace(scene, expression=expression[f], view=views[f])
        render = sampler.dressed(own, size)
        if gain is None:
            gain = exposure(rng, render.colour, render.coverage, float(scene.albedo.mean()), render.illuminant)
        image = composed(render.colour, render.coverage, gain, background)
        images.append(develop(np.random.default_rng(seed), image, sampler.settings, grain=rng))
        found.append(labels(render, chosen, sampler.model, surface))
    return Clip(
        images=np.stack(images),
        query=chosen.positions,
        xy=np.stack([f.xy for f in found]),
        depth=np.stack([f.depth for f in found]),
        visible=np.stack([f.visible for f in found]),
        identity=scene.identity,
        expression=expression,
        rotation=np.stack([v.rotation for v in views]).astype(np.float32),
        translation=np.stack([v.translation for v in views]).astype(np.float32),
        intrinsics=np.array([(v.focal, v.cx, v.cy) for v in views], np.float32),
    )
