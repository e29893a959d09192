"""What the user corrects by hand: landmarks pinned, poses keyed, landmarks ignored, as values and as a JSON document.

    {"schema": "facequery.corrections", "version": 1, "fade": 8,
     "pins": [{"frame": 1012, "landmark": "ibug68.30", "xy": [812.4, 501.2], "view": 1}],
     "poses": [{"frame": 1030, "rotation": [[1, 0, 0], [0, -1, 0], [0, 0, -1]], "translation": [0.0, 0.0, 0.7]}],
     "ignored": [{"landmark": "ibug68.8", "first": 1001, "last": 1048, "view": 1}]}

Frames are file numbers. A landmark is the id or the name of a point, or its column (a number) in the tracks. `view`
counts from 1 and may be left out: 1 for a pin, every view for what is ignored. Pixels are those of the plate; a pose
takes canonical space to the camera space of the first view.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facequery.errors import UserError
from facequery.fitting.prepare import Landmarks

Array = NDArray[np.float64]
SCHEMA, VERSION = "facequery.corrections", 1


@dataclass(frozen=True)
class Pin:
    """Landmark `landmark` (its index) belongs at `xy` plate pixels of view `view` (from 0), in file number `frame`."""

    frame: int
    landmark: int
    xy: tuple[float, float]
    view: int = 0


@dataclass(frozen=True, eq=False)
class KeyedPose:
    """The head's pose in file number `frame`: canonical to the first view's camera space, (3, 3) and (3,) metres."""

    frame: int
    rotation: Array
    translation: Array


@dataclass(frozen=True)
class Ignored:
    """Landmark `landmark` (its index) says nothing from file number `first` to `last`, both included; `view` from 0,
    None: in every view."""

    landmark: int
    first: int
    last: int
    view: int | None = None


@dataclass(frozen=True)
class Corrections:
    """All corrections of a shot. They hold at their own frames and fade out over `fade` frames on either side."""

    pins: tuple[Pin, ...] = ()
    poses: tuple[KeyedPose, ...] = ()
    ignored: tuple[Ignored, ...] = ()
    fade: int = 8

    def __bool__(self) -> bool:
        return bool(self.pins or self.poses or self.ignored)

    @property
    def frames(self) -> list[int]:
        """File numbers of the frames with a pin or a pose, in order."""
        return sorted({pin.frame for pin in self.pins} | {pose.frame for pose in self.poses})


def fade_weights(frames: NDArray[np.int64], keys: NDArray[np.int64], fade: int, stops: Sequence[int] = ()) -> Array:
    """(F, K) share of each key in each frame: 1 at its own frame, 0 at the next key, at a stop, or after `fade`."""
    out = np.zeros((len(frames), len(keys)))
    for k, key in enumerate(keys):
        for side in (-1, 1):
            others = [abs(int(o) - int(key)) for o in (*keys, *stops) if (int(o) - int(key)) * side > 0]
            reach = min([fade + 1, *others])
            gap = (frames - key) * side
            inside = (gap >= 0) & (gap < reach)
            out[inside, k] = 0.5 + 0.5 * np.cos(np.pi * gap[inside] / reach)
    return out


@dataclass(frozen=True, eq=False)
class SomeTracks:
    """Tracks as a fit reads them."""

    xy: NDArray[Any]
    sigma: NDArray[Any]
    visible: NDArray[Any]
    frames: NDArray[np.int64]
    queries: Any
    width: int
    height: int
    fps: float


def without_ignored(tracks: Landmarks, corrections: Corrections, view: int) -> SomeTracks:
    """Tracks of a view (from 0) without what is ignored: no value in its frames, less certain in those around them.

    Raises UserError for a frame, a landmark or a view that is not there.
    """
    frames = np.asarray(tracks.frames, np.int64)
    sigma = np.array(tracks.sigma, np.float64)
    count = sigma.shape[1]
    for landmark in [pin.landmark for pin in corrections.pins] + [one.landmark for one in corrections.ignored]:
        if not 0 <= landmark < count:
            raise UserError(f"A correction names landmark {landmark}; there are {count}.", code="FQ430")
    for frame in corrections.frames:
        row_of(frames, frame)
    for one in corrections.ignored:
        if one.view is not None and one.view != view:
            continue
        gap = np.maximum(np.maximum(one.first - frames, frames - one.last), 0)
        share = 0.5 + 0.5 * np.cos(np.pi * np.minimum(gap / (corrections.fade + 1), 1.0))
        with np.errstate(divide="ignore"):
            sigma[:, one.landmark] /= np.sqrt(1.0 - share)
        sigma[gap == 0, one.landmark] = np.nan
    return SomeTracks(
        np.asarray(tracks.xy), sigma, np.asarray(tracks.visible), frames, tracks.queries, tracks.width, tracks.height,
        tracks.fps,
    )  # fmt: skip


def part_of(tracks: Landmarks, keep: NDArray[np.bool_]) -> SomeTracks:
    """Tracks of some of the frames."""
    return SomeTracks(
        np.asarray(tracks.xy)[keep], np.asarray(tracks.sigma)[keep], np.asarray(tracks.visible)[keep],
        np.asarray(tracks.frames, np.int64)[keep], tracks.queries, tracks.width, tracks.height, tracks.fps,
    )  # fmt: skip


def row_of(frames: NDArray[np.int64], frame: int) -> int:
    """Array index of a file number. Raises UserError when the tracks do not have it."""
    at = np.flatnonzero(frames == frame)
    if not len(at):
        raise UserError(f"A correction is at frame {frame}, which the tracks do not have.", code="FQ431")
    return int(at[0])


def named_landmarks(document: Mapping[str, Any] | None) -> list[str]:
    """The ids or names of landmarks that a corrections document, not yet checked, speaks of."""
    lists = [] if document is None else [document.get("pins"), document.get("ignored")]
    entries = [entry for one in lists if isinstance(one, list) for entry in one]
    return [e["landmark"] for e in entries if isinstance(e, dict) and isinstance(e.get("landmark"), str)]


def corrections_from_dict(
    document: Mapping[str, Any], ids: Sequence[str], names: Sequence[str], views: int = 1
) -> Corrections:
    """Corrections of a JSON document (see above), for tracks whose landmarks have `ids` and `names`.

    Raises UserError with one sentence on anything else.
    """
    if not isinstance(document, Mapping) or document.get("schema") != SCHEMA:
        raise UserError("These are no corrections.", f'They are a JSON object with "schema": "{SCHEMA}".', "FQ434")
    if not isinstance(document.get("version"), int) or document["version"] > VERSION:
        raise UserError("The corrections were written by a newer FaceQuery.", "Update FaceQuery.", "FQ434")
    unknown = sorted(document.keys() - {"schema", "version", "fade", "pins", "poses", "ignored"})
    if unknown:
        raise UserError(f'Corrections have no "{unknown[0]}".', "Use pins, poses, ignored and fade.", "FQ434")
    by_name = {name: k for k, name in reversed(list(enumerate(names)))}
    by_name |= {one: k for k, one in enumerate(ids)}

    def landmark(entry: dict[str, Any]) -> int:
        value = entry.get("landmark")
        if isinstance(value, str):
            if value not in by_name:
                raise UserError(f'The corrections name a landmark "{value}" that was not tracked.', code="FQ430")
            return by_name[value]
        return _whole(entry, "landmark")

    def view(entry: dict[str, Any]) -> int:
        value = _whole(entry, "view") if "view" in entry else 1
        if not 1 <= value <= views:
            raise UserError(f"A correction is in view {value}; there are {views}.", code="FQ430")
        return value - 1

    pins, poses, ignored = [], [], []
    for entry in _entries(document, "pins"):
        x, y = _numbers(entry, "xy", (2,))
        pins.append(Pin(_whole(entry, "frame"), landmark(entry), (float(x), float(y)), view(entry)))
    for entry in _entries(document, "poses"):
        rotation, translation = _numbers(entry, "rotation", (3, 3)), _numbers(entry, "translation", (3,))
        poses.append(KeyedPose(_whole(entry, "frame"), rotation, translation))
    for entry in _entries(document, "ignored"):
        first, last = _whole(entry, "first"), _whole(entry, "last")
        if last < first:
            raise UserError(f"What is ignored from frame {first} ends before, at {last}.", code="FQ434")
        ignored.append(Ignored(landmark(entry), first, last, view(entry) if "view" in entry else None))
    fade = _whole(document, "fade") if "fade" in document else Corrections.fade
    if not 0 <= fade <= 1000:
        raise UserError("Corrections fade out over 0 to 1000 frames.", code="FQ434")
    return Corrections(tuple(pins), tuple(poses), tuple(ignored), fade)


def _entries(document: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    entries = document.get(name, [])
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise UserError(f'"{name}" of the corrections must be a list of objects.', code="FQ434")
    return entries


def _whole(entry: Mapping[str, Any], name: str) -> int:
    value = entry.get(name)
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) > 2**40:
        raise UserError(f'"{name}" in the corrections must be a whole number.', code="FQ434")
    return value


def _numbers(entry: Mapping[str, Any], name: str, shape: tuple[int, ...]) -> Array:
    try:
        value = np.array(entry.get(name), np.float64)
    except (TypeError, ValueError):
        value = np.zeros(0)
    if value.shape != shape or not all(map(math.isfinite, value.ravel())):
        size = " x ".join(map(str, shape))
        raise UserError(f'"{name}" in the corrections must hold {size} numbers.', code="FQ434")
    return value
