"""Video through PyAV: exact frames by index, upright, in colour, from any place and from many threads."""

import threading
from ctypes import c_uint8
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.video.reformatter import Colorspace, VideoReformatter
from numpy.typing import NDArray

from facequery.errors import UserError
from facequery.shots.glance import Glance, Picture, Plane, Planes, can_be_planes

# H.273's codes to swscale's names; versions of PyAV without Rec.2020's take Rec.709's, which is close.
_MATRICES = {1: "ITU709", 4: "FCC", 5: "ITU601", 6: "ITU601", 7: "SMPTE240M"}
if "BT2020" in Colorspace.__members__:
    _MATRICES |= {9: "BT2020", 10: "BT2020"}
_FULL = 2  # libav's code of a range of all levels
_AHEAD = 60  # frames that are decoded and dropped rather than sought
KEPT_BYTES = 384_000_000  # of a shot's decoded frames that are kept: 277 of 720p, 123 of 1080p, 30 of 4K


@dataclass(frozen=True, eq=False)
class VideoIndex:
    """What is known of a video after one pass over its packets (nothing decoded but one frame).

    `times` (F,) are presentation times in `time_base` units, rising; `keys` (K,) those of frames that decoding can
    start at. `width`, `height` are those of the upright picture, `turns` quarter turns counter-clockwise to get it.
    """

    path: Path
    times: NDArray[np.int64]
    keys: NDArray[np.int64]
    time_base: float
    fps: float
    width: int
    height: int
    turns: int
    pixel_aspect: float
    deep: bool  # more than 8 bits
    transfer: int  # H.273 code of the transfer curve

    @property
    def is_variable(self) -> bool:
        """Whether frames come at uneven times: more than a quarter of a frame off an even beat."""
        if len(self.times) < 3:
            return False
        even = self.times[0] + np.arange(len(self.times)) / (self.fps * self.time_base)
        return bool(np.abs(self.times - even).max() * self.time_base * self.fps > 0.25)


def read_index(path: Path) -> VideoIndex:
    """Look through a video. Raises UserError when it is no video, is damaged, or has no frames."""
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise UserError(f'"{path.name}" has no picture in it.', code="FQ231")
            stream = container.streams.video[0]
            times: list[int] = []
            keys: list[int] = []
            for packet in container.demux(stream):
                if packet.size == 0 or packet.is_discard:
                    continue
                if packet.pts is None:
                    times.clear()
                    break
                times.append(packet.pts)
                if packet.is_keyframe:
                    keys.append(packet.pts)
            rate = stream.average_rate or stream.guessed_rate or 24
            base = float(stream.time_base or 1 / 24)
            sample = stream.sample_aspect_ratio  # not to be asked of a closed container
        first = _first_frame(path)
        if not times:  # a container without times: they come from the decoder
            times, keys = _decoded_times(path), []
    except (av.FFmpegError, OSError, ValueError) as error:
        raise UserError(f'The video "{path.name}" cannot be read ({_reason(error)}).', code="FQ232") from None
    unique = np.unique(np.array(times, dtype=np.int64))
    # Pictures before the first one that decodes (open groups at a cut) are never shown.
    unique = unique[unique >= (first.pts if first.pts is not None else 0)]
    if not len(unique):
        raise UserError(f'The video "{path.name}" has no frames.', code="FQ232")
    turns = round((first.rotation or 0) / 90) % 4
    width, height = (first.height, first.width) if turns % 2 else (first.width, first.height)
    aspect = float(sample) if sample and sample > 0 else 1.0
    return VideoIndex(
        path=path,
        times=unique,
        keys=np.unique(np.array(keys, dtype=np.int64)),
        time_base=base,
        fps=float(rate),
        width=width,
        height=height,
        turns=turns,
        pixel_aspect=1.0 / aspect if turns % 2 else aspect,
        deep=any(component.bits > 8 for component in first.format.components),
        transfer=int(getattr(first, "color_trc", 2) or 2),
    )


class _Kept:
    """The frames of a short shot, as the decoder gives them (a third to a half of their size as RGB): a shot is looked
    at several times, and decoding costs as much as a network. Of a shot that does not fit nothing is kept."""

    def __init__(self, wanted: range) -> None:
        self._wanted = wanted
        self._frames: dict[int, Any] = {}

    def get(self, index: int) -> Any:
        """A frame, or None."""
        return self._frames.get(index)

    def add(self, index: int, frame: Any) -> None:
        """Keep a frame, if it is wanted."""
        size = sum(plane.buffer_size for plane in frame.planes)
        if index in self._wanted and len(self._wanted) * size <= KEPT_BYTES:
            self._frames[index] = frame

    def clear(self) -> None:
        self._frames.clear()


class VideoReader:
    """Decodes frames of one video by index. One thread at a time; `clone` makes another for another thread, which
    shares the frames that are kept; closing the first forgets them. `wanted`: the frames of the shot, by default all of
    the video's."""

    def __init__(self, index: VideoIndex, wanted: range | None = None, kept: _Kept | None = None) -> None:
        self.index = index
        self._first = kept is None
        self._kept = kept or _Kept(range(len(index.times)) if wanted is None else wanted)
        self._lock = threading.Lock()
        self._container: Any = None
        self._frames: Any = None
        self._next = -1  # index of the frame that the decoder gives next, -1: not known
        # A reader's own: a frame's is no good where clones convert one frame at once.
        self._reformatter = VideoReformatter()

    def clone(self) -> "VideoReader":
        return VideoReader(self.index, kept=self._kept)

    def close(self) -> None:
        with self._lock:
            self._shut()
        if self._first:
            self._kept.clear()

    def read(self, index: int) -> NDArray:
        """Frame `index` (0-based, in order of showing), RGB (H, W, 3): uint8, or uint16 for more than 8 bits.

        Raises UserError naming the frame (counted from 1) when it cannot be decoded.
        """
        with self._lock:
            return self._rgb(self._frame(index), self._reformatter)

    def glance(self, index: int) -> Glance:
        """Frame `index` for crops of it, of 8 bits. Raises as `read` does."""
        with self._lock:
            frame = self._frame(index)
            matrix, full = _matrix(frame), frame.format.name == "yuvj420p" or int(frame.color_range) == _FULL
            if self.index.turns or frame.format.name not in ("yuv420p", "yuvj420p") or not can_be_planes(matrix):
                return Picture(self._rgb(frame, self._reformatter))
        luma, blue, red = (
            # by its address: Numba takes long to look at an array that may not be written to
            Plane(
                np.frombuffer((c_uint8 * plane.buffer_size).from_address(plane.buffer_ptr), np.uint8),
                plane.line_size,
                (plane.height, plane.width),
            )
            for plane in frame.planes
        )
        return Planes(luma, blue, red, matrix, full, partial(self._rgb, frame))

    def _frame(self, index: int) -> Any:
        try:
            return self._kept.get(index) or self._decode(index)
        except (av.FFmpegError, OSError, ValueError) as error:
            self._shut()
            raise UserError(
                f'The frame {index + 1} of "{self.index.path.name}" cannot be decoded ({_reason(error)}).',
                "Check the file, or leave the frame out of the range.",
                "FQ233",
            ) from None

    def _rgb(self, frame: Any, reformatter: VideoReformatter | None = None) -> NDArray:
        """A decoded frame as RGB in its own transfer curve, upright."""
        name = _MATRICES.get(_matrix(frame), "ITU709")
        kind = "rgb48le" if self.index.deep else "rgb24"
        made = (reformatter or VideoReformatter()).reformat(frame, format=kind, src_colorspace=Colorspace[name])
        picture = made.to_ndarray()
        return np.ascontiguousarray(np.rot90(picture, self.index.turns)) if self.index.turns else picture

    def _decode(self, index: int) -> Any:
        target = int(self.index.times[index])
        keys = self.index.keys
        reachable = self._next >= 0 and self._next <= index
        if reachable and index - self._next > _AHEAD:
            # Far ahead: go on decoding only when there is no place to jump to on the way.
            reachable = not np.any((keys > self.index.times[self._next]) & (keys <= target))
        if not reachable:
            self._seek(target)
        frame = self._forward(target)
        if frame is None:  # the container's own table led past the frame: from the beginning
            self._seek(None)
            frame = self._forward(target)
        if frame is None:
            raise ValueError("it is not in the stream")
        self._next = index + 1
        return frame

    def _forward(self, target: int) -> Any:
        """Decode up to the frame shown at `target`; None when it does not come."""
        for frame in self._frames:
            if frame.pts is None or frame.is_corrupt:
                continue
            place = int(np.searchsorted(self.index.times, frame.pts))
            if place < len(self.index.times) and self.index.times[place] == frame.pts:
                self._kept.add(place, frame)
            if frame.pts >= target:
                return frame if frame.pts == target else None
        return None

    def _seek(self, target: int | None) -> None:
        """Bring the decoder to a key frame at or before `target`, or to the beginning."""
        keys = self.index.keys
        if target is None or self._container is None:
            self._shut()
            self._container = av.open(str(self.index.path))
            self._container.streams.video[0].thread_type = "AUTO"
        stream = self._container.streams.video[0]
        if target is not None:
            before = keys[keys <= target]
            if len(before) and before[-1] > self.index.times[0]:
                self._container.seek(int(before[-1]), stream=stream, backward=True)
            elif self._next != -1:
                self._shut()
                self._container = av.open(str(self.index.path))
                stream = self._container.streams.video[0]
                stream.thread_type = "AUTO"
        self._frames = self._container.decode(stream)
        self._next = -1

    def _shut(self) -> None:
        if self._container is not None:
            self._frames = None
            self._container.close()
        self._container, self._next = None, -1


def _matrix(frame: Any) -> int:
    """H.273's code of the matrix that a frame's stream names. Streams that name none are Rec.709 above standard
    definition and Rec.601 below, as players show them."""
    matrix = int(frame.colorspace)
    if matrix in (0, 2, 3):  # RGB or not said
        return 1 if max(frame.width, frame.height) > 1024 else 5
    return 5 if matrix == 6 else matrix


def _first_frame(path: Path) -> Any:
    with av.open(str(path)) as container:
        for frame in container.decode(container.streams.video[0]):
            if not frame.is_corrupt:
                return frame
    raise ValueError("it has no frame that decodes")


def _decoded_times(path: Path) -> list[int]:
    with av.open(str(path)) as container:
        return [frame.pts for frame in container.decode(container.streams.video[0]) if frame.pts is not None]


def _reason(error: BaseException) -> str:
    text = getattr(error, "strerror", None) or str(error)
    return " ".join(str(text).split()).rstrip(".")
