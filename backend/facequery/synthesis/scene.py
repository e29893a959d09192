"""A scene: everything that is drawn at random for one picture of a face, before anything is rendered."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from facequery.geometry.crops import crop_from_points, crop_parameters, four_points
from facequery.geometry.rotations import euler_to_matrix
from facequery.head.model import HeadModel
from facequery.synthesis.expressions import ExpressionSampler
from facequery.synthesis.library import Library
from facequery.synthesis.lighting import Light, draw_light
from facequery.synthesis.looks import draw_age, draw_eyes, draw_hair_colour, draw_mouth, draw_skin, draw_tone
from facequery.synthesis.off_basis import Features, OffBasisShapes
from facequery.synthesis.portrait_looks import draw_shape, over_portrait, softened, tone_of
from facequery.synthesis.settings import SampleSettings

# However rare, no crop is further off than this: nothing that looks for faces is.
_MOST_SCALE, _MOST_SHIFT, _MOST_TURN = 0.55, 0.5, 55.0  # natural logarithm, half sizes, degrees
TO_CAMERA = np.diag([1.0, -1.0, -1.0])  # canonical axes -> OpenCV's axes of a camera that looks at the face


@dataclass(frozen=True)
class View:
    """Where the head is and how the crop's camera sees it.

    rotation (3, 3), translation (3,): canonical -> camera space, metres. focal, cx, cy: pinhole in units of the crop's
    side, so that pixel = size * (focal * X / Z + cx). yaw, pitch: radians, of the head
    against the ray towards it; distance: metres.
    """

    rotation: NDArray[np.float64]
    translation: NDArray[np.float64]
    focal: float
    cx: float
    cy: float
    yaw: float
    pitch: float
    distance: float


@dataclass(frozen=True)
class Scene:
    """identity (K,), expression (52,), view, light; tone 0..1; hair (3,) linear colour; skin: index into the library;
    skin_parameters and head_rows as the shading kernel reads them; seed: what is drawn later (accessories, picture);
    offsets (V, 3) metres: shape that the basis does not hold, None for none."""

    identity: NDArray[np.float32]
    expression: NDArray[np.float32]
    view: View
    light: Light
    tone: float
    albedo: NDArray[np.float64]
    hair: NDArray[np.float64]
    skin: int
    skin_parameters: NDArray[np.float32]
    head_rows: list[NDArray[np.float32]] = field(repr=False)
    seed: int = 0
    offsets: NDArray[np.float32] | None = field(default=None, repr=False)


def draw_pose(rng: np.random.Generator, settings: SampleSettings) -> tuple[float, float, float]:
    """Yaw, pitch, roll of the head against the direction to the camera, radians."""
    if rng.random() < settings.yaw_wide:
        yaw = rng.uniform(-settings.yaw_limit, settings.yaw_limit)
    else:
        yaw = np.clip(rng.normal(0, settings.yaw_spread), -settings.yaw_limit, settings.yaw_limit)
    pitch = np.clip(rng.normal(0, settings.pitch_spread), -settings.pitch_limit, settings.pitch_limit)
    roll = rng.normal(0, settings.roll_spread)
    return float(np.radians(yaw)), float(np.radians(pitch)), float(np.radians(roll))


def draw_view(rng: np.random.Generator, four: NDArray, settings: SampleSettings) -> View:
    """A pose, a distance and a crop for a head whose normalisation points are `four` (4, 3) canonical metres."""
    yaw, pitch, roll = draw_pose(rng, settings)
    helmet = rng.random() < settings.helmet
    if helmet:
        distance = rng.uniform(settings.nearest, settings.nearest + 0.14)
        yaw, pitch = np.radians(rng.normal(0, 12)), np.radians(rng.normal(-18, 12))
        aside = np.radians(rng.normal(0, 10, 2))
    else:
        distance = float(np.exp(rng.uniform(np.log(0.4), np.log(settings.farthest))))
        aside = np.radians(rng.normal(0, settings.off_axis, 2))
    # The head is turned against the ray towards it, not against the optical axis: off axis it looks the same,
    # but is stretched.
    ray = np.array([np.tan(aside[0]), np.tan(aside[1]), 1.0])
    ray /= np.linalg.norm(ray)
    towards = TO_CAMERA @ euler_to_matrix(yaw, pitch, roll)
    rotation = _onto(ray) @ towards
    translation = ray * (distance + 0.03) - rotation @ np.array([0.0, -0.035, 0.0])
    points = four @ rotation.T + translation
    plane = points[:, :2] / points[:, 2:]
    tail = 3.0 if rng.random() < settings.crop_tail else 1.0
    centre, half, turn = crop_parameters(crop_from_points(plane * 1000.0))
    half = half * float(np.exp(np.clip(rng.normal(0, settings.crop_scale * tail), -_MOST_SCALE, _MOST_SCALE)))
    centre = centre + half * np.clip(rng.normal(0, settings.crop_shift * tail, 2), -_MOST_SHIFT, _MOST_SHIFT)
    angle = float(turn) + float(np.radians(np.clip(rng.normal(0, settings.crop_turn * tail), -_MOST_TURN, _MOST_TURN)))
    return crop_view(rotation, translation, np.asarray(centre) / 1000, float(half) / 1000, angle, yaw, pitch, distance)


def crop_view(
    rotation: NDArray, translation: NDArray, centre: NDArray, half: float, angle: float, yaw: float, pitch: float,
    distance: float,
) -> View:  # fmt: skip
    """The view of a square crop on the plane Z = 1: its turn about the optical axis is moved into the rotation."""
    c, s = np.cos(angle), np.sin(angle)
    spin = np.array([[c, s, 0], [-s, c, 0], [0, 0, 1.0]])
    middle = spin[:2, :2] @ centre
    focal = 0.5 / half
    return View(
        spin @ rotation, spin @ translation, focal, float(0.5 - focal * middle[0]), float(0.5 - focal * middle[1]),
        yaw, pitch, distance,
    )  # fmt: skip


def _onto(ray: NDArray) -> NDArray[np.float64]:
    """The shortest rotation that takes the optical axis to `ray`."""
    x, y = float(ray[0]), float(ray[1])  # the axis of the turn is (-y, x, 0)
    k = np.array([[0, 0, x], [0, 0, y], [-x, -y, 0]])
    return np.eye(3) + k + k @ k / (1 + ray[2])


def sample_scene(
    rng: np.random.Generator,
    model: HeadModel,
    library: Library,
    expressions: ExpressionSampler,
    settings: SampleSettings,
    offsets: Sequence[NDArray[np.float32]] | OffBasisShapes = (),
    features: Features | None = None,
) -> Scene:
    """Draws a scene. The same rng state, library and settings give the same scene. offsets: off-basis shapes (V, 3) to
    choose from; they count as part of the identity, and so do `features`, drawn where the settings ask for them."""
    identity = rng.normal(0, settings.identity_spread, model.identity_size).clip(-2.6, 2.6).astype(np.float32)
    expression = expressions.draw(rng) * np.float32(rng.random() >= settings.neutral)
    tone, albedo = draw_tone(rng)
    portrait = None
    if library.portraits and rng.random() < settings.portrait_skins:
        portrait = int(rng.integers(len(library.portraits)))
        own = library.portraits[portrait]
        tone = tone_of(own)
        identity, expression = draw_shape(rng, own, identity, expression)
    age = draw_age(rng)
    hair = draw_hair_colour(rng, tone, age)
    skin, parameters = draw_skin(rng, library, settings, tone, albedo, hair, age)
    if portrait is not None:
        skin = len(library.skins) + portrait
        parameters, albedo = over_portrait(rng, own, parameters)
    rows = [np.zeros_like(draw_mouth(rng, tone)[0])]
    rows += draw_eyes(rng, library, model.eye_centres_rest, model.limbus_angle, tone)
    rows += draw_mouth(rng, tone)
    shape = offsets[rng.integers(len(offsets))] if len(offsets) else None
    if features is not None and settings.features > 0:
        own_features = features.draw(rng, settings.features)
        shape = own_features if shape is None else shape + own_features
    four = model.normalisation_points(identity, expression).astype(np.float64)
    if shape is not None:
        corners = shape[model.normalisation_vertices]
        four = four + four_points(corners)
    view = draw_view(rng, four, settings)
    light = draw_light(rng, library.environments, settings)
    if portrait is not None:
        light = softened(rng, light)
    return Scene(
        identity, expression, view, light, tone, albedo, hair, skin, parameters, rows, int(rng.integers(2**31)), shape
    )
