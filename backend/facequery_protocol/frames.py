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
from typing import Final, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .errors import ProtocolError

Kind = Literal["file", "clip", "scene", "index"]
KINDS: Final = ("file", "clip", "scene", "index")


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

    def convert(self, numbers: ArrayLike, source: Kind, target: Kind) -> NDArray[np.int64]:
        """Numbers (...) of one counting to another, as int64.

        To and from "index" only frames that exist can be converted: raises ProtocolError naming the first that is not
        in the shot. `index` asks without raising.
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
