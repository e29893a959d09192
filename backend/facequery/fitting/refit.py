"""Fitting a range of frames again, alone: all other frames, the shape and the cameras stay as they are."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from facequery.errors import UserError
from facequery.fitting.corrections import Corrections, part_of
from facequery.fitting.fit import all_frames, finished, prepared
from facequery.fitting.initialise import fill_gaps
from facequery.fitting.minimise import Minimum, minimise
from facequery.fitting.output import assemble
from facequery.fitting.points import eye_angles
from facequery.fitting.prepare import Landmarks
from facequery.fitting.results import GOOD, FitQuality, RigidFit, ShotFit
from facequery.fitting.settings import FitSettings
from facequery.fitting.start import initial_state
from facequery.fitting.state import State
from facequery.fitting.statistics import agreement, set_statistics
from facequery.geometry.cameras import Camera

if TYPE_CHECKING:
    from facequery.head.model import HeadModel

Array = NDArray[np.float64]
_ROUNDS = 2  # of errors in common, and how well the rest agrees
_CONTEXT = 6  # frames on either side that tell the range where to begin and to end


@dataclass(frozen=True, eq=False)
class _Known:
    """The person of an earlier fit."""

    name: str
    identity: NDArray[np.float32]
    offsets: NDArray[np.float32]


def refit_range(
    model: "HeadModel",
    tracks: Sequence[Landmarks],
    before: ShotFit,
    first: int,
    last: int,
    settings: FitSettings | None = None,
    corrections: Corrections | None = None,
    tick: Callable[[], None] | None = None,
) -> ShotFit:
    """Fit the frames from `first` to `last` (file numbers) again; all others, the shape and the cameras stay.

    The range goes on smoothly from the frames beside it. `corrections` in its frames hold there and fade out within it.
    Raises UserError when the range is not in the tracks, or `before` is the fit of other frames.
    """
    frames = np.asarray(tracks[0].frames, np.int64)
    if not np.array_equal(frames, before.face.frames):
        raise UserError("The fit that is there has other frames than the tracks.", "Fit the whole shot.", "FQ435")
    if not ((frames >= first) & (frames <= last)).any():
        raise UserError(f"The tracks have no frame from {first} to {last}.", "Choose frames of the shot.", "FQ433")
    rows = np.flatnonzero((frames >= first) & (frames <= last))
    keep = np.zeros(len(frames), bool)
    keep[max(rows[0] - _CONTEXT, 0) : rows[-1] + _CONTEXT + 1] = True
    corrections = _inside(corrections or Corrections(), first, last)
    with threadpool_limits(1, user_api="blas"):
        part, notes = _part(model, tracks, before, keep, first, last, settings or FitSettings(), corrections, tick)
    return _spliced(before, part, first, last, notes)


def _inside(corrections: Corrections, first: int, last: int) -> Corrections:
    return replace(
        corrections,
        pins=tuple(pin for pin in corrections.pins if first <= pin.frame <= last),
        poses=tuple(pose for pose in corrections.poses if first <= pose.frame <= last),
    )


def _part(
    model: "HeadModel",
    tracks: Sequence[Landmarks],
    before: ShotFit,
    keep: NDArray[np.bool_],
    first: int,
    last: int,
    settings: FitSettings,
    corrections: Corrections,
    tick: Callable[[], None] | None,
) -> tuple[ShotFit, list[str]]:
    """The frames `keep` (F,) fitted, those outside the range frozen; and what is to be said of the corrections."""
    started = time.perf_counter()
    parts = [part_of(one, keep) for one in tracks]
    rows = np.flatnonzero(keep)
    # Where the camera stood before is where it stands: views without a pose had theirs found.
    cameras: list[Camera | None] = [camera.for_frames(before.face.frames).select(rows) for camera in before.cameras]
    ready = prepared(
        model, parts, cameras, settings, _Known("", before.face.identity, before.face.offsets), corrections
    )
    frozen = (ready.frames < first) | (ready.frames > last)
    problem = replace(ready.problem, lock_shared=True, frozen=frozen)
    state = _state(problem, before, rows, frozen, ready.identity)
    agreed = agreement(problem, state)
    set_statistics(problem, before.quality.model_error, agreed)
    if problem.common > settings.correlation:
        common, agreed = _common(model, tracks, before, settings)
        state = replace(state, common=common)
        set_statistics(problem, before.quality.model_error, agreed)
    result: Minimum = all_frames(problem, state, tick)
    stops = [int(f) for f in before.face.frames if f < first][-1:] + [int(f) for f in before.face.frames if f > last][
        :1
    ]
    result, touched, notes = finished(ready, problem, result, corrections, stops, tick)
    return assemble(ready, problem, result, problem, result, result.iterations, started, touched, notes), notes


def _common(
    model: "HeadModel", tracks: Sequence[Landmarks], before: ShotFit, settings: FitSettings
) -> tuple[Array, float]:
    """The errors (views, M, 2) that the landmarks had in common in the earlier fit, and how well the rest agrees."""
    rows = np.unique(np.linspace(0, len(before.face.frames) - 1, settings.key_frames).astype(int))
    some = np.isin(np.arange(len(before.face.frames)), rows)
    cameras: list[Camera | None] = [camera.for_frames(before.face.frames).select(rows) for camera in before.cameras]
    person = _Known("", before.face.identity, before.face.offsets)
    ready = prepared(model, [part_of(one, some) for one in tracks], cameras, settings, person, None)
    still = np.ones(len(rows), bool)
    problem = replace(ready.problem, frozen=still)
    state = _state(problem, before, rows, still, ready.identity)
    agreed = 1.0
    for _ in range(_ROUNDS):
        set_statistics(problem, before.quality.model_error, agreed)
        state = minimise(problem, state, settings.iterations).state
        agreed = agreement(problem, state)
    return state.common, agreed


def _state(problem: Any, before: ShotFit, rows: NDArray[np.int64], frozen: NDArray[np.bool_], identity: Array) -> State:
    """The earlier fit in its frozen frames; begun anew in the others, with what lies on either side."""
    view = problem.views[0]
    back = np.swapaxes(view.rotation, 1, 2)
    old_rotation = back @ before.face.rotation[rows]
    old_translation = np.einsum("fij,fj->fi", back, before.face.translation[rows] - view.translation)
    old_expression = before.face.expression[rows].astype(np.float64)
    old_eyes = eye_angles(before.face.eye_rotation[rows].astype(np.float64))
    fresh = initial_state(problem, identity)
    known = frozen if frozen.any() else np.ones(len(frozen), bool)
    return replace(
        fresh,
        rotation=np.where(frozen[:, None, None], old_rotation, fresh.rotation),
        translation=np.where(frozen[:, None], old_translation, fresh.translation),
        expression=fill_gaps(old_expression, known, problem.times),
        eyes=fill_gaps(old_eyes, known, problem.times),
    )


def _spliced(before: ShotFit, part: ShotFit, first: int, last: int, notes: list[str]) -> ShotFit:
    """`before` with the frames from `first` to `last` (file numbers) taken from `part`, a fit of the same person."""
    new = (part.face.frames >= first) & (part.face.frames <= last)
    old = np.isin(before.face.frames, part.face.frames[new])

    def mixed(one: NDArray[Any], two: NDArray[Any]) -> NDArray[Any]:
        out = one.copy()
        out[old] = two[new]
        return out

    def rigid(one: RigidFit, two: RigidFit) -> RigidFit:
        return replace(
            one, rotation=mixed(one.rotation, two.rotation), translation=mixed(one.translation, two.translation)
        )

    names = ("vertices", "expression", "eye_rotation", "rotation", "translation")
    changed: dict[str, Any] = {name: mixed(getattr(before.face, name), getattr(part.face, name)) for name in names}
    quality = _mixed_quality(before.quality, part.quality, old, new, notes)
    face = replace(before.face, **changed)
    return ShotFit(before.cameras, face, rigid(before.skull, part.skull), rigid(before.jaw, part.jaw), quality)


def _mixed_quality(
    one: FitQuality, two: FitQuality, old: NDArray[np.bool_], new: NDArray[np.bool_], notes: list[str]
) -> FitQuality:
    lists: dict[str, Any] = {}
    for name in ("reprojection", "landmarks", "rotation_sigma", "depth_sigma", "jaw_sigma", "status"):
        values, fresh = list(getattr(one, name)), list(getattr(two, name))
        for i, j in zip(np.flatnonzero(old), np.flatnonzero(new), strict=True):
            values[i] = fresh[j]
        lists[name] = values
    error = np.nan_to_num(np.array(lists["reprojection"]), nan=np.inf)
    doubtful = np.array([s != GOOD for s in lists["status"]])
    worst = [int(one.frames[i]) for i in np.lexsort((-error, ~doubtful))[:10]]
    said = [*one.notes, *notes]
    return replace(one, worst_frames=worst, iterations=two.iterations, seconds=two.seconds, notes=said, **lists)
