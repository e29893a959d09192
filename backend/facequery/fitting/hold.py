"""Holding a fit to what was corrected by hand: exactly at the corrected frames, fading out around them.

At a corrected frame the unknowns move as little as the landmarks allow (in the metric of the frame's own normal
equations) such that its pins are met; a keyed pose carries the face along with the head. The frames around it get a
share of that movement, so that frames beyond the fade stay bit for bit what they were.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from facequery.errors import UserError
from facequery.fitting.arrow import ArrowSystem
from facequery.fitting.corrections import Corrections, KeyedPose, Pin, fade_weights, row_of
from facequery.fitting.problem import Problem
from facequery.fitting.start import select, take
from facequery.fitting.state import EXPRESSION, EYES, PER_FRAME, POSE, State
from facequery.geometry.cameras import Camera
from facequery.geometry.rotations import matrix_to_axis_angle

Array = NDArray[np.float64]
_ROUNDS = 10  # linearisations of a frame's pins
_STIFF = 0.01  # share of the smoothness terms' weight that keeps still what no landmark determines
_MISSED = 0.5  # px from which on a pin is said to be out of reach
_TURNED = np.radians(2.0)  # by which the head turns for pins before it is said


def held(
    problem: Problem,
    state: State,
    system: ArrowSystem,
    frames: NDArray[np.int64],
    corrections: Corrections,
    cameras: Sequence[Camera | None],
    stops: Sequence[int] = (),
) -> tuple[State, NDArray[np.bool_], list[str]]:
    """The state with pins and keyed poses met; the frames (F,) that were corrected; and sentences for the user.

    `state` is a minimum of `problem` (nothing shared in it moves), `system` its normal equations there; `frames` (F,)
    file numbers; `cameras` what is known of the views' cameras, for their lenses; `stops` file numbers at which no
    correction may arrive. Raises UserError for a pose that is no rigid motion.
    """
    keys = corrections.frames
    touched = np.zeros(len(frames), bool)
    moves = np.zeros((len(keys), PER_FRAME))
    notes: list[str] = []
    for k, frame in enumerate(keys):
        row = row_of(frames, frame)
        touched[row] = True
        pins = [pin for pin in corrections.pins if pin.frame == frame]
        poses = [pose for pose in corrections.poses if pose.frame == frame]
        moves[k], gaps = _move(problem, state, system, row, pins, poses[-1] if poses else None, cameras)
        if not poses and (turned := float(np.linalg.norm(moves[k, :3]))) > _TURNED:
            notes.append(
                f"The pins of frame {frame} turn the head by {np.degrees(turned):.1f} degrees: no expression alone "
                "reaches them. Pin more landmarks, or key the pose."
            )
        for pin, gap in zip(pins, gaps, strict=True):
            if gap > _MISSED:
                notes.append(
                    f"The pin of landmark {pin.landmark} in frame {frame} is missed by {gap:.1f} px: the head cannot "
                    "reach it together with what else is given there."
                )
    share = fade_weights(frames, np.array(keys, np.int64), corrections.fade, stops)
    return problem.step(state, share @ moves, np.zeros(problem.shared)), touched, notes


def _move(
    problem: Problem,
    state: State,
    system: ArrowSystem,
    row: int,
    pins: Sequence[Pin],
    pose: KeyedPose | None,
    cameras: Sequence[Camera | None],
) -> tuple[Array, list[float]]:
    """Step (62,) of one frame that meets its pins and takes its pose, and how far the pins are missed, px."""
    landmarks = np.array(sorted({pin.landmark for pin in pins}), np.int64)
    one = replace(select(problem, np.array([row]), landmarks), lock_shared=True)
    start = now = take(state, np.array([row]))
    metric = system.frame[row] - np.diag(system.smooth[row]) + _STIFF * np.diag(problem.smooth_weights())
    pull = system.frame_gradient[row].copy()
    most = 1.0 if problem.upper is None else problem.upper[row]
    grow = problem.depth_scale(state)
    fixed = np.zeros(PER_FRAME, bool)
    if pose is not None:  # the face goes with the head: what landmarks say against the pose, they are wrong in
        now = _posed(problem, now, row, pose)
        fixed[POSE] = True
    rest = now
    wanted = [_ideal(pin, row, cameras[pin.view]) for pin in pins]
    at = [(pin, int(np.searchsorted(landmarks, pin.landmark))) for pin in pins]
    for _ in range(_ROUNDS if pins else 0):
        jacobians = [one.jacobian(now, v, 0).astype(np.float64) for v in range(len(problem.views))]
        jacobian = np.concatenate([jacobians[pin.view][c, :, :PER_FRAME] for pin, c in at])
        gap = _gaps(one, now, at, wanted)
        moved = _difference(rest, now, grow)
        step = _constrained(metric, pull + metric @ moved, jacobian, -gap.ravel(), now.expression[0], most, fixed)
        now = one.step(now, step[None], np.zeros(0))
        if np.abs(step[EXPRESSION]).max() < 1e-6 and np.abs(step[POSE]).max() < 1e-8:
            break
    missed = np.linalg.norm(_gaps(one, now, at, wanted), axis=1) if pins else []
    return _difference(start, now, grow), [float(gap) for gap in missed]


def _gaps(one: Problem, state: State, at: Sequence[tuple[Pin, int]], wanted: Sequence[Array]) -> Array:
    """(P, 2) px from where the pins, each with its landmark's column, are wanted to where they are."""
    pixels = one.project(state)[0]
    return np.array([pixels[pin.view][0, column] for pin, column in at]) - wanted


def _posed(problem: Problem, state: State, row: int, pose: KeyedPose) -> State:
    """The state of one frame with its pose replaced."""
    wanted = np.asarray(pose.rotation, np.float64)
    rigid = np.abs(wanted @ wanted.T - np.eye(3)).max() < 1e-3 and np.linalg.det(wanted) > 0
    if not rigid or not np.isfinite(pose.translation).all():
        raise UserError(f"The pose keyed at frame {pose.frame} is not a rigid motion.", code="FQ432")
    view = problem.views[0]
    back = view.rotation[row].T
    move = back @ (np.asarray(pose.translation, np.float64) - view.translation[row])
    return replace(state, rotation=(back @ wanted)[None], translation=move[None])


def _ideal(pin: Pin, row: int, camera: Camera | None) -> Array:
    """(2,) undistorted pixels of a pin."""
    xy = np.array(pin.xy, np.float64)
    return xy if camera is None else camera.select([row]).undistort(xy[None, None])[0, 0]


def _difference(one: State, two: State, grow: Array) -> Array:
    """Step (62,) that leads from one state of a single frame to another."""
    out = np.zeros(PER_FRAME)
    out[0:3] = matrix_to_axis_angle(two.rotation[0] @ one.rotation[0].T)
    out[3:6] = (two.translation[0] - one.translation[0]) / grow
    out[EXPRESSION] = two.expression[0] - one.expression[0]
    out[EYES] = (two.eyes[0] - one.eyes[0]).ravel()
    return out


def _constrained(
    metric: Array,
    pull: Array,
    jacobian: Array,
    wanted: Array,
    expression: Array,
    most: Array | float,
    fixed: NDArray[np.bool_],
) -> Array:
    """Step s (62,) with the least s' M s / 2 + g' s such that J s = wanted, expressions stay from 0 to `most` and what
    is `fixed` does not move. Constraints that contradict each other are met in the least-squares sense."""
    step = np.zeros(PER_FRAME)
    fixed = fixed.copy()
    for _ in range(PER_FRAME):
        free = ~fixed
        inverse = np.linalg.inv(metric[np.ix_(free, free)])
        force = (pull + metric[:, fixed] @ step[fixed])[free]
        move = -inverse @ force
        if len(wanted):
            j = jacobian[:, free]
            square = j @ inverse @ j.T
            square += 1e-7 * np.trace(square) / len(square) * np.eye(len(square))
            missing = wanted - jacobian[:, fixed] @ step[fixed] - j @ move
            move = move + inverse @ j.T @ np.linalg.solve(square, missing)
        step[free] = move
        target = expression + step[EXPRESSION]
        leaving = free[EXPRESSION] & ((target < 0.0) | (target > most))
        if not leaving.any():
            break
        step[EXPRESSION][leaving] = (np.clip(target, 0.0, most) - expression)[leaving]
        fixed[EXPRESSION] |= leaving
    return step
