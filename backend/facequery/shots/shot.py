"""A shot: the frames of a picture sequence, a video or a still, as the file has them and as a display shows them."""

import os
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from facequery.errors import UserError
from facequery.shots import colour, images, numbering, video
from facequery.shots.glance import Glance, Picture
from facequery.stages import stage

_DEFAULT_RATE = 24.0
_T = TypeVar("_T")
_PQ = 16  # H.273's code of the transfer curve of HDR video
_AHEAD = 2_000_000_000  # bytes that pictures may take that are read ahead, as 32-bit floats


class _Reader(Protocol):
    """Frames by index in their own number type: (H, W, C), C = 1 to 4."""

    def read(self, index: int) -> NDArray: ...

    def clone(self) -> "_Reader": ...

    def close(self) -> None: ...


@dataclass(frozen=True, eq=False)
class _PictureReader:
    files: tuple[Path, ...]
    numbers: tuple[int, ...]
    facts: images.Facts

    def read(self, index: int) -> NDArray:
        return images.read_picture(self.files[index], f"frame {self.numbers[index]}", self.facts)

    def clone(self) -> "_PictureReader":
        return self

    def close(self) -> None:
        pass


@dataclass(frozen=True, eq=False)
class _VideoFrames:
    reader: video.VideoReader
    rows: NDArray[np.int64]  # index into the video of each of the shot's frames

    def read(self, index: int) -> NDArray:
        return self.reader.read(int(self.rows[index]))

    def glance(self, index: int) -> Glance:
        return self.reader.glance(int(self.rows[index]))

    def clone(self) -> "_VideoFrames":
        return _VideoFrames(self.reader.clone(), self.rows)

    def close(self) -> None:
        self.reader.close()


@dataclass(frozen=True, eq=False)
class Shot:
    """F frames of one size. Get one from `open_shot`.

    `kind` is "sequence", "video" or "still". `frame_numbers` (F,) are the numbers in the file names, rising, with holes
    where frames are missing or left out; video counts from 1. Methods take the array index 0 ... F-1, never a number.
    `width`, `height` are plate pixels of the display window, as stored: squeezed when `pixel_aspect` (a pixel's width
    over its height) is not 1. `colorspace` is the plate's, resolved; `exposure` stops are added for display only.
    `notes` are sentences that the user should see.
    """

    path: str
    name: str
    kind: str
    width: int
    height: int
    fps: float
    pixel_aspect: float
    frame_numbers: NDArray[np.int64]
    colorspace: str
    exposure: float
    notes: tuple[str, ...]
    _reader: _Reader

    def __len__(self) -> int:
        return len(self.frame_numbers)

    def plate(self, index: int) -> NDArray[np.float32]:
        """Frame `index` as the file has it, float32 (H, W, C): C is 1 (grey), 2 (grey, alpha), 3 or 4 (RGB, alpha).

        Integers are spread over [0, 1]; floats are untouched, infinities and NaN included. Raises UserError naming the
        frame when it is missing, damaged, or of another size.
        """
        return colour.as_float(self._reader.read(self._checked(index)))

    def display(self, index: int) -> NDArray[np.uint8]:
        """Frame `index` as an sRGB picture for networks and previews, uint8 (H, W, 3). Raises as `plate` does."""
        return self._display(self._reader, self._checked(index))

    def linear(self, index: int) -> NDArray[np.float32]:
        """Frame `index` in linear Rec.709, float32 (H, W, 3), without the exposure. Raises as `plate` does."""
        return colour.to_linear(_rgb(self._reader.read(self._checked(index))), self.colorspace)

    def frames(self, start: int = 0, stop: int | None = None) -> Iterator[tuple[int, NDArray[np.uint8]]]:
        """(index, display picture) of frames start ... stop-1, in order, decoded ahead in threads.

        A few pictures at most wait to be taken, so that memory stays flat. An error of a frame is raised at its turn.
        Leaving the loop, or `close()` of the generator, ends the threads.
        """
        return self._ahead(self._span(start, stop), self._display)

    def glances(self, indices: Sequence[int]) -> Generator[tuple[int, Glance], None, None]:
        """(index, glance) of some frames, ascending, for who needs crops: as `frames`, but of most videos the display
        pictures are never made. What lies between is not converted, and of pictures not even read."""
        for index in indices:
            self._checked(index)
        return self._ahead(indices, self._glance)

    def plates(self, start: int = 0, stop: int | None = None) -> Iterator[tuple[int, NDArray[np.float32]]]:
        """(index, plate) of frames start ... stop-1: as `frames`, with the values of the file."""
        return self._ahead(self._span(start, stop), lambda reader, index: colour.as_float(reader.read(index)))

    def index_of(self, number: int) -> int:
        """Array index of a file number. Raises UserError when the shot does not have it."""
        place = int(np.searchsorted(self.frame_numbers, number))
        if place == len(self) or self.frame_numbers[place] != number:
            raise UserError(f'"{self.name}" has no frame {number}.', code="FQ204")
        return place

    def write(self, path: Path | str, picture: NDArray, space: str | None = None) -> None:
        """Write a picture (H, W, 3 or 4) beside the plate, with its pixel aspect.

        `space` names the space that `picture` is in: None if it has the plate's values already; otherwise ("linear",
        "srgb", ...) it is converted to the plate's space. Raises UserError when it cannot be written.
        """
        pixels = np.asarray(picture)
        if space is not None and colour.resolve(space) != self.colorspace:
            rgb = colour.from_linear(colour.to_linear(pixels[..., :3], colour.resolve(space)), self.colorspace)
            pixels = np.concatenate([rgb, colour.as_float(pixels[..., 3:])], axis=-1)
        named = {"linear": "lin_rec709", "srgb": "sRGB", "acescg": "ACEScg", "rec709": "Rec709"}
        name = named.get(self.colorspace, self.colorspace)
        images.write_picture(Path(path), pixels, self.pixel_aspect, name)

    def close(self) -> None:
        """Close what is open. A shot may be used again afterwards."""
        self._reader.close()

    def _checked(self, index: int) -> int:
        if not 0 <= index < len(self):
            raise IndexError(f"frame index {index} of a shot with {len(self)} frames")
        return int(index)

    def _display(self, reader: _Reader, index: int) -> NDArray[np.uint8]:
        with stage("read"):
            picture = _rgb(reader.read(index))
        with stage("colour"):
            return colour.to_display(picture, self.colorspace, self.exposure)

    def _glance(self, reader: _Reader, index: int) -> Glance:
        shown_as_it_is = self.exposure == 0 and colour.is_display(self.colorspace)
        if shown_as_it_is and isinstance(reader, _VideoFrames) and not reader.reader.index.deep:
            with stage("read"):
                return reader.glance(index)
        return Picture(self._display(reader, index))

    def _span(self, start: int, stop: int | None) -> range:
        last = len(self) if stop is None else stop
        if not 0 <= start <= last <= len(self):
            raise IndexError(f"frames {start}:{last} of a shot with {len(self)} frames")
        return range(start, last)

    def _ahead(
        self, indices: Sequence[int], make: Callable[[_Reader, int], _T]
    ) -> Generator[tuple[int, _T], None, None]:
        # A video is decoded in order by one thread; pictures are independent of each other.
        room = max(1, _AHEAD // (self.width * self.height * 12))
        workers = 1 if self.kind == "video" else min(4, os.cpu_count() or 1, room)
        ahead = min(workers + 2, room)
        reader = self._reader.clone()
        pool = ThreadPoolExecutor(workers, thread_name_prefix="facequery-decode")
        waiting: deque[Future[_T]] = deque()
        try:
            for place in range(min(ahead, len(indices))):
                waiting.append(pool.submit(make, reader, int(indices[place])))
            for place, index in enumerate(indices):
                picture = waiting.popleft().result()
                following = place + ahead
                if following < len(indices):
                    waiting.append(pool.submit(make, reader, int(indices[following])))
                yield int(index), picture
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
            if reader is not self._reader:
                reader.close()


def open_shot(
    path: str | Path,
    frames: tuple[int, int] | None = None,
    colorspace: str | None = None,
    exposure: float = 0.0,
    allow_gaps: bool = False,
    fps: float | None = None,
) -> Shot:
    """Open a picture sequence, a video or a still.

    `path` is a pattern ("shot.####.exr", "shot.%04d.exr"), a folder with one sequence, a video, or one picture. One
    picture is a still; if `frames` are given it stands for its sequence. `frames` (first, last) are file numbers, both
    included; video counts from 1. `colorspace` overrides what the files say. `exposure` in stops, for display.
    `fps` overrides the rate in the files (24 where they name none). Rotated video, and stills with an Exif orientation,
    are turned upright; pictures of a sequence stay as stored, as in Blender and Nuke.

    Without word from the user or the files, integers are taken for sRGB and floats for linear Rec.709, with a note;
    DPX and Cineon are refused, because they may hold any log. Raises UserError for whatever cannot be opened: no such
    file, no frames, a gap in the numbers (unless `allow_gaps`: then they are left out), an unknown space.
    """
    if fps is not None and not 0 < fps < 1e5:
        raise UserError(f"A frame rate must be above 0, not {fps}.", code="FQ206")
    if not np.isfinite(exposure) or abs(exposure) > 40:
        raise UserError(f"The exposure must be between -40 and 40 stops, not {exposure}.", code="FQ206")
    text = os.fspath(path)
    place = Path(text)
    if place.is_dir():
        found = numbering.find_folder(place)
    elif place.is_file():
        suffix = place.suffix.lower()
        if suffix in numbering.VIDEOS:
            return _open_video(text, frames, colorspace, exposure, allow_gaps, fps)
        if suffix not in numbering.PICTURES:
            raise UserError(
                f'"{place.name}" is no kind of file that FaceQuery reads.',
                f"Give a video or pictures ({', '.join(sorted(numbering.PICTURES))}).",
                "FQ207",
            )
        pattern = numbering.pattern_of(place)
        if frames is None or pattern is None:
            number = numbering.number_of(place)
            return _open_pictures(text, "still", {number: place}, place.stem, None, colorspace, exposure, False, fps)
        found = numbering.find_pattern(pattern)
    elif numbering.is_pattern(text):
        found = numbering.find_pattern(text)
    else:
        raise UserError(f'There is no file or folder "{text}".', "Check the path.", "FQ201")
    return _open_pictures(text, "sequence", found.files, found.name, frames, colorspace, exposure, allow_gaps, fps)


def _open_pictures(
    path: str,
    kind: str,
    files: dict[int, Path],
    name: str,
    frames: tuple[int, int] | None,
    colorspace: str | None,
    exposure: float,
    allow_gaps: bool,
    fps: float | None,
) -> Shot:
    numbers = numbering.select(list(files), frames, allow_gaps, f'"{name}"')
    first = files[numbers[0]]
    # Blender and Nuke show pictures as they are stored, and so do plates; a photograph alone is wanted upright.
    facts = images.read_facts(first, f"frame {numbers[0]}", upright=kind == "still")
    space, notes = _picture_space(first, facts, colorspace)
    if facts.orientation != 1:
        notes.append(f'"{name}" was turned upright, as its Exif orientation says.')
    missing = numbering.missing_spans(numbers, *(frames or (numbers[0], numbers[-1])))
    if missing:
        notes.append(f"Frames left out because they are missing: {missing}.")
    reader = _PictureReader(tuple(files[n] for n in numbers), tuple(numbers), facts)
    return Shot(
        path=path,
        name=name,
        kind=kind,
        width=facts.width,
        height=facts.height,
        fps=float(fps or facts.fps or _DEFAULT_RATE),
        pixel_aspect=facts.pixel_aspect,
        frame_numbers=np.array(numbers, dtype=np.int64),
        colorspace=space,
        exposure=float(exposure),
        notes=tuple(notes),
        _reader=reader,
    )


def _open_video(
    path: str,
    frames: tuple[int, int] | None,
    colorspace: str | None,
    exposure: float,
    allow_gaps: bool,
    fps: float | None,
) -> Shot:
    index = video.read_index(Path(path))
    name = Path(path).stem
    numbers = numbering.select(list(range(1, len(index.times) + 1)), frames, allow_gaps, f'"{name}"')
    notes = []
    if index.is_variable:
        notes.append(f'"{name}" has a variable frame rate: every frame counts once, whatever its time.')
    space = colour.resolve(colorspace) if colorspace else "rec709"
    if colorspace is None and index.transfer == _PQ:
        space = colour.resolve("pq")
    return Shot(
        path=path,
        name=name,
        kind="video",
        width=index.width,
        height=index.height,
        fps=float(fps or index.fps),
        pixel_aspect=index.pixel_aspect,
        frame_numbers=np.array(numbers, dtype=np.int64),
        colorspace=space,
        exposure=float(exposure),
        notes=tuple(notes),
        _reader=_VideoFrames(
            video.VideoReader(index, range(numbers[0] - 1, numbers[-1])), np.array(numbers, dtype=np.int64) - 1
        ),
    )


def _picture_space(path: Path, facts: images.Facts, colorspace: str | None) -> tuple[str, list[str]]:
    """The plate's space: the user's word, the file's, or the usual one of its type, with a note where it is assumed."""
    if colorspace:
        return colour.resolve(colorspace), []
    if facts.colorspace is not None:
        try:
            return colour.resolve(facts.colorspace), []
        except UserError:
            named = facts.colorspace
        if facts.is_float:
            raise UserError(
                f'"{path.name}" is in a colour space that is not known ("{named}").',
                f"Name it with --colorspace: {colour.choices()}, or any name of the OCIO configuration.",
                "FQ218",
            )
    if path.suffix.lower() in (".dpx", ".cin"):
        raise UserError(
            f'"{path.name}" does not say which colour space it is in.',
            f"Name it with --colorspace: {colour.choices()}, or any name of the OCIO configuration.",
            "FQ218",
        )
    if facts.is_float:
        return "linear", ["Taken for linear Rec.709, as the files do not say otherwise; --colorspace overrides it."]
    return "srgb", []


def _rgb(pixels: NDArray) -> NDArray:
    """(H, W, 3) of a picture with 1 to 4 channels: grey is repeated, alpha dropped."""
    if pixels.shape[2] >= 3:
        return np.ascontiguousarray(pixels[..., :3])
    return np.repeat(pixels[..., :1], 3, axis=2)
