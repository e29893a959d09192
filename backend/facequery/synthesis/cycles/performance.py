"""What an actor does over a shot: ARKit weights, gaze and head pose by frame, from a few keys."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.interpolate import PchipInterpolator
from scipy.ndimage import gaussian_filter1d

from facequery.geometry.rotations import euler_to_matrix
from facequery.synthesis.expressions import ExpressionSampler

# Canonical metres: where a head turns (atlas and axis, seen from the side) and where the camera looks from.
NECK = np.array([0.0, -0.085, -0.075])
# Canonical axes to OpenCV camera axes for a head that faces the camera.
FACING = np.diag([1.0, -1.0, -1.0])

Keys = Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Performance:
    """expression (F, 52); gaze (F, 2) yaw to the subject's left and pitch up against the head, radians; rotation
    (F, 3, 3) and translation (F, 3) from canonical to camera space, metres; body_rotation and body_translation alike
    for the torso, which follows the head a little."""

    expression: np.ndarray
    gaze: np.ndarray
    rotation: np.ndarray
    translation: np.ndarray
    body_rotation: np.ndarray
    body_translation: np.ndarray


def curve(keys: Keys, frames: int, softness: float = 0.8) -> np.ndarray:
    """Values (frames,) through keys (frame from 0, value), without overshoot, slightly softened."""
    at, value = np.array(keys, float).T
    if len(at) == 1:
        return np.full(frames, value[0])
    result = PchipInterpolator(at, value)(np.clip(np.arange(frames), at[0], at[-1]))
    return np.asarray(gaussian_filter1d(result, softness, mode="nearest"))


def perform(
    names: Sequence[str],
    frames: int,
    weights: Mapping[str, Keys],
    head: Mapping[str, Keys],
    gaze: Mapping[str, Keys],
    seat: np.ndarray,
) -> Performance:
    """A performance from keys.

    weights: ARKit names, with or without Left / Right (without: both). head: yaw to the subject's left, pitch up,
    roll in degrees and x, y, z metres in camera space. gaze: yaw, pitch in degrees of the look in camera space, 0 at
    the camera. seat (3,): where the canonical origin of a head at rest lies in camera space.
    """
    order = {name: i for i, name in enumerate(names)}
    expression = np.zeros((frames, len(names)))
    for name, keys in weights.items():
        for full in (name, name + "Left", name + "Right"):
            if full in order:
                expression[:, order[full]] += curve(keys, frames)
    yaw, pitch, roll = (np.radians(curve(head.get(k, [(0, 0.0)]), frames)) for k in ("yaw", "pitch", "roll"))
    shift = np.stack([curve(head.get(k, [(0, 0.0)]), frames) for k in "xyz"], -1)
    look_yaw, look_pitch = (np.radians(curve(gaze.get(k, [(0, 0.0)]), frames, 0.5)) for k in ("yaw", "pitch"))
    # The look is given in camera space; the eyes make up for the head, as far as they can turn.
    eye = np.stack([look_yaw - yaw, look_pitch - pitch], -1).clip(np.radians([-32, -22]), np.radians([32, 18]))
    sampler = ExpressionSampler(names)
    for index in range(frames):
        sampler.set_gaze(expression[index], *np.degrees(eye[index]))
    return seated(expression.clip(0, 1), eye, np.stack([yaw, pitch, roll], -1), shift, seat)


def seated(
    expression: np.ndarray, gaze: np.ndarray, turn: np.ndarray, shift: np.ndarray, seat: np.ndarray
) -> Performance:
    """A performance from what was drawn by frame: turn (F, 3) yaw, pitch, roll in radians, shift (F, 3) metres in
    camera space, the rest as Performance has it; seat as `perform`."""
    yaw, pitch, roll = turn.T
    rotation = FACING @ euler_to_matrix(yaw, -pitch, roll)
    translation = seat + shift + FACING @ NECK - rotation @ NECK
    # The neck of the canonical head does not twist: the torso follows far enough that it stays inside the collar.
    body = FACING @ euler_to_matrix(0.45 * yaw, -0.5 * pitch, 0.5 * roll)
    body_translation = seat + 0.9 * shift + FACING @ NECK - body @ NECK
    return Performance(expression, gaze, rotation, translation, body, body_translation)
