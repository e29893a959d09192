"""Second pass over a shot: landmarks of every query in the person's crops, written chunk by chunk."""

import itertools
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from facequery.apps.visibility import ShapeVisibility
from facequery.detection.detector import Detector, to_pixels
from facequery.detection.faces import FacePath
from facequery.detection.tracks import CHUNK, TrackWriter
from facequery.errors import UserError
from facequery.geometry.crops import sample_crop
from facequery.head.layouts import load_layout
from facequery.head.model import HeadModel
from facequery.head.queries import QuerySet
from facequery.pipeline.find import Report
from facequery.pipeline.memory import in_smaller_parts
from facequery.pipeline.visibility import visible_in_crop
from facequery.shots.shot import Shot

_IMAGES = 32  # crops encoded at once


def load_queries(layouts: Sequence[str]) -> tuple[QuerySet, dict[str, tuple[int, int]]]:
    """The queries of several layouts (names or files) in a row, and every layout's columns [start, stop).

    Raises UserError for no layout, one given twice, or one that cannot be read.
    """
    if not layouts:
        raise UserError("No layout was given.", "Name one with --layout; `facequery layouts` lists them.", "FQ340")
    sets: list[QuerySet] = []
    columns: dict[str, tuple[int, int]] = {}
    start = 0
    for layout in layouts:
        name = Path(layout).stem
        if name in columns:
            raise UserError(f'The layout "{name}" is given twice.', code="FQ341")
        queries = load_layout(layout)
        sets.append(queries)
        columns[name] = (start, start + len(queries))
        start += len(queries)
    return QuerySet.concat(sets), columns


def writer_for(shot: Shot, folder: Path, queries: QuerySet, layouts: dict[str, tuple[int, int]]) -> TrackWriter:
    """The writer of a shot's tracks in `folder`."""
    return TrackWriter(
        folder, shot.frame_numbers, queries, layouts, shot.width, shot.height, shot.fps, shot.pixel_aspect, CHUNK
    )


def track_shot(
    shot: Shot,
    path: FacePath,
    detector: Detector,
    writers: Sequence[TrackWriter],
    report: Report | None = None,
    chunks: Sequence[int] | None = None,
    say: Callable[[str], None] | None = None,
) -> None:
    """Landmarks of all writers' queries through a shot; each writer gets its own columns.

    `path` holds the crops in plate pixels. Chunks that every writer has are skipped. Frames without a crop hold NaN.
    With `chunks` only those are tracked, and the tracks are not finished. `say` gets a sentence when memory runs out
    and batches become smaller. Points that the predicted shape of the face hides count as less visible, unless there is
    a writer for a fit too, which tells it better afterwards.
    """
    hiding = ShapeVisibility(HeadModel.load(), writers[0].queries) if len(writers) == 1 else None
    positions = np.concatenate([w.queries.positions for w in writers])
    ends = np.cumsum([0] + [len(w.queries) for w in writers])
    columns = [slice(a, b) for a, b in itertools.pairwise(ends)]
    for index, (start, stop) in enumerate(writers[0].chunks):
        if chunks is not None and index not in chunks:
            continue
        if not all(w.has(index) for w in writers):
            xy, sigma, visible = _track_chunk(shot, path.crops, start, stop, detector, positions, report, say, hiding)
            for writer, part in zip(writers, columns, strict=True):
                writer.write(index, xy[:, part], sigma[:, part], visible[:, part])
        if report:
            report(stop, len(shot.frame_numbers))
    if chunks is None:
        for writer in writers:
            writer.finish()


def _track_chunk(
    shot: Shot,
    crops: NDArray,
    start: int,
    stop: int,
    detector: Detector,
    positions: NDArray,
    report: Report | None,
    say: Callable[[str], None] | None = None,
    hiding: ShapeVisibility | None = None,
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """xy (f, N, 2), sigma (f, N), visible (f, N) of the frames [start, stop)."""
    count = stop - start
    xy = np.full((count, len(positions), 2), np.nan, np.float32)
    sigma = np.full((count, len(positions)), np.nan, np.float32)
    shown = np.ones((count, len(positions)), np.float32)
    asked = positions if hiding is None else np.concatenate([positions, hiding.positions])
    rows: list[int] = []
    pictures: list[NDArray[np.uint8]] = []
    for frame, plate in shot.frames(start, stop):
        if np.isfinite(crops[frame, 0, 0]):
            rows.append(frame - start)
            pictures.append(sample_crop(plate, crops[frame], detector.size))
        if pictures and (len(pictures) == _IMAGES or frame == stop - 1):
            seen = in_smaller_parts(lambda some: detector.look(some, asked), np.stack(pictures), say)
            inside, spread = (np.concatenate(values) for values in zip(*seen, strict=True))
            if hiding is not None:
                own = len(positions)
                shown[rows] = [hiding.of(p[own:], s[own:]) for p, s in zip(inside, spread, strict=True)]
                inside, spread = inside[:, :own], spread[:, :own]
            xy[rows], sigma[rows] = to_pixels(inside, spread, crops[start:stop][rows])
            rows, pictures = [], []
            if report:
                report(frame + 1, len(shot.frame_numbers))
    return xy, sigma, shown * visible_in_crop(xy, sigma, crops[start:stop], shot.width, shot.height)
