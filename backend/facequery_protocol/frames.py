"""The four numbers of a frame, and the one place that turns them into each other.

    file   the number in the file name (shot.1001.exr); video counts from 1. `--frames` means these.
    clip   Blender's movie clip counts from 1, at the file that was chosen for it. Markers live here.
    scene  Blender's timeline: f-curves live here. Clip frame 1 shows at the clip's start frame.
    index  row of the arrays: 0 ... F-1, without holes.

Blender's clip ends where the numbering has its first gap, and so does its duration; a job goes on behind it. Its clip
frames are still counted by number, so that markers behind the gap sit at the right place in time.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .errors import ProtocolError

Kind = Literal["file", "clip", "scene", "index"]
KINDS: Final = ("file", "clip", "scene", "index")
_MOST_FRAMES: Final = 10_000_000


@dataclass(frozen=True, eq=False)
class FrameMap:
    """Frames of a shot in all four countings.

    `files` (F,) are the file numbers of the frames that exist, rising. `clip_first` is the file number of clip frame 1,
    None: the first of `files`. `scene_start` is the scene frame at which clip frame 1 shows (MovieClip.frame_start).
    Raises ProtocolError when the numbers do not rise, there is none, or fps is not above 0.
    """

    files: NDArray[np.int64]
    fps: float = 24.0
    clip_first: int | None = None
    scene_start: int = 1

    def __post_init__(self) -> None:
        files = _whole(self.files)
        if files.ndim != 1 or not len(files):
            raise ProtocolError("A shot's frame numbers must be a list of at least one whole number.", code="FQ310")
        if (np.diff(files) <= 0).any():
            raise ProtocolError("A shot's frame numbers must rise and none may come twice.", code="FQ310")
        if not (math.isfinite(self.fps) and self.fps > 0):
            raise ProtocolError(f"A frame rate must be above 0, not {self.fps}.", code="FQ311")
        object.__setattr__(self, "files", files)
        if self.clip_first is None:
            object.__setattr__(self, "clip_first", int(files[0]))

    def __len__(self) -> int:
        return len(self.files)

    @property
    def first_of_clip(self) -> int:
        """File number of clip frame 1."""
        assert self.clip_first is not None
        return self.clip_first

    @property
    def gaps(self) -> list[tuple[int, int]]:
        """Missing file numbers between the first and the last, as (first, last) of each run."""
        breaks = np.flatnonzero(np.diff(self.files) > 1)
        return [(int(self.files[i]) + 1, int(self.files[i + 1]) - 1) for i in breaks]

    @property
    def clip_duration(self) -> int:
        """Frames that Blender's clip has: from clip frame 1 to the first gap; 0 when that file does not exist."""
        place = int(np.searchsorted(self.files, self.first_of_clip))
        if place == len(self.files) or self.files[place] != self.first_of_clip:
            return 0
        run = self.files[place:] - np.arange(len(self.files) - place)
        return int(np.sum(run == self.first_of_clip))

    def convert(self, numbers: ArrayLike, source: Kind, target: Kind) -> NDArray[np.int64]:
        """Numbers (...) of one counting to another, as int64.

        To and from "index" only frames that exist can be converted: raises ProtocolError naming the first that is not
        in the shot. `index` and `has` ask without raising.
        """
        return self._from_files(self._to_files(numbers, source), target)

    def index(self, numbers: ArrayLike, source: Kind = "file") -> NDArray[np.int64]:
        """Array indices (...) of frames, -1 for those that are not in the shot."""
        if source == "index":
            values = _whole(numbers)
            return np.where((values >= 0) & (values < len(self)), values, -1)
        files = self._to_files(numbers, source)
        place = np.clip(np.searchsorted(self.files, files), 0, len(self) - 1)
        return np.where(self.files[place] == files, place, -1)

    def has(self, numbers: ArrayLike, source: Kind = "file") -> NDArray[np.bool_]:
        """Whether frames (...) are in the shot."""
        return self.index(numbers, source) >= 0

    def seconds(self, numbers: ArrayLike, source: Kind = "index") -> NDArray[np.float64]:
        """Time (...) in seconds since the shot's first frame; gaps take their time."""
        return (self._to_files(numbers, source) - self.files[0]) / self.fps

    def nearest(self, number: int, source: Kind = "file") -> int:
        """Array index of the frame closest to a number; of two, the earlier."""
        if source == "index":
            return min(max(number, 0), len(self) - 1)
        return int(np.argmin(np.abs(self.files - self._to_files(number, source))))

    def select(self, first: int, last: int) -> "FrameMap":
        """The same map with the file numbers in [first, last] only. Raises ProtocolError when there is none."""
        kept = self.files[(self.files >= first) & (self.files <= last)]
        if not len(kept):
            raise ProtocolError(f"The shot has no frame in {first}-{last}.", code="FQ312")
        return FrameMap(kept, self.fps, self.first_of_clip, self.scene_start)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form: runs of numbers, so that long shots stay short."""
        edges = np.flatnonzero(np.diff(self.files) > 1)
        starts, stops = np.concatenate([[0], edges + 1]), np.concatenate([edges, [len(self) - 1]])
        runs = [[int(self.files[a]), int(self.files[b])] for a, b in zip(starts, stops, strict=True)]
        return {"runs": runs, "fps": self.fps, "clip_first": self.first_of_clip, "scene_start": self.scene_start}

    @staticmethod
    def from_dict(document: Any) -> "FrameMap":
        """The inverse of `to_dict`. Raises ProtocolError on anything else."""
        if not isinstance(document, dict):
            raise ProtocolError("A frame map must be an object.", code="FQ310")
        runs = document.get("runs")
        if not isinstance(runs, list) or not runs or not all(_is_run(run) for run in runs):
            raise ProtocolError('"runs" of a frame map must be a list of [first, last] frame numbers.', code="FQ310")
        if sum(run[1] - run[0] + 1 for run in runs) > _MOST_FRAMES:
            raise ProtocolError(f"A shot cannot have more than {_MOST_FRAMES} frames.", code="FQ310")
        first, start, fps = document.get("clip_first"), document.get("scene_start", 1), document.get("fps", 24.0)
        if not (first is None or _is_whole(first)) or not _is_whole(start):
            raise ProtocolError('"clip_first" and "scene_start" must be whole numbers.', code="FQ310")
        if isinstance(fps, bool) or not isinstance(fps, int | float):
            raise ProtocolError('"fps" must be a number.', code="FQ311")
        return FrameMap(np.concatenate([np.arange(a, b + 1) for a, b in runs]), float(fps), first, start)

    def _to_files(self, numbers: ArrayLike, source: Kind) -> NDArray[np.int64]:
        values = _whole(numbers)
        if source == "file":
            return values
        if source == "clip":
            return values + (self.first_of_clip - 1)
        if source == "scene":
            return values - self.scene_start + self.first_of_clip
        if source == "index":
            outside = (values < 0) | (values >= len(self))
            if outside.any():
                bad = int(np.ravel(values)[np.argmax(np.ravel(outside))])
                raise ProtocolError(
                    f"The shot has {len(self)} frames, so there is no frame of index {bad}.", code="FQ312"
                )
            return self.files[values]
        raise ValueError(f"{source!r} is no kind of frame number; use one of {KINDS}")

    def _from_files(self, files: NDArray[np.int64], target: Kind) -> NDArray[np.int64]:
        if target == "file":
            return files
        if target == "clip":
            return files - (self.first_of_clip - 1)
        if target == "scene":
            return files - self.first_of_clip + self.scene_start
        if target == "index":
            found = self.index(files)
            if (found < 0).any():
                bad = int(np.ravel(files)[np.argmax(np.ravel(found < 0))])
                raise ProtocolError(f"The shot has no frame {bad}.", code="FQ312")
            return found
        raise ValueError(f"{target!r} is no kind of frame number; use one of {KINDS}")


def parse_range(text: str) -> tuple[int, int]:
    """(first, last), both included, from "1001-1096" or one number; either may be negative. Raises ProtocolError."""
    head, dash, tail = text.strip()[1:].partition("-")  # the first character may be a minus
    first = text.strip()[:1] + head
    try:
        start, stop = int(first), int(tail) if dash else int(first)
    except ValueError:
        raise ProtocolError(f'"{text}" is no range of frames.', "Write it like 1001-1096.", "FQ313") from None
    if stop < start:
        raise ProtocolError(f"The range of frames {text.strip()} ends before it begins.", code="FQ313")
    return start, stop


def describe(numbers: Iterable[int]) -> str:
    """Rising numbers in short: "1001-1005, 1009"."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in runs)


def _whole(numbers: ArrayLike) -> NDArray[np.int64]:
    values = np.asarray(numbers)
    if values.dtype.kind not in "iu" and not (values.dtype.kind == "f" and (values == np.floor(values)).all()):
        raise ProtocolError("Frame numbers must be whole numbers.", code="FQ310")
    return values.astype(np.int64)


def _is_run(run: Any) -> bool:
    return isinstance(run, list) and len(run) == 2 and all(_is_whole(v) for v in run) and run[0] <= run[1]


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**40
