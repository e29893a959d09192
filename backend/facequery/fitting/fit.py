"""`fit_shot`: tracks in; camera, face, skull, jaw and how far to trust them out."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from facequery.errors import UserError
from facequery.fitting.arrow import ArrowSystem, solve_arrow
from facequery.fitting.contact import JawContact, clear
from facequery.fitting.corrections import Corrections, without_ignored
from facequery.fitting.freeform import DENSE, free_form
from facequery.fitting.hold import held
from facequery.fitting.minimise import Minimum, minimise
from facequery.fitting.output import assemble
from facequery.fitting.points import moved_basis, point_basis
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
    from facequery.head.binding import Binding
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
    tick: Callable[[], None] | None = None,
) -> ShotFit:
    """Fit camera, face, skull and jaw to the tracks of one face, over all frames and views together.

    `tracks`: one per view, of the same queries and frames. `cameras`: one per view; None means that its focal length is
    estimated, static, the principal point at the picture's middle, no lens. In several views a camera without a pose is
    placed relative to the first view, from the face itself. With an `actor` the shape is theirs and stays.
    Results stand in the camera space of the first view, in metres; the head's own size, which a single picture cannot
    tell, is the most probable one unless an actor or known views determine it.

    Identity, smooth shape beyond it and cameras come from the key frames that differ most, solved jointly; then every
    frame is solved with them, all together in time; dense landmarks then shape the face freely. `corrections` made by
    hand hold at their frames. `tick` is called now and then and may raise to end the work. Raises UserError when there
    is too little to fit.
    """
    # The matrices are many and small: a second thread for each costs far more than it brings.
    with threadpool_limits(1, user_api="blas"):
        return _fit_shot(model, tracks, cameras, settings or FitSettings(), actor, corrections, tick)


def _fit_shot(
    model: "HeadModel",
    tracks: Sequence[Landmarks],
    cameras: Sequence[Camera | None],
    settings: FitSettings,
    actor: Person | None,
    corrections: Corrections | None,
    tick: Callable[[], None] | None,
) -> ShotFit:
    started = time.perf_counter()
    ready = prepared(model, tracks, cameras, settings, actor, corrections)
    problem = ready.problem
    start = initial_state(problem, ready.identity)
    seen = np.asarray(sum((view.weight > 0).sum(1) for view in problem.views)) >= FEWEST_LANDMARKS
    keys = key_frames(start, seen, settings.key_frames)
    key = _fit_key_frames(problem, start, keys, tick)
    last, result, iterations = key.problem, key.minimum, key.iterations
    if len(keys) < problem.frames or len(last.basis.rest) < len(ready.problem.basis.rest):
        last = replace(problem, lock_shared=True)
        set_statistics(last, key.problem.model_error, key.problem.expression_weight)
        state = extend(problem, key.minimum.state, keys)
        result = all_frames(last, state, tick)
        iterations += result.iterations
    if ready.extra is not None and len(problem.basis.rest) >= DENSE:
        offsets, moved = free_form(last, result.state, ready.binding)
        ready = replace(ready, own=offsets)
        last.basis = moved_basis(last.basis, moved)
        result = minimise(last, result.state, settings.iterations // 2, tick=tick)
        iterations += result.iterations
    result, touched, notes = finished(ready, last, result, corrections or Corrections(), tick=tick)
    return assemble(ready, last, result, key.problem, key.minimum, iterations, started, touched, notes)


def all_frames(problem: Problem, state: State, tick: Callable[[], None] | None = None) -> Minimum:
    """All frames of a problem whose shared unknowns are locked: first with some of the landmarks, then with all."""
    settings = problem.settings
    coarse = problem
    if len(problem.basis.rest) > 2 * _COARSE_LANDMARKS:
        some = spread_landmarks(problem.basis, problem.views, _COARSE_LANDMARKS)
        coarse = replace(select(problem, np.arange(problem.frames), some), lock_shared=True, frozen=problem.frozen)
        set_statistics(coarse, problem.model_error, problem.expression_weight)
    coarse.robust = 2.0 * settings.robust
    first = minimise(coarse, state, settings.iterations // 2, 1e-2, tick=tick)
    problem.robust = settings.robust
    last = minimise(problem, first.state, settings.iterations, tick=tick)
    return replace(last, iterations=first.iterations + last.iterations)


def finished(
    ready: "Prepared",
    problem: Problem,
    result: Minimum,
    corrections: Corrections,
    stops: Sequence[int] = (),
    tick: Callable[[], None] | None = None,
) -> tuple[Minimum, NDArray[np.bool_], list[str]]:
    """The minimum with its jaw out of the skull and held to what was corrected by hand; the frames (F,) that were
    corrected; and sentences for the user. `stops`: file numbers at which no correction may arrive."""
    identity, own = ready.shape(result.state)
    neutral = np.asarray(ready.problem.model.vertices(identity, None), np.float64) + own
    contact = JawContact(problem.model, neutral, identity)
    state, bounds, inside = clear(contact, result.state)
    if inside.any():  # the other unknowns have to know of it
        problem.upper = bounds
        result = minimise(problem, state, problem.settings.iterations // 2, tick=tick)
    state, touched, notes = held(
        problem, result.state, result.system, ready.frames, corrections, ready.known, stops=stops
    )
    state, _, inside = clear(contact, state)
    notes += [
        f"In frame {ready.frames[f]} the corrections would push the jaw into the skull; it stays outside."
        for f in np.flatnonzero(inside & touched)
    ]
    return replace(result, state=state), touched, notes


@dataclass(frozen=True, eq=False)
class Prepared:
    """A problem and what its results need: where the shape begins `identity` (K,), the person's `own` offsets (V, 3)
    or None, further shape modes `extra` (M, V, 3) or None, `known` cameras at the shot's `frames` (F,), and the
    `binding` of the landmarks to the head."""

    problem: Problem
    identity: Array
    own: Array | None
    extra: NDArray[np.float32] | None
    known: list[Camera | None]
    frames: NDArray[np.int64]
    binding: "Binding"

    def shape(self, state: State) -> tuple[Array, NDArray[np.float32]]:
        """The person of a state: identity (K,) of the head's own modes, and offsets (V, 3) metres beyond them."""
        model = self.problem.model
        modes = len(model.identity_basis)
        own = np.zeros((len(model.rest), 3), np.float32) if self.own is None else self.own.astype(np.float32)
        if self.extra is not None:
            own = own + np.tensordot(state.identity[modes:].astype(np.float32), self.extra, 1)
        return state.identity[:modes], own


def prepared(
    model: "HeadModel",
    tracks: Sequence[Landmarks],
    cameras: Sequence[Camera | None],
    settings: FitSettings,
    actor: Person | None,
    corrections: Corrections | None,
) -> Prepared:
    """The problem of a shot. Raises UserError when there is too little to fit, or input that does not fit together."""
    if corrections:
        tracks = [without_ignored(one, corrections, v) for v, one in enumerate(tracks)]
    views, known = make_views(tracks, cameras, settings)
    queries = tracks[0].queries
    positions = np.asarray(queries.positions, np.float64)
    own, identity = _given_shape(model, actor)
    extra = shape_modes(model, settings.shape_spread) if actor is None and settings.shape_spread > 0 else None
    if extra is not None:
        identity = np.concatenate([identity, np.zeros(len(extra))])
    binding = model.bind(queries.positions)
    basis = point_basis(model, positions, binding, own, extra)
    times = frame_times(tracks[0].frames, tracks[0].fps)
    problem = Problem(model, basis, views, settings, times, lock_identity=actor is not None)
    return Prepared(problem, identity, own, extra, known, np.asarray(tracks[0].frames, np.int64), binding)


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


def _fit_key_frames(
    problem: Problem, start: State, keys: NDArray[np.int64], tick: Callable[[], None] | None
) -> _KeyFit:
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
        results = [
            minimise(trial, with_focal(problem, begin, f / settings.focal_guess), 6, tick=tick) for f in _FOCAL_TRIALS
        ]
        best = min(results, key=lambda r: r.cost)
        iterations += sum(r.iterations for r in results)
        state = with_focal(problem, state, float(best.state.focal[[v.solve_focal for v in problem.views]][0]))
        state = replace(state, identity=best.state.identity)
    result = minimise(first, state, settings.iterations, 1e-3, tick=tick)
    iterations += result.iterations
    last = select(problem, keys, spread_landmarks(problem.basis, problem.views, _SHAPE_LANDMARKS))
    last.robust = settings.robust
    error = model_error(last, result.state)
    for _ in range(3):
        agreed = agreement(last, result.state)
        set_statistics(last, error, agreed)
        result = minimise(last, result.state, settings.iterations, tick=tick)
        iterations += result.iterations
        before, error = error, model_error(last, result.state)
        if abs(error - before) <= 0.1 * max(error, before) and agreement(last, result.state) > 0.7 * agreed:
            break
    for _ in range(2 if any(view.solve_focal for view in problem.views) else 0):
        try:
            last.focal_tilt = _focal_tilt(last, result.state, result.system)
        except np.linalg.LinAlgError:  # nothing determines the frames; the interval will say so
            break
        result = minimise(last, result.state, settings.iterations, tick=tick)
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
