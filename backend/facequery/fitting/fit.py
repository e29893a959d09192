"""`fit_shot`: tracks in; camera, face, skull, jaw and how far to trust them out."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from facequery.errors import UserError
from facequery.fitting.arrow import ArrowSystem, solve_arrow
from facequery.fitting.corrections import Corrections, context, corrected, part_of, pose_targets, spliced
from facequery.fitting.minimise import Minimum, minimise
from facequery.fitting.output import assemble
from facequery.fitting.points import point_basis
from facequery.fitting.prepare import FEWEST_LANDMARKS, Landmarks, Person, frame_times, make_views
from facequery.fitting.problem import Problem
from facequery.fitting.results import ShotFit
from facequery.fitting.settings import FitSettings
from facequery.fitting.shape import shape_modes
from facequery.fitting.start import extend, initial_state, key_frames, select, spread_landmarks, take, with_focal
from facequery.fitting.state import State
from facequery.fitting.statistics import FIRST_MODEL_ERROR, agreement, model_error, set_statistics
from facequery.geometry.cameras import Camera

if TYPE_CHECKING:
    from facequery.head.model import HeadModel

Array = NDArray[np.float64]
_FOCAL_TRIALS = (0.6, 1.3, 3.0)  # in units of the longer side of the picture
_FIRST_LANDMARKS = 300  # with which the key frames begin
_TRACE = 1e-9  # of damping, where a system is only looked at
_FARTHEST_TILT = 0.25  # of the logarithm of a focal length
_COARSE_LANDMARKS = 1000  # with which all frames begin
_SHAPE_LANDMARKS = 4000  # with which they end: more say nothing new about shape and camera


def fit_shot(
    model: "HeadModel",
    tracks: Sequence[Landmarks],
    cameras: Sequence[Camera | None],
    settings: FitSettings | None = None,
    actor: Person | None = None,
    corrections: Corrections | None = None,
) -> ShotFit:
    """Fit camera, face, skull and jaw to the tracks of one face, over all frames and views together.

    `tracks`: one per view, of the same queries and frames. `cameras`: one per view; None means that its focal length is
    estimated, static, the principal point at the picture's middle, no lens. In several views a camera without a pose is
    placed relative to the first view, from the face itself. With an `actor` the shape is theirs and stays.
    Results stand in the camera space of the first view, in metres; the head's own size, which a single picture cannot
    tell, is the most probable one unless an actor or known views determine it.

    Identity, smooth shape beyond it and cameras come from the key frames that differ most, solved jointly; then every
    frame is solved with them, all together in time. `corrections` made by hand hold at their frames.
    Raises UserError when there is too little to fit.
    """
    # The matrices are many and small: a second thread for each costs far more than it brings.
    with threadpool_limits(1, user_api="blas"):
        return _fit_shot(model, tracks, cameras, settings or FitSettings(), actor, corrections)


def _fit_shot(
    model: "HeadModel",
    tracks: Sequence[Landmarks],
    cameras: Sequence[Camera | None],
    settings: FitSettings,
    actor: Person | None,
    corrections: Corrections | None,
) -> ShotFit:
    started = time.perf_counter()
    pinned: Array | None = None
    if corrections and tracks:
        first, pinned = corrected(tracks[0], corrections)
        tracks = [first, *tracks[1:]]
    views, known = make_views(tracks, cameras, settings)
    queries = tracks[0].queries
    positions = np.asarray(queries.positions, np.float64)
    own, identity = _given_shape(model, actor)
    extra = shape_modes(model, settings.shape_spread) if actor is None and settings.shape_spread > 0 else None
    if extra is not None:
        identity = np.concatenate([identity, np.zeros(len(extra))])
    basis = point_basis(model, positions, model.bind(queries.positions), own, extra)
    times = frame_times(tracks[0].frames, tracks[0].fps)
    problem = Problem(model, basis, views, settings, times, lock_identity=actor is not None)

    start = initial_state(problem, identity)
    seen = np.asarray(sum((view.weight > 0).sum(1) for view in views)) >= FEWEST_LANDMARKS
    keys = key_frames(start, seen, settings.key_frames)
    key = _fit_key_frames(problem, start, keys)
    last, result, iterations = key.problem, key.minimum, key.iterations
    if len(keys) < problem.frames or len(last.basis.rest) < len(positions) or corrections:
        last = replace(problem, lock_shared=True, pinned=pinned)
        set_statistics(last, key.problem.model_error, key.problem.expression_weight)
        state = extend(problem, key.minimum.state, keys)
        coarse = last
        if len(positions) > 2 * _COARSE_LANDMARKS:
            some = spread_landmarks(basis, views, _COARSE_LANDMARKS)
            coarse = replace(select(problem, np.arange(problem.frames), some), lock_shared=True)
            set_statistics(coarse, key.problem.model_error, key.problem.expression_weight)
        coarse.robust = 2.0 * settings.robust
        result = minimise(coarse, state, settings.iterations // 2, 1e-2)
        last.robust = settings.robust
        again = minimise(last, result.state, settings.iterations)
        iterations += result.iterations + again.iterations
        result = again
        if corrections and corrections.poses:
            last = pose_targets(last, result.state, np.asarray(tracks[0].frames, np.int64), corrections)
            set_statistics(last, key.problem.model_error, key.problem.expression_weight)
            result = minimise(last, result.state, settings.iterations, 1e-6)
    return assemble(last, result, key.problem, key.minimum, tracks, known, own, extra, iterations, started)


def refit_range(
    model: "HeadModel",
    tracks: Sequence[Landmarks],
    before: ShotFit,
    first: int,
    last: int,
    settings: FitSettings | None = None,
    corrections: Corrections | None = None,
) -> ShotFit:
    """Fit the frames from `first` to `last` (file numbers) again; all others, the shape and the cameras stay.

    Raises UserError when the range is not in the tracks.
    """
    margin = 12 if corrections is None else 12 + corrections.fade
    keep = context(np.asarray(tracks[0].frames, np.int64), first, last, margin)
    parts = [part_of(one, keep) for one in tracks]
    cameras = [camera.select(np.flatnonzero(keep)) for camera in before.cameras]
    if corrections is not None:
        inside = {int(f) for f in parts[0].frames}
        corrections = replace(
            corrections,
            pins=tuple(pin for pin in corrections.pins if pin.frame in inside),
            poses=tuple(pose for pose in corrections.poses if pose.frame in inside),
        )
    part = fit_shot(model, parts, cameras, settings, _Known("", before.face.identity, before.face.offsets), corrections)
    return spliced(before, part, first, last)


@dataclass(frozen=True, eq=False)
class _Known:
    """The person of an earlier fit."""

    name: str
    identity: NDArray[np.float32]
    offsets: NDArray[np.float32]


def _given_shape(model: "HeadModel", actor: Person | None) -> tuple[Array | None, Array]:
    """An actor's offsets (V, 3) or None, and their identity (K,), 0 without an actor."""
    if actor is None:
        return None, np.zeros(len(model.identity_basis))
    identity = np.asarray(actor.identity, np.float64)
    own = None if actor.offsets is None else np.asarray(actor.offsets, np.float64)
    if identity.shape != (len(model.identity_basis),) or (own is not None and own.shape != model.rest.shape):
        raise UserError(f'The actor "{actor.name}" was made with another head.', "Make the actor again.", "FQ418")
    if not np.isfinite(identity).all() or (own is not None and not np.isfinite(own).all()):
        raise UserError(f'The actor "{actor.name}" has values that are not finite.', "Make the actor again.", "FQ418")
    return own, identity


@dataclass(frozen=True, eq=False)
class _KeyFit:
    problem: Problem  # of the key frames
    minimum: Minimum
    iterations: int


def _fit_key_frames(problem: Problem, start: State, keys: NDArray[np.int64]) -> _KeyFit:
    """Shape, cameras and the key frames together, from several focal lengths where it is not known."""
    settings = problem.settings
    some = spread_landmarks(problem.basis, problem.views, _FIRST_LANDMARKS)
    first = select(problem, keys, some)
    first.robust = 4.0 * settings.robust
    set_statistics(first, FIRST_MODEL_ERROR)
    state = take(start, keys)
    iterations = 0
    if any(view.solve_focal for view in problem.views):
        few = np.linspace(0, len(keys) - 1, min(len(keys), 8)).astype(int)
        trial = select(first, few, np.arange(0, len(some), max(len(some) // 150, 1)))
        trial.robust = first.robust
        set_statistics(trial, FIRST_MODEL_ERROR)
        begin = take(state, few)
        results = [minimise(trial, with_focal(problem, begin, f / settings.focal_guess), 6) for f in _FOCAL_TRIALS]
        best = min(results, key=lambda r: r.cost)
        iterations += sum(r.iterations for r in results)
        state = with_focal(problem, state, float(best.state.focal[[v.solve_focal for v in problem.views]][0]))
        state = replace(state, identity=best.state.identity)
    result = minimise(first, state, settings.iterations, 1e-3)
    iterations += result.iterations
    last = select(problem, keys, spread_landmarks(problem.basis, problem.views, _SHAPE_LANDMARKS))
    last.robust = settings.robust
    error = model_error(last, result.state)
    for _ in range(3):
        agreed = agreement(last, result.state)
        set_statistics(last, error, agreed)
        result = minimise(last, result.state, settings.iterations)
        iterations += result.iterations
        before, error = error, model_error(last, result.state)
        if abs(error - before) <= 0.1 * max(error, before) and agreement(last, result.state) > 0.7 * agreed:
            break
    for _ in range(2 if any(view.solve_focal for view in problem.views) else 0):
        try:
            last.focal_tilt = _focal_tilt(last, result.state, result.system)
        except np.linalg.LinAlgError:  # nothing determines the frames; the interval will say so
            break
        result = minimise(last, result.state, settings.iterations)
        iterations += result.iterations
    return _KeyFit(last, result, iterations)


def _focal_tilt(problem: Problem, state: State, linearised: ArrowSystem) -> tuple[float, ...]:
    """Per view the slope, by the logarithm of its focal length, of half the logarithm of the determinant of all else.

    The most probable set of all unknowns has too short a focal length: near the camera everything moves the picture
    more, so that many unknowns can bend a little to please the noise. What is wanted is the focal length that is most
    probable whatever the others are; by Laplace's method that is the minimum of the cost plus this term (MacKay,
    Information Theory, Inference, and Learning Algorithms, 2003, chapter 27). The term is all but linear nearby; where
    the focal length is not determined it is not followed far.
    """
    step = 0.04
    slopes = []
    determined = solve_arrow(linearised, _TRACE).schur
    variance = np.diag(np.linalg.pinv(determined, hermitian=True))
    for v, view in enumerate(problem.views):
        if not view.solve_focal:
            slopes.append(0.0)
            continue
        here = np.arange(len(problem.views)) == v
        views = [replace(w, solve_focal=w.solve_focal and k != v) for k, w in enumerate(problem.views)]
        without = replace(problem, views=views)
        volumes = []
        for factor in (np.exp(-step), np.exp(step)):
            moved = replace(state, focal=np.where(here, state.focal * factor, state.focal))
            if v == 0:
                moved = replace(moved, translation=state.translation * np.array([1.0, 1.0, factor]))
            volumes.append(solve_arrow(without.linearise(moved)[0], _TRACE).log_determinant)
        slope = 0.5 * (volumes[1] - volumes[0]) / (2.0 * step)
        limit = _FARTHEST_TILT / max(float(variance[problem.focal_column[v]]), 1e-12)
        slopes.append(float(np.clip(slope, -limit, limit)))
    return tuple(slopes)
