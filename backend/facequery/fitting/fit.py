"""`fit_shot`: tracks in; camera, face, skull, jaw and how far to trust them out."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from facequery.errors import UserError
from facequery.fitting.initialise import fill_gaps, weak_perspective
from facequery.fitting.minimise import Minimum, minimise
from facequery.fitting.output import assemble
from facequery.fitting.points import PointBasis, point_basis
from facequery.fitting.prepare import FEWEST_LANDMARKS, Landmarks, frame_times, make_views
from facequery.fitting.problem import Problem, State, View
from facequery.fitting.results import ShotFit
from facequery.fitting.settings import FitSettings
from facequery.geometry.cameras import Camera
from facequery.geometry.rotations import matrix_to_axis_angle, project_to_so3, rotation_mean

if TYPE_CHECKING:
    from facequery.head.actor import Actor
    from facequery.head.model import HeadModel

Array = NDArray[np.float64]
_FOCAL_TRIALS = (0.6, 1.3, 3.0)  # in units of the longer side of the picture
_KEY_LANDMARKS = 400
_FIRST_MODEL_ERROR = 0.0015  # metres
_NEIGHBOURHOOD = 150  # landmarks beyond which errors that neighbours share no longer average out
_DIFFERENT_FRAMES = 8  # frames beyond which the same holds over time


def fit_shot(
    model: "HeadModel",
    tracks: Sequence[Landmarks],
    cameras: Sequence[Camera | None],
    settings: FitSettings | None = None,
    actor: "Actor | None" = None,
) -> ShotFit:
    """Fit camera, face, skull and jaw to the tracks of one face, over all frames and views together.

    `tracks`: one per view, of the same queries and frames. `cameras`: one per view; None means that its focal length is
    estimated, static, the principal point at the picture's middle, no lens. In several views a camera without a pose is
    placed relative to the first view, from the face itself. With an `actor` the shape is theirs and stays.
    Results stand in the camera space of the first view, in metres; the head's own size, which a single picture cannot
    tell, is the most probable one unless an actor or known views determine it.
    Raises UserError when there is too little to fit.
    """
    started = time.perf_counter()
    settings = settings or FitSettings()
    views, known = make_views(tracks, cameras, settings)
    queries = tracks[0].queries
    positions = np.asarray(queries.positions, np.float64)
    offsets = None if actor is None or actor.offsets is None else np.asarray(actor.offsets, np.float64)
    basis = point_basis(model, positions, model.bind(queries.positions), offsets)
    times = frame_times(tracks[0].frames, tracks[0].fps)
    identity = np.zeros(len(model.identity_basis)) if actor is None else np.asarray(actor.identity, np.float64)
    if len(identity) != len(model.identity_basis) or not np.isfinite(identity).all():
        raise UserError(f'The actor "{getattr(actor, "name", "")}" was made with another head.', code="FQ418")
    problem = Problem(model, basis, views, settings, times, lock_identity=actor is not None)

    start = _initial_state(problem, identity)
    seen = np.asarray(sum((view.weight > 0).sum(1) for view in views)) >= FEWEST_LANDMARKS
    keys = _key_frames(start, seen, settings.key_frames)
    found = _fit_key_frames(problem, start, keys, _spread_landmarks(basis, views, _KEY_LANDMARKS))
    state, error = found.state, found.model_error
    iterations = found.iterations
    if len(keys) < problem.frames:
        state = _extend(problem, state, keys)
        frames_alone = replace(problem, lock_shared=True, robust=2.0 * settings.robust)
        _set_statistics(frames_alone, error)
        result = minimise(frames_alone, state, settings.iterations // 2, 1e-2)
        state, iterations = result.state, iterations + result.iterations
    _set_statistics(problem, error)
    problem.robust = settings.robust
    result = minimise(problem, state, settings.iterations)
    iterations += result.iterations
    again = _model_error(problem, result.state)
    if abs(again - error) > 0.1 * max(again, error):
        _set_statistics(problem, again)
        result = minimise(problem, result.state, max(settings.iterations // 2, 3))
        iterations += result.iterations
    return assemble(problem, result, tracks, known, offsets, iterations, started)


# ---- the beginning -----------------------------------------------------------------------------------------------


def _initial_state(problem: Problem, identity: Array) -> State:
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


def _key_frames(start: State, seen: NDArray[np.bool_], count: int) -> NDArray[np.int64]:
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


def _spread_landmarks(basis: PointBasis, views: list[View], count: int) -> NDArray[np.int64]:
    """Indices of up to `count` landmarks, evenly over the head (farthest points), among those that are ever seen."""
    seen = np.flatnonzero(np.asarray(sum((view.weight > 0).sum(0) for view in views)) > 0)
    if len(seen) <= count:
        return seen
    if len(seen) > 20 * count:
        seen = np.sort(np.random.default_rng(0).choice(seen, 20 * count, replace=False))
    points = basis.rest[seen].copy()
    for share in (basis.jaw, *basis.eyes):
        place = np.searchsorted(seen, share.index)
        inside = (place < len(seen)) & (seen[np.minimum(place, len(seen) - 1)] == share.index)
        points[place[inside]] += share.rest[inside]
    chosen = np.zeros(count, np.int64)
    nearest = np.full(len(points), np.inf)
    for i in range(1, count):
        nearest = np.minimum(nearest, ((points - points[chosen[i - 1]]) ** 2).sum(1))
        chosen[i] = int(np.argmax(nearest))
    return np.sort(seen[chosen])


@dataclass(frozen=True)
class _KeyFit:
    state: State  # of the key frames
    model_error: float
    iterations: int


def _fit_key_frames(problem: Problem, start: State, keys: NDArray[np.int64], some: NDArray[np.int64]) -> _KeyFit:
    """Camera, identity and the key frames, from several focal lengths where it is not known; the best is kept."""
    small = _select(problem, keys, some)
    small.robust = 4.0 * problem.settings.robust
    _set_statistics(small, _FIRST_MODEL_ERROR)
    begin = _take(start, keys)
    trials: list[Minimum] = []
    if any(view.solve_focal for view in problem.views):
        few = np.linspace(0, len(keys) - 1, min(len(keys), 8)).astype(int)
        trial = _select(small, few, np.arange(0, len(some), max(len(some) // 150, 1)))
        trial.robust = small.robust
        _set_statistics(trial, _FIRST_MODEL_ERROR)
        guess = problem.settings.focal_guess
        results = [minimise(trial, _with_focal(problem, _take(begin, few), f / guess), 6) for f in _FOCAL_TRIALS]
        best = min(results, key=lambda r: r.cost)
        trials = [best]
        begin = _with_focal(problem, begin, float(best.state.focal[[v.solve_focal for v in problem.views]][0]))
        begin = replace(begin, identity=best.state.identity)
    result = minimise(small, begin, 12)
    small.robust = problem.settings.robust
    _set_statistics(small, _model_error(small, result.state))
    result = minimise(small, result.state, 10)
    error = _model_error(small, result.state)
    return _KeyFit(result.state, error, result.iterations + sum(t.iterations for t in trials))


def _with_focal(problem: Problem, state: State, factor: float) -> State:
    """The state with solved focal lengths multiplied and, in the first view, the head moved along with it."""
    solved = np.array([view.solve_focal for view in problem.views])
    focal = np.where(solved, factor, state.focal)
    translation = state.translation
    if solved[0]:
        translation = translation * np.array([1.0, 1.0, focal[0] / state.focal[0]])
    return replace(state, focal=focal, translation=translation)


def _extend(problem: Problem, key: State, keys: NDArray[np.int64]) -> State:
    """A state of all frames from that of the key frames: poses anew with identity and camera, expressions between."""
    fresh = _initial_state(problem, key.identity)
    solved = np.array([view.solve_focal for view in problem.views])
    if solved[0]:
        fresh = _with_focal(problem, fresh, float(key.focal[0]))
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
    )


# ---- parts of a problem ------------------------------------------------------------------------------------------


def _select(problem: Problem, frames: NDArray[np.int64], landmarks: NDArray[np.int64]) -> Problem:
    """The same problem with some of the frames and landmarks."""
    views = [
        replace(
            view,
            xy=view.xy[frames][:, landmarks],
            sigma=view.sigma[frames][:, landmarks],
            weight=view.weight[frames][:, landmarks],
            **{name: getattr(view, name)[frames] for name in ("fx", "fy", "cx", "cy", "rotation", "translation")},
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


def _take(state: State, frames: NDArray[np.int64]) -> State:
    return replace(
        state,
        expression=state.expression[frames],
        rotation=state.rotation[frames],
        translation=state.translation[frames],
        eyes=state.eyes[frames],
    )


# ---- statistics --------------------------------------------------------------------------------------------------


def _model_error(problem: Problem, state: State) -> float:
    """Metres (per axis) by which landmarks miss beyond their sigma: what the model cannot follow. From medians."""
    pixels, depths = problem.project(state)
    excess = []
    for v, view in enumerate(problem.views):
        used = view.weight > 0.5
        if not used.any():
            used = view.weight > 0
        gap = ((pixels[v] - view.xy) ** 2).sum(-1)[used] / (2.0 * np.log(2.0))  # its median is the variance per axis
        size = (np.maximum(depths[v], 0.05) / (view.fy[:, None] * state.focal[v]))[used]
        excess.append((gap - view.sigma[used] ** 2) * size**2)
    middle = float(np.median(np.concatenate(excess)))
    return float(np.sqrt(max(middle, 0.0)))


def _set_statistics(problem: Problem, model_error: float) -> None:
    """Set how landmarks weigh: model error, and how many of them and of the frames count as independent.

    The design effect of correlated errors: n values that share a part `rho` of their variance among m groups are worth
    1 / ((1 - rho) / n + rho / m) independent ones.
    """
    view = problem.views[0]
    used = view.weight > 0
    problem.model_error = model_error
    depth = np.median(view.fy) * model_error / 0.6 if not used.any() else None
    noise = float(np.median(view.sigma[used])) if used.any() else 1.0
    blur = depth if depth is not None else model_error * _pixels_per_metre(problem)
    share = float(np.clip(blur**2 / (blur**2 + noise**2), problem.settings.correlation, 0.9))
    count = max(float(used.sum(1).mean()), 1.0)
    problem.data_weight = min(1.0 / ((1.0 - share) / count + share / _NEIGHBOURHOOD) / count, 1.0)
    frames = float(problem.frames)
    worth = 1.0 / ((1.0 - share) / frames + share / _DIFFERENT_FRAMES)
    problem.identity_weight = max(frames / worth, 1.0)


def _pixels_per_metre(problem: Problem) -> float:
    """Median size of a metre at the face in the first view, from the spread of its landmarks against the mean head."""
    view = problem.views[0]
    points = problem.basis.rest.copy()
    for share in (problem.basis.jaw, *problem.basis.eyes):
        points[share.index] += share.rest
    sizes = []
    for f in range(0, problem.frames, max(problem.frames // 20, 1)):
        used = view.weight[f] > 0
        if used.sum() >= FEWEST_LANDMARKS:
            spread = np.sqrt((points[used] - points[used].mean(0)).var(0).sum() * 2 / 3)
            sizes.append(np.sqrt(view.xy[f, used].var(0).sum()) / max(spread, 1e-4))
    return float(np.median(sizes)) if sizes else 1000.0
