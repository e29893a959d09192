"""Exact synthetic shots of any head: truth and the tracks that a perfect (or noisy) detector would give."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from facequery.geometry.cameras import Camera
from facequery.geometry.rotations import euler_to_matrix
from toy_head import Queries, ToyTracks

FRONTAL = np.diag([1.0, -1.0, -1.0])


@dataclass(frozen=True)
class Truth:
    identity: np.ndarray
    expression: np.ndarray
    eyes: np.ndarray
    rotation: np.ndarray
    translation: np.ndarray
    jaw: tuple[np.ndarray, np.ndarray]
    camera: Camera
    queries: Queries
    points: np.ndarray  # (F, N, 3) camera space of the first view


def make_truth(head: Any, frames: int = 12, count: int = 160, seed: int = 0, focal: float = 1500.0, depth: float = 0.7,
               yaw: float = 0.5, modes: float = 0.8) -> Truth:  # fmt: skip
    """A smooth performance: head turns, mouth opens, a few expressions, gaze; landmarks on vertices of every part."""
    rng = np.random.default_rng(seed)
    t = np.arange(frames) / 25.0
    names = list(head.expression_names)
    expression = np.zeros((frames, 52))
    for name in rng.choice([n for n in names if "eyeLook" not in n and "jaw" not in n], 6, replace=False):
        expression[:, names.index(name)] = 0.25 + 0.25 * np.sin(5 * t + rng.uniform(0, 6))
    expression[:, names.index("jawOpen")] = 0.3 + 0.3 * np.sin(4 * t)
    expression[:, names.index("jawLeft")] = 0.2 + 0.1 * np.sin(3 * t)
    expression[:, names.index("eyeLookOutLeft")] = 0.2
    expression[:, names.index("eyeLookInRight")] = 0.2
    identity = rng.normal(size=len(head.identity_basis)) * modes
    rotation = FRONTAL @ euler_to_matrix(yaw * np.sin(2.5 * t), 0.2 * np.cos(2 * t), 0.1 * np.sin(3 * t))
    translation = np.stack([0.03 * np.sin(2 * t), 0.02 * np.cos(3 * t), depth + 0.1 * np.sin(1.7 * t)], -1)
    eyes = np.asarray(head.gaze(expression))
    vertices = np.asarray(head.vertices(identity, expression, eyes), np.float64)
    parts = [head.parts[p].vertices for p in ("skin", "eye_left", "eye_right", "teeth_upper", "cranium", "mandible")]
    pool = np.concatenate([np.arange(len(head.rest))[p] for p in parts])
    chosen = np.sort(rng.choice(pool, min(count, len(pool)), replace=False))
    queries = Queries(np.asarray(head.rest, np.float64)[chosen])
    moved = np.asarray(head.bind(queries.positions).moved(vertices, head.rest), np.float64)
    points = moved @ np.swapaxes(rotation, 1, 2) + translation[:, None]
    camera = Camera.pinhole(1280, 720, focal)
    jaw = head.jaw_transform(expression, identity)
    return Truth(identity, expression, eyes, rotation, translation, jaw, camera, queries, points)


def make_tracks(truth: Truth, camera: Camera | None = None, noise: float = 0.0, sigma: float = 0.02, seed: int = 1,
                first: int = 1001) -> ToyTracks:  # fmt: skip
    """Tracks through `camera` (the truth's own where None), noise in px, sigma as told."""
    camera = camera or truth.camera
    xy = camera.project(camera.to_camera(truth.points))
    xy = xy + noise * np.random.default_rng(seed).normal(size=xy.shape)
    full = np.ones(xy.shape[:2], np.float32)
    return ToyTracks(xy, sigma * full, full, np.arange(first, first + len(xy)), truth.queries)


def hide(tracks: ToyTracks, keep: np.ndarray) -> ToyTracks:
    """The same tracks with NaN wherever `keep` (F, N) is False."""
    return replace(tracks, xy=np.where(keep[..., None], tracks.xy, np.nan), sigma=np.where(keep, tracks.sigma, np.nan))


def degrees_between(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(F,) angles between rotations."""
    trace = np.einsum("fij,fij->f", a, b)
    return np.degrees(np.arccos(np.clip((trace - 1) / 2, -1, 1)))
