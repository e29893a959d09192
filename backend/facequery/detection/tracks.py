"""Tracks: where every query is in every frame, and the files that hold them."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from facequery_protocol.results import TRACKS_SCHEMA, TRACKS_VERSION, is_header
from numpy.typing import NDArray

from facequery.errors import DAMAGED, UserError
from facequery.files import load_json, map_array, save_arrays, save_text, whole_file
from facequery.head.queries import QuerySet

CHUNK = 128  # frames per file
NPZ_LIMIT = 200_000_000  # bytes; above it only the chunked files are written
ARRAYS = ("xy", "sigma", "visible")


@dataclass(frozen=True, eq=False)
class Tracks:
    """N queries over F frames of one plate.

    `xy` (F, N, 2) float32 plate pixels (as filmed: distorted, squeezed; the top-left pixel covers [0, 1)); `sigma`
    (F, N) float32 standard deviation per axis in plate pixels; `visible` (F, N) float32 probability in [0, 1];
    `frames` (F,) int64 numbers in the file names (video counts from 1). Frames without the face hold NaN in `xy` and
    `sigma` and 0 in `visible`. `layouts` names the columns [start, stop) of every layout; `width`, `height` are those
    of the plate; `pixel_aspect` is a pixel's width over its height.
    """

    xy: NDArray[np.float32]
    sigma: NDArray[np.float32]
    visible: NDArray[np.float32]
    frames: NDArray[np.int64]
    queries: QuerySet
    layouts: dict[str, tuple[int, int]]
    width: int
    height: int
    fps: float
    pixel_aspect: float = 1.0

    def __post_init__(self) -> None:
        shape = (len(self.frames), len(self.queries))
        if self.xy.shape != (*shape, 2) or self.sigma.shape != shape or self.visible.shape != shape:
            raise ValueError(
                f"xy {self.xy.shape}, sigma {self.sigma.shape} and visible {self.visible.shape} "
                f"do not belong to {shape[0]} frames of {shape[1]} queries"
            )

    @property
    def names(self) -> tuple[str, ...]:
        """Name of every query, in the order of the columns."""
        return self.queries.names

    @property
    def found(self) -> NDArray[np.bool_]:
        """(F,) whether the face was found in the frame."""
        return np.isfinite(self.sigma).all(axis=1)

    def layout(self, name: str) -> "Tracks":
        """The columns of one layout alone."""
        if name not in self.layouts:
            raise UserError(
                f'The tracks have no layout "{name}".', f"They have {', '.join(self.layouts)}.", code="FQ290"
            )
        start, stop = self.layouts[name]
        columns = slice(start, stop)
        return Tracks(
            self.xy[:, columns],
            self.sigma[:, columns],
            self.visible[:, columns],
            self.frames,
            self.queries.subset(np.arange(start, stop)),
            {name: (0, stop - start)},
            self.width,
            self.height,
            self.fps,
            self.pixel_aspect,
        )

    def save(self, folder: Path) -> None:
        """Write `tracks/*.npy`, `tracks.json` and, while it is small, `tracks.npz` into `folder`."""
        writer = TrackWriter.of(self, folder)
        for index, (start, stop) in enumerate(writer.chunks):
            part = slice(start, stop)
            writer.write(index, self.xy[part], self.sigma[part], self.visible[part])
        writer.finish()

    @staticmethod
    def load(folder: Path, most: int | None = None) -> "Tracks":
        """Read the tracks of a job folder. One chunk is memory-mapped, several are joined in memory; of more than
        `most` points so many, evenly chosen, as one layout "some".

        Raises UserError when a file is missing, is not what its header says, or comes from a newer version.
        """
        header = read_header(folder)
        try:
            queries, frames = _queries_from(header), np.array(header["frames"], dtype=np.int64)
            layouts = {str(k): (int(v[0]), int(v[1])) for k, v in header["layouts"].items()}
        except (KeyError, IndexError, TypeError, ValueError, OverflowError, AttributeError, UserError) as error:
            raise _no_tracks(folder) from error
        arrays: dict[str, NDArray] = {}
        some: NDArray[np.int64] | None = None
        if most is not None and len(queries) > most:
            some = np.linspace(0, len(queries) - 1, most).astype(np.int64)
            queries, layouts = queries.subset(some), {"some": (0, most)}
        for name in ARRAYS:
            parts = [part if some is None else part[:, some] for part in read_chunks(folder, name, header)]
            arrays[name] = parts[0] if len(parts) == 1 else np.concatenate(parts)
        return Tracks(
            frames=frames,
            queries=queries,
            layouts=layouts,
            width=int(header["width"]),
            height=int(header["height"]),
            fps=float(header["fps"]),
            pixel_aspect=float(header["pixel_aspect"]),
            **arrays,
        )


@dataclass(frozen=True, eq=False)
class TrackWriter:
    """Writes tracks chunk by chunk; every file appears whole or not at all, and what is there is not written again."""

    folder: Path
    frames: NDArray[np.int64]
    queries: QuerySet
    layouts: dict[str, tuple[int, int]]
    width: int
    height: int
    fps: float
    pixel_aspect: float = 1.0
    chunk: int = CHUNK

    @staticmethod
    def of(tracks: Tracks, folder: Path, chunk: int = CHUNK) -> "TrackWriter":
        """A writer for the frames, queries and plate of `tracks`."""
        t = tracks
        return TrackWriter(folder, t.frames, t.queries, t.layouts, t.width, t.height, t.fps, t.pixel_aspect, chunk)

    @property
    def chunks(self) -> list[tuple[int, int]]:
        """Array indices [start, stop) of every chunk."""
        return [(i, min(i + self.chunk, len(self.frames))) for i in range(0, len(self.frames), self.chunk)]

    def has(self, index: int) -> bool:
        """Whether all files of a chunk are there."""
        return all(_chunk_file(self.folder, name, index).is_file() for name in ARRAYS)

    def write(self, index: int, xy: NDArray, sigma: NDArray, visible: NDArray) -> None:
        """Write chunk `index`: xy (f, N, 2), sigma and visible (f, N)."""
        (self.folder / "tracks").mkdir(parents=True, exist_ok=True)
        for name, value in zip(ARRAYS, (xy, sigma, visible), strict=True):
            save_array(_chunk_file(self.folder, name, index), value)

    def write_one(self, index: int, name: str, value: NDArray) -> None:
        """Write one result of chunk `index` anew: "xy", "sigma" or "visible"."""
        save_array(_chunk_file(self.folder, name, index), value)

    def header(self) -> dict[str, Any]:
        """The contents of `tracks.json`."""
        return {
            "schema": TRACKS_SCHEMA,
            "version": TRACKS_VERSION,
            "frames": self.frames.tolist(),
            "chunk": self.chunk,
            "width": self.width,
            "height": self.height,
            "fps": self.fps,
            "pixel_aspect": self.pixel_aspect,
            "layouts": {name: list(columns) for name, columns in self.layouts.items()},
            **_queries_to(self.queries),
        }

    def finish(self) -> None:
        """Write `tracks.json` and, while it is under 200 MB, `tracks.npz`: the sign that the tracks are complete."""
        header = self.header()
        size = len(self.frames) * len(self.queries) * 4 * 4
        if size < NPZ_LIMIT:
            arrays = {name: np.concatenate(list(read_chunks(self.folder, name, header))) for name in ARRAYS}
            save_arrays(
                self.folder / "tracks.npz",
                frames=self.frames,
                names=np.array(self.queries.names),
                queries=self.queries.positions,
                layouts=np.array(list(self.layouts)),
                layout_columns=np.array(list(self.layouts.values()), dtype=np.int64).reshape(-1, 2),
                size=np.array([self.width, self.height]),
                fps=np.array(self.fps),
                pixel_aspect=np.array(self.pixel_aspect),
                **arrays,
            )
        save_text(self.folder / "tracks.json", json.dumps(header))


def read_header(folder: Path) -> dict[str, Any]:
    """`tracks.json` of a job folder. Raises UserError when there is none or it is not one."""
    path = Path(folder) / "tracks.json"
    try:
        header = load_json(path)
    except FileNotFoundError:
        raise UserError(f"{folder} holds no finished tracks.", "Run `facequery track` first.", "FQ291") from None
    except ValueError as error:
        raise UserError(f"{path} is damaged ({error}).", "Track again into a new folder.", "FQ292") from None
    if not is_header(header):
        raise _no_tracks(folder)
    if header["version"] > TRACKS_VERSION:
        raise UserError(f"{path} was written by a newer FaceQuery.", "Update FaceQuery.", "FQ293")
    return header


def _no_tracks(folder: Path) -> UserError:
    return UserError(f"{Path(folder) / 'tracks.json'} holds no tracks.", "Track again into a new folder.", "FQ292")


def read_chunks(folder: Path, name: str, header: dict[str, Any] | None = None) -> Iterator[NDArray]:
    """Memory maps of one result ("xy", "sigma" or "visible"), chunk by chunk in the order of the frames.

    So dense tracks of a long shot are read without holding them in memory. Raises UserError on a missing file or one
    of another shape than the header says.
    """
    header = header or read_header(folder)
    total, chunk, columns = len(header["frames"]), int(header["chunk"]), len(header["names"])
    for index, start in enumerate(range(0, total, chunk)):
        path = _chunk_file(folder, name, index)
        try:
            part = map_array(path)
        except DAMAGED as error:
            raise UserError(f"{path} cannot be read ({error}).", "Track again into a new folder.", "FQ292") from None
        expected: tuple[int, ...] = (min(chunk, total - start), columns, *((2,) if name == "xy" else ()))
        if part.shape != expected or part.dtype != np.float32:
            raise UserError(
                f"{path} has shape {part.shape} and numbers {part.dtype}, not those that tracks.json gives.",
                "Track again into a new folder.",
                "FQ292",
            )
        yield part


def _chunk_file(folder: Path, name: str, index: int) -> Path:
    return Path(folder) / "tracks" / f"{name}_{index:04d}.npy"


def save_array(path: Path, value: NDArray) -> None:
    """Write a float32 `.npy`, whole or not at all."""
    with whole_file(path) as temporary, open(temporary, "wb") as file:
        # Not the file itself: NumPy would write it by other means, whose error does not say that the disk is full.
        np.save(_WriteOnly(file), np.ascontiguousarray(value, dtype=np.float32), allow_pickle=False)


class _WriteOnly:
    """A file of which only `write` is known."""

    def __init__(self, file: IO[bytes]) -> None:
        self.write = file.write


def _queries_to(queries: QuerySet) -> dict[str, Any]:
    def numbers(values: NDArray, digits: int) -> Any:
        return np.round(np.asarray(values, dtype=np.float64), digits).tolist()

    return {
        "names": list(queries.names),
        "ids": list(queries.ids),
        "groups": list(queries.groups),
        "kinds": list(queries.kinds),
        "queries": numbers(queries.positions, 7),
        "triangle": np.asarray(queries.triangle).tolist(),
        "bary": numbers(queries.bary, 6),
        "offset": numbers(queries.offset, 7),
    }


def _queries_from(header: dict[str, Any]) -> QuerySet:
    def floats(name: str) -> NDArray[np.float32]:
        return np.array(header[name], dtype=np.float32).reshape(len(header["names"]), 3)

    for name in ("ids", "groups", "kinds", "triangle"):
        whole = all(isinstance(value, int if name == "triangle" else str) for value in header[name])
        if not whole or len(header[name]) != len(header["names"]):
            raise ValueError(f'"{name}" does not fit the names')
    return QuerySet(
        positions=floats("queries"),
        ids=tuple(header["ids"]),
        names=tuple(header["names"]),
        groups=tuple(header["groups"]),
        kinds=tuple(header["kinds"]),
        triangle=np.array(header["triangle"], dtype=np.int32),
        bary=floats("bary"),
        offset=floats("offset"),
    )
