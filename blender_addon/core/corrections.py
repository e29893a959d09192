"""What an artist corrected by hand, gathered into the document that a fit is given.

    {"schema": "facequery.corrections", "version": 1,
     "pins": [{"frame": 1012, "landmark": "ibug68.30", "xy": [812.4, 501.2]}],
     "poses": [{"frame": 1030, "rotation": [[...], [...], [...]], "translation": [...]}],
     "ignored": [{"landmark": "ibug68.8", "first": 1001, "last": 1048}]}

Frames are file numbers, pixels those of the plate; a pose takes canonical space to the first view's camera space.
"""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from .job_results import JobTracks

SCHEMA: Final = "facequery.corrections"
VERSION: Final = 1
MOVED: Final = 0.05  # pixels: a marker farther than this from its track was moved by hand


@dataclass(frozen=True)
class Corrections:
    """Pins by (frame, landmark) as (x, y) plate pixels; poses by frame as (3, 4) rows of rotation and translation;
    ignored landmarks with the first and last frame."""

    pins: dict[tuple[int, str], tuple[float, float]]
    poses: dict[int, tuple[tuple[float, ...], ...]]
    ignored: tuple[tuple[str, int, int], ...] = ()

    @staticmethod
    def empty() -> "Corrections":
        """No corrections."""
        return Corrections({}, {})

    def __bool__(self) -> bool:
        return bool(self.pins or self.poses or self.ignored)

    @property
    def keyed(self) -> list[int]:
        """Frames at which something is pinned or keyed, in order."""
        return sorted({frame for frame, _ in self.pins} | set(self.poses))

    def joined(self, other: "Corrections") -> "Corrections":
        """Both; of two at the same place the other's counts."""
        return Corrections({**self.pins, **other.pins}, {**self.poses, **other.poses}, (*self.ignored, *other.ignored))

    def where(self, keep: Callable[[int], bool]) -> "Corrections":
        """The pins and poses of the frames to keep."""
        return Corrections(
            {key: xy for key, xy in self.pins.items() if keep(key[0])},
            {frame: pose for frame, pose in self.poses.items() if keep(frame)},
            self.ignored,
        )

    def document(self, view: int = 1) -> dict[str, Any]:
        """The document for the backend; pins and ignored landmarks are those of one view."""
        return {
            "schema": SCHEMA,
            "version": VERSION,
            "pins": [
                {"frame": frame, "landmark": landmark, "xy": list(xy), "view": view}
                for (frame, landmark), xy in sorted(self.pins.items())
            ],
            "poses": [
                {"frame": frame, "rotation": [list(row[:3]) for row in pose], "translation": [row[3] for row in pose]}
                for frame, pose in sorted(self.poses.items())
            ],
            "ignored": [
                {"landmark": landmark, "first": first, "last": last, "view": view}
                for landmark, first, last in self.ignored
            ],
        }

    def text(self) -> str:
        """As text that `from_text` reads; what moved and muted markers say is not kept in it."""
        return json.dumps(
            {
                "pins": [[frame, landmark, *xy] for (frame, landmark), xy in self.pins.items()],
                "poses": [[frame, pose] for frame, pose in self.poses.items()],
            }
        )

    @staticmethod
    def from_text(text: str) -> "Corrections":
        """Pins and poses of a text that `text` wrote; none of an empty one."""
        stored = json.loads(text) if text else {}
        return Corrections(
            {(int(f), str(name)): (float(x), float(y)) for f, name, x, y in stored.get("pins", ())},
            {int(f): tuple(tuple(float(v) for v in row) for row in pose) for f, pose in stored.get("poses", ())},
        )


@dataclass(frozen=True)
class MarkerState:
    """A marker as it stands in the clip: plate pixels, and whether it is muted."""

    xy: tuple[float, float]
    mute: bool


def shown_by_import(tracks: JobTracks) -> NDArray[np.bool_]:
    """Which markers (F, N) an import leaves unmuted: found, inside the picture, and seen."""
    inside = np.isfinite(tracks.xy).all(axis=-1)
    with np.errstate(invalid="ignore"):
        inside &= (tracks.xy >= 0).all(axis=-1) & (tracks.xy <= (tracks.width, tracks.height)).all(axis=-1)
    return inside & (tracks.visible >= 0.5)


def from_markers(tracks: JobTracks, markers: dict[str, list[MarkerState | None] | None]) -> Corrections:
    """What an artist did to the markers of tracks: a moved one is a pin, a muted one is ignored.

    `markers`: by the point's id its marker in every frame, None where it was deleted, or None for a deleted track.
    """
    pins: dict[tuple[int, str], tuple[float, float]] = {}
    ignored: list[tuple[str, int, int]] = []
    shown = shown_by_import(tracks)
    for column, identifier in enumerate(tracks.ids):
        if identifier not in markers:
            continue
        states = markers[identifier]
        if states is None:
            ignored.append((identifier, int(tracks.frames[0]), int(tracks.frames[-1])))
            continue
        silent = []
        for row, state in enumerate(states):
            frame, was = int(tracks.frames[row]), tracks.xy[row, column]
            if shown[row, column] and (state is None or state.mute):
                silent.append(row)
            elif state is not None and not state.mute:
                away = np.abs(np.array(state.xy) - was).max()
                if not away <= MOVED:  # also where there was no marker
                    pins[frame, identifier] = state.xy
        ignored += [(identifier, int(tracks.frames[a]), int(tracks.frames[b])) for a, b in _runs(silent)]
    return Corrections(pins, {}, tuple(ignored))


def _runs(rows: Iterable[int]) -> list[tuple[int, int]]:
    """First and last of every run of neighbours."""
    runs: list[list[int]] = []
    for row in rows:
        if runs and row == runs[-1][1] + 1:
            runs[-1][1] = row
        else:
            runs.append([row, row])
    return [(a, b) for a, b in runs]


def around(keyed: list[int], frame: int, first: int, last: int) -> tuple[int, int]:
    """The frames that a correction at `frame` may change: from the last key before it to the next one after it."""
    before = [key for key in keyed if key < frame]
    after = [key for key in keyed if key > frame]
    return (before[-1] if before else first), (after[0] if after else last)
