"""What the user corrects by hand: pinned landmarks, keyed poses, ignored landmarks; and a range of frames fitted anew.

A correction holds at its own frame and fades out around it, over `fade` frames on either side.
"""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from facequery.errors import UserError
from facequery.fitting.prepare import Landmarks
from facequery.fitting.results import FitQuality, RigidFit, ShotFit
from facequery.geometry.rotations import axis_angle_to_matrix, matrix_to_axis_angle

if TYPE_CHECKING:
    from facequery.fitting.problem import Problem
    from facequery.fitting.state import State

Array = NDArray[np.float64]
_PIN_SIGMA = 0.03  # px: how exactly a pinned landmark is met, as far as the head can reach it


@dataclass(frozen=True)
class Pin:
    """Landmark `landmark` (its index) belongs at `xy` plate pixels of the first view, in file number `frame`."""

    frame: int
    landmark: int
    xy: tuple[float, float]


@dataclass(frozen=True, eq=False)
class KeyedPose:
    """The head's pose in file number `frame`: canonical to the first view's camera space, (3, 3) and (3,) metres."""

    frame: int
    rotation: Array
    translation: Array


@dataclass(frozen=True)
class Ignored:
    """Landmark `landmark` (its index) says nothing from file number `first` to `last`, both included."""

    landmark: int
    first: int
    last: int


@dataclass(frozen=True)
class Corrections:
    """All corrections of a shot; `fade` in frames."""

    pins: tuple[Pin, ...] = ()
    poses: tuple[KeyedPose, ...] = ()
    ignored: tuple[Ignored, ...] = ()
    fade: int = 8

    def __bool__(self) -> bool:
        return bool(self.pins or self.poses or self.ignored)


def fade_weights(frames: NDArray[np.int64], keys: NDArray[np.int64], fade: int) -> Array:
    """(F, K) share of each key in each frame: 1 at its own frame, 0 at the next key or after `fade` frames."""
    out = np.zeros((len(frames), len(keys)))
    for k, key in enumerate(keys):
        for side in (-1, 1):
            others = [abs(int(o) - int(key)) for o in keys if (int(o) - int(key)) * side > 0]
            reach = min([fade + 1, *others])
            gap = (frames - key) * side
            inside = (gap >= 0) & (gap < reach)
            out[inside, k] = 0.5 + 0.5 * np.cos(np.pi * gap[inside] / reach)
    return out


def corrected(tracks: Landmarks, corrections: Corrections) -> tuple["CorrectedTracks", Array]:
    """Tracks with what is ignored removed and pins drawn in, and extra information (F, N) in 1 / px^2 where pins are.

    Raises UserError for a frame or a landmark that the tracks do not have.
    """
    frames = np.asarray(tracks.frames, np.int64)
    xy = np.array(tracks.xy, np.float64)
    sigma = np.array(tracks.sigma, np.float64)
    information = np.zeros(sigma.shape)
    count = sigma.shape[1]
    for landmark in [pin.landmark for pin in corrections.pins] + [one.landmark for one in corrections.ignored]:
        if not 0 <= landmark < count:
            raise UserError(f"A correction names landmark {landmark}; there are {count}.", code="FQ430")
    for ignored in corrections.ignored:
        sigma[(frames >= ignored.first) & (frames <= ignored.last), ignored.landmark] = np.nan
    for landmark in sorted({pin.landmark for pin in corrections.pins}):
        pins = [pin for pin in corrections.pins if pin.landmark == landmark]
        keys = np.array([pin.frame for pin in pins])
        rows = np.array([_row(frames, pin.frame) for pin in pins])
        wanted = np.array([pin.xy for pin in pins], np.float64)
        lost = ~np.isfinite(xy[rows, landmark]).all(-1)
        move = np.where(lost[:, None], 0.0, wanted - xy[rows, landmark])
        share = fade_weights(frames, keys, corrections.fade)
        xy[:, landmark] += share @ move
        xy[rows, landmark] = wanted
        sigma[rows, landmark] = np.where(np.isfinite(sigma[rows, landmark]), sigma[rows, landmark], 1.0)
        strength = share.max(1)
        information[:, landmark] = np.where(np.isfinite(xy[:, landmark]).all(-1), (strength**4 / _PIN_SIGMA) ** 2, 0.0)
    made = CorrectedTracks(
        xy, sigma, np.asarray(tracks.visible), frames, tracks.queries, tracks.width, tracks.height, tracks.fps
    )
    return made, information


@dataclass(frozen=True, eq=False)
class CorrectedTracks:
    """Tracks as a fit reads them."""

    xy: NDArray[Any]
    sigma: NDArray[Any]
    visible: NDArray[Any]
    frames: NDArray[np.int64]
    queries: Any
    width: int
    height: int
    fps: float


def _row(frames: NDArray[np.int64], frame: int) -> int:
    at = np.flatnonzero(frames == frame)
    if not len(at):
        raise UserError(f"A correction is at frame {frame}, which the tracks do not have.", code="FQ431")
    return int(at[0])


def pose_targets(problem: "Problem", state: "State", frames: NDArray[np.int64], corrections: Corrections) -> "Problem":
    """The problem with keyed poses as targets: exact at their frames, the difference to `state` fading out."""
    view = problem.views[0]
    keys = np.array([pose.frame for pose in corrections.poses])
    share = fade_weights(frames, keys, corrections.fade)
    rotation, translation = state.rotation.copy(), state.translation.copy()
    turn, move = np.zeros((len(keys), 3)), np.zeros((len(keys), 3))
    for k, pose in enumerate(corrections.poses):
        f = _row(frames, pose.frame)
        wanted = np.asarray(pose.rotation, np.float64)
        if np.abs(wanted @ wanted.T - np.eye(3)).max() > 1e-3 or not np.isfinite(pose.translation).all():
            raise UserError(f"The pose keyed at frame {pose.frame} is not a rigid motion.", code="FQ432")
        back = view.rotation[f].T
        turn[k] = matrix_to_axis_angle(back @ wanted @ state.rotation[f].T)
        move[k] = back @ (np.asarray(pose.translation) - view.translation[f]) - state.translation[f]
    rotation = axis_angle_to_matrix(share @ turn) @ rotation
    translation = translation + share @ move
    return replace(problem, target_rotation=rotation, target_translation=translation, target_weight=share.max(1))


def part_of(tracks: Landmarks, keep: NDArray[np.bool_]) -> CorrectedTracks:
    """Tracks of some of the frames."""
    return CorrectedTracks(
        np.asarray(tracks.xy)[keep], np.asarray(tracks.sigma)[keep], np.asarray(tracks.visible)[keep],
        np.asarray(tracks.frames, np.int64)[keep], tracks.queries, tracks.width, tracks.height, tracks.fps,
    )  # fmt: skip


def spliced(before: ShotFit, part: ShotFit, first: int, last: int) -> ShotFit:
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
    face = replace(before.face, **changed)
    return ShotFit(
        before.cameras, face, rigid(before.skull, part.skull), rigid(before.jaw, part.jaw),
        _mixed_quality(before.quality, part.quality, old, new),
    )  # fmt: skip


def _mixed_quality(one: FitQuality, two: FitQuality, old: NDArray[np.bool_], new: NDArray[np.bool_]) -> FitQuality:
    lists: dict[str, Any] = {}
    for name in ("reprojection", "landmarks", "rotation_sigma", "depth_sigma", "jaw_sigma", "status"):
        values, fresh = list(getattr(one, name)), list(getattr(two, name))
        for i, j in zip(np.flatnonzero(old), np.flatnonzero(new), strict=True):
            values[i] = fresh[j]
        lists[name] = values
    error = np.nan_to_num(np.array(lists["reprojection"]), nan=np.inf)
    doubtful = np.array([s != "good" for s in lists["status"]])
    worst = [int(one.frames[i]) for i in np.lexsort((-error, ~doubtful))[:10]]
    return replace(one, worst_frames=worst, iterations=two.iterations, seconds=two.seconds, **lists)


def context(frames: NDArray[np.int64], first: int, last: int, margin: int) -> NDArray[np.bool_]:
    """Mask of the frames of a range and of some around it, which tell it where to begin. Raises UserError if empty."""
    inside = (frames >= first) & (frames <= last)
    if not inside.any():
        raise UserError(f"The tracks have no frame from {first} to {last}.", "Choose frames of the shot.", "FQ433")
    return (frames >= first - margin) & (frames <= last + margin)
