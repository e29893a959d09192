"""Where a fit begins: poses of all frames, which frames and landmarks to look at first, and how to go on from there."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from facequery.errors import UserError
from facequery.fitting.initialise import fill_gaps, weak_perspective
from facequery.fitting.points import PointBasis
from facequery.fitting.prepare import FEWEST_LANDMARKS
from facequery.fitting.problem import Problem
from facequery.fitting.state import State, View
from facequery.geometry.rotations import matrix_to_axis_angle, project_to_so3, rotation_mean
from facequery.head.sampling import farthest_points

Array = NDArray[np.float64]


def initial_state(problem: Problem, identity: Array) -> State:
    """Weak-perspective pose of every frame in the view that sees most of it; solved views are placed by the first."""
    frames, views = problem.frames, problem.views
    base = State(
        identity,
        np.zeros((frames, 52)),
        np.tile(np.eye(3), (frames, 1, 1)),
        np.zeros((frames, 3)),
        np.zeros((frames, 2, 2)),
        np.ones(len(views)),
        np.tile(np.eye(3), (len(views), 1, 1)),
        np.zeros((len(views), 3)),
        np.zeros((len(views), views[0].alike.shape[1], 2)),
    )
    rest = problem.canonical(replace(base, expression=base.expression[:1], eyes=base.eyes[:1]))[0]
    poses = [_view_poses(view, rest) for view in views]
    camera_rotation, camera_translation = base.camera_rotation.copy(), base.camera_translation.copy()
    world: list[tuple[Array, Array]] = []
    for v, view in enumerate(views):
        rotation, translation = poses[v]
        if view.solve_pose:
            both = np.isfinite(translation).all(1) & np.isfinite(world[0][1]).all(1)
            if not both.any():
                raise UserError(
                    f"View {v + 1} and view 1 never see the face in the same frame.",
                    "Give the pose of its camera, or leave the view out.",
                    "FQ419",
                )
            relative = rotation[both] @ np.swapaxes(world[0][0][both], 1, 2)
            camera_rotation[v] = rotation_mean(relative)
            moved = np.einsum("ij,fj->fi", camera_rotation[v], world[0][1][both])
            camera_translation[v] = np.median(translation[both] - moved, axis=0)
            to_camera = camera_rotation[v] @ view.rotation, camera_translation[v] + view.translation
        else:
            to_camera = view.rotation, view.translation
        inverse = np.swapaxes(to_camera[0], 1, 2)
        world.append((inverse @ rotation, np.einsum("fij,fj->fi", inverse, translation - to_camera[1])))
    strength = np.stack([(view.weight / view.sigma).sum(1) for view in views])
    strength[~np.stack([np.isfinite(t).all(1) for _, t in world])] = 0.0
    best = strength.argmax(0)
    which = np.arange(frames)
    rotation = np.stack([r for r, _ in world])[best, which]
    translation = np.stack([t for _, t in world])[best, which]
    clear = strength.max(0) > 0
    if not clear.any():
        raise UserError("No frame shows enough of the face to begin with.", "Look at the tracks.", "FQ415")
    # Depth is what a glance at few landmarks gets wrong most: a frame far from the median of the shot is not believed.
    rotation = project_to_so3(fill_gaps(rotation, clear, problem.times))
    translation = fill_gaps(translation, clear, problem.times)
    return replace(
        base,
        rotation=rotation,
        translation=translation,
        camera_rotation=camera_rotation,
        camera_translation=camera_translation,
    )


def _view_poses(view: View, rest: Array) -> tuple[Array, Array]:
    """Poses (F, 3, 3), (F, 3) of the mean head in a view's camera; NaN translation where it does not see enough."""
    aspect = view.fy / view.fx
    xy = (view.xy - np.stack([view.cx, view.cy], -1)[:, None]) * np.stack([aspect, np.ones_like(aspect)], -1)[:, None]
    rotation, scale, shift, _ = weak_perspective(rest, xy, view.weight / view.sigma**2)
    few = (view.weight > 0).sum(1) < FEWEST_LANDMARKS
    with np.errstate(invalid="ignore", divide="ignore"):
        depth = view.fy / scale
        translation = np.stack([shift[:, 0] / scale, shift[:, 1] / scale, depth], -1)
    translation[few | ~(scale > 0)] = np.nan
    typical = np.nanmedian(translation[:, 2]) if np.isfinite(translation[:, 2]).any() else np.nan
    with np.errstate(invalid="ignore"):
        odd = (translation[:, 2] > 6 * typical) | (translation[:, 2] < typical / 6)
    translation[odd] = np.nan
    return rotation, translation


def key_frames(start: State, seen: NDArray[np.bool_], count: int) -> NDArray[np.int64]:
    """Indices of up to `count` frames that differ most in pose, among those that were seen: farthest-point sampling."""
    frames = np.flatnonzero(seen)
    if len(frames) <= count:
        return frames
    features = np.concatenate(
        [
            matrix_to_axis_angle(start.rotation[frames] @ start.rotation[frames[len(frames) // 2]].T),
            np.log(np.maximum(np.abs(start.translation[frames, 2:]), 1e-3)),
            (frames[:, None] / len(seen)) * 0.5,  # spread over the shot too, for expressions
        ],
        axis=1,
    )
    # An odd pose is more often a mistake than a discovery: leave out the most distant twentieth.
    middle = np.median(features, axis=0)
    distance = np.linalg.norm(features - middle, axis=1)
    usable = np.flatnonzero(distance <= np.quantile(distance, 0.95))
    chosen = [int(usable[np.argmin(distance[usable])])]
    nearest = np.full(len(frames), np.inf)
    while len(chosen) < count:
        nearest = np.minimum(nearest, np.linalg.norm(features - features[chosen[-1]], axis=1))
        chosen.append(int(usable[np.argmax(nearest[usable])]))
    return np.sort(frames[np.unique(chosen)])


def spread_landmarks(basis: PointBasis, views: list[View], count: int) -> NDArray[np.int64]:
    """Indices of up to `count` landmarks, evenly over the head (farthest points), among those that are ever seen."""
    seen = np.flatnonzero(np.asarray(sum((view.weight > 0).sum(0) for view in views)) > 0)
    if len(seen) <= count:
        return seen
    if len(seen) > 20 * count:
        seen = np.sort(np.random.default_rng(0).choice(seen, 20 * count, replace=False))
    return np.sort(seen[farthest_points(basis.places()[seen], count)])


def with_focal(problem: Problem, state: State, factor: float) -> State:
    """The state with solved focal lengths multiplied and, in the first view, the head moved along with it."""
    solved = np.array([view.solve_focal for view in problem.views])
    focal = np.where(solved, factor, state.focal)
    translation = state.translation
    if solved[0]:
        translation = translation * np.array([1.0, 1.0, focal[0] / state.focal[0]])
    return replace(state, focal=focal, translation=translation)


def extend(problem: Problem, key: State, keys: NDArray[np.int64]) -> State:
    """A state of all frames from that of the key frames: poses anew with identity and camera, expressions between."""
    fresh = initial_state(problem, key.identity)
    solved = np.array([view.solve_focal for view in problem.views])
    if solved[0]:
        fresh = with_focal(problem, fresh, float(key.focal[0]))
    times = problem.times

    def between(values: Array) -> Array:
        out = np.zeros((len(times), *values.shape[1:]))
        out[keys] = values
        known = np.zeros(len(times), bool)
        known[keys] = True
        return fill_gaps(out, known, times)

    # What perspective and identity changed at the key frames is carried to the frames between them.
    turn = key.rotation @ np.swapaxes(fresh.rotation[keys], 1, 2)
    shift = key.translation - fresh.translation[keys]
    rotation = project_to_so3(between(turn)) @ fresh.rotation
    return replace(
        fresh,
        rotation=rotation,
        translation=fresh.translation + between(shift),
        expression=between(key.expression),
        eyes=between(key.eyes),
        focal=key.focal,
        camera_rotation=key.camera_rotation,
        camera_translation=key.camera_translation,
        common=key.common,
    )


def select(problem: Problem, frames: NDArray[np.int64], landmarks: NDArray[np.int64]) -> Problem:
    """The same problem with some of the frames and landmarks."""
    views = [
        replace(
            view,
            xy=view.xy[frames][:, landmarks],
            sigma=view.sigma[frames][:, landmarks],
            weight=view.weight[frames][:, landmarks],
            alike=view.alike[landmarks],
            **{n: getattr(view, n)[frames] for n in ("size", "fx", "fy", "cx", "cy", "rotation", "translation")},
        )
        for view in problem.views
    ]
    return Problem(
        problem.model,
        problem.basis.subset(landmarks),
        views,
        problem.settings,
        problem.times[frames],
        problem.lock_identity,
    )


def take(state: State, frames: NDArray[np.int64]) -> State:
    return replace(
        state,
        expression=state.expression[frames],
        rotation=state.rotation[frames],
        translation=state.translation[frames],
        eyes=state.eyes[frames],
    )
