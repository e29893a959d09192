"""Clips with exact truth for the fitting benchmark, whose faces the fitted model cannot represent.

A person is drawn from all 100 identity modes of the source data (the head keeps 80, symmetric), gets a smooth shape
that lies in no basis (1.5 mm root mean square), their own strength of every expression and their own tissue depths.
"""

from dataclasses import dataclass

import numpy as np
from facequery.assets import source_data
from facequery.geometry.cameras import Camera
from facequery.geometry.rotations import axis_angle_to_matrix, euler_to_matrix
from facequery.head.model import HeadModel
from numpy.typing import NDArray
from scipy.spatial import cKDTree

Array = NDArray[np.float64]
FRONTAL = np.diag([1.0, -1.0, -1.0])
OFF_BASIS = 0.0015  # metres, root mean square
IDENTITY_SPREAD = 0.9  # of the source's coefficients: looks natural
FRAME_RATE = 25.0


@dataclass(frozen=True, eq=False)
class Person:
    """Neutral vertices (V, 3) canonical metres on the head's topology, and the strength (52,) of each expression."""

    neutral: Array
    strength: Array


@dataclass(frozen=True, eq=False)
class Clip:
    """A performance: vertices (F, V, 3) in the world (the first camera's space), head pose, jaw, and the cameras."""

    person: Person
    vertices: Array
    rotation: Array
    translation: Array
    jaw_rotation: Array
    cameras: list[Camera]
    frames: NDArray[np.int64]


def draw_person(model: HeadModel, rng: np.random.Generator) -> Person:
    """A person from all source modes, off-basis shape and tissue depths. Raises UserError without the source data."""
    with np.load(source_data("head") / "ict_facekit.npz") as data:
        source = data["neutral"].astype(np.float64) * 0.01 - model.source_origin * 0.01
        modes = data["identity"]
        coefficients = rng.normal(size=len(modes)) * IDENTITY_SPREAD
        moved = np.tensordot(coefficients, modes.astype(np.float32), 1) * 0.01
    rest = np.asarray(model.rest, np.float64)
    skin = model.parts["skin"].vertices
    distance, nearest = cKDTree(source).query(rest[skin], k=3)
    weight = 1.0 / np.maximum(distance, 1e-6) ** 2
    weight /= weight.sum(1, keepdims=True)
    on_skin = (moved[nearest] * weight[..., None]).sum(1)
    # Eyes, teeth and bones of this person: the head's own, as far as its modes can follow the skin.
    basis = np.asarray(model.identity_basis, np.float64)[:, skin]
    use = model.region_mask("face")
    design = basis[:, use].reshape(len(basis), -1).T
    ridge = 1e-3 * np.sqrt(use.sum())
    fitted = np.linalg.lstsq(
        np.concatenate([design, ridge * np.eye(len(basis))]),
        np.concatenate([on_skin[use].ravel(), np.zeros(len(basis))]),
        rcond=None,
    )[0]
    tissue = rng.normal(size=len(model.tissue_names))
    neutral = np.asarray(model.vertices(fitted, tissue=tissue), np.float64)
    neutral[skin] = rest[skin] + on_skin
    # Skin of neck and scalp that has no exact partner in the source keeps the fitted shape, and inner mouth follows.
    field = _smooth_field(rest, rng)
    field *= OFF_BASIS / np.sqrt((field[skin][use] ** 2).sum(1).mean())
    for name in ("eye_left", "eye_right"):
        part = model.parts[name].vertices
        field[part] = field[part].mean(0)
    strength = np.clip(rng.normal(1.0, 0.15, 52), 0.5, 1.5)
    return Person(neutral + field, strength)


def _smooth_field(points: Array, rng: np.random.Generator, waves: int = 24) -> Array:
    """Random smooth displacements (V, 3), wave lengths of 3 to 12 cm, different left and right."""
    direction = rng.normal(size=(waves, 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    number = 2 * np.pi / rng.uniform(0.03, 0.12, waves)
    phase = points @ (direction * number[:, None]).T + rng.uniform(0, 2 * np.pi, waves)
    out: Array = np.asarray(np.sin(phase), np.float64).dot(rng.normal(size=(waves, 3)) / number[:, None])
    return out


def _curve(rng: np.random.Generator, times: Array, slow: float, fast: float) -> Array:
    """A smooth random curve with values around -1..1."""
    out = np.zeros_like(times)
    for _ in range(4):
        out += rng.normal() * np.sin(2 * np.pi * rng.uniform(slow, fast) * times + rng.uniform(0, 2 * np.pi))
    return out / 2.0


def draw_expressions(model: HeadModel, rng: np.random.Generator, frames: int) -> Array:
    """(F, 52) talking and acting: jaw, a handful of expressions that come and go, blinks, gaze."""
    times = np.arange(frames) / FRAME_RATE
    names = list(model.expression_names)
    out = np.zeros((frames, 52))
    # Which go together in a face: pairs mostly act as one.
    stems = sorted(
        {n.removesuffix("Left").removesuffix("Right") for n in names if not n.startswith(("jaw", "eyeLook"))}
    )
    for stem in rng.choice([s for s in stems if s != "tongueOut"], 9, replace=False):
        curve = np.clip(0.25 + 0.45 * _curve(rng, times, 0.2, 1.2), 0, 1) * rng.uniform(0.4, 1.0)
        for side in ("", "Left", "Right"):
            if stem + side in names:
                out[:, names.index(stem + side)] = np.clip(curve * rng.uniform(0.8, 1.2), 0, 1)
    out[:, names.index("jawOpen")] = np.clip(0.18 + 0.3 * _curve(rng, times, 0.5, 2.0), 0, 0.9)
    slide = _curve(rng, times, 0.2, 0.8) * 0.25
    out[:, names.index("jawLeft")], out[:, names.index("jawRight")] = np.clip(slide, 0, 1), np.clip(-slide, 0, 1)
    look, up = 0.5 * _curve(rng, times, 0.2, 0.8), 0.3 * _curve(rng, times, 0.2, 0.8)
    for sign, names_on in ((1, ("eyeLookOutLeft", "eyeLookInRight")), (-1, ("eyeLookInLeft", "eyeLookOutRight"))):
        for name in names_on:
            out[:, names.index(name)] = np.clip(sign * look, 0, 1)
    for sign, names_on in ((1, ("eyeLookUpLeft", "eyeLookUpRight")), (-1, ("eyeLookDownLeft", "eyeLookDownRight"))):
        for name in names_on:
            out[:, names.index(name)] = np.clip(sign * up, 0, 1)
    return out


def perform(model: HeadModel, person: Person, expression: Array) -> tuple[Array, Array]:
    """Vertices (F, V, 3) canonical of the person's face, and the jaw's rotation (F, 3, 3) relative to the skull."""
    strong = np.clip(expression * person.strength, 0, 1.2)
    for name in ("jawOpen", "jawForward", "jawLeft", "jawRight"):
        at = list(model.expression_names).index(name)
        strong[:, at] = expression[:, at]
    skin_only = np.asarray(model.vertices(None, strong), np.float64) - np.asarray(model.rest, np.float64)
    rotation, translation = (np.asarray(a, np.float64) for a in model.jaw_transform(strong))
    weight = np.asarray(model.jaw_weight, np.float64)[:, None]
    rest = np.asarray(model.rest, np.float64)
    out = person.neutral + skin_only
    # The rigid part acts on this person's own shape, not on the mean one.
    shift = person.neutral - rest
    out += weight * (shift @ np.swapaxes(rotation, 1, 2) - shift)
    del translation
    gaze = np.asarray(model.gaze(strong), np.float64)
    for k, name in enumerate(("eye_left", "eye_right")):
        part = model.parts[name].vertices
        centre = person.neutral[part].mean(0)
        out[:, part] = (person.neutral[part] - centre) @ np.swapaxes(gaze[:, k], 1, 2) + centre
    return out, rotation


def draw_clip(
    model: HeadModel, rng: np.random.Generator, frames: int, views: int = 1, person: Person | None = None
) -> Clip:
    """A clip of a new person (or the one given): head turns of up to about 35 degrees, a lens from wide to long."""
    person = person or draw_person(model, rng)
    times = np.arange(frames) / FRAME_RATE
    expression = draw_expressions(model, rng, frames)
    canonical, jaw_rotation = perform(model, person, expression)
    yaw, pitch, roll = (a * _curve(rng, times, 0.15, 0.6) for a in (0.45, 0.22, 0.15))
    rotation = FRONTAL @ euler_to_matrix(yaw, pitch, roll)
    width, height = 1920, 1080
    focal = float(np.exp(rng.uniform(np.log(1400), np.log(4500))))
    depth = focal * 0.22 / rng.uniform(450, 750)  # the face, 22 cm, is 450-750 px high
    sway = np.stack([_curve(rng, times, 0.1, 0.5) for _ in range(3)], -1)
    translation = np.array([0.0, 0.0, depth]) + sway * np.array([0.04, 0.03, 0.06])
    world = canonical @ np.swapaxes(rotation, 1, 2) + translation[:, None]
    cameras = [Camera.pinhole(width, height, focal)]
    for angle in (-0.6, 0.6)[: views - 1]:
        turn = axis_angle_to_matrix(np.array([0.0, angle, 0.0]))
        pivot = np.array([0.0, 0.0, depth])
        side = Camera.pinhole(width, height, focal * rng.uniform(0.8, 1.2))
        cameras.append(
            Camera(
                width,
                height,
                side.fx,
                side.fy,
                side.cx,
                side.cy,
                rotation=turn[None],
                translation=(pivot - turn @ pivot)[None],
            )
        )
    return Clip(person, world, rotation, translation, jaw_rotation, cameras, np.arange(1, frames + 1))
