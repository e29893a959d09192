"""Second pass over a shot: landmarks of every query in the person's crops, written chunk by chunk."""

import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from facequery.apps.visibility import ShapeVisibility
from facequery.detection.corners import Corners
from facequery.detection.detector import Detector, to_pixels
from facequery.detection.faces import FacePath
from facequery.detection.tracks import CHUNK, TrackWriter
from facequery.errors import UserError
from facequery.head.layouts import load_layout
from facequery.head.model import HeadModel
from facequery.head.queries import QuerySet
from facequery.pipeline.crew import in_order
from facequery.pipeline.memory import in_smaller_parts
from facequery.pipeline.progress import Report
from facequery.pipeline.visibility import visible_in_crop
from facequery.shots.shot import Shot
from facequery.stages import stage

_IMAGES, _IMAGES_GPU = 16, 64  # crops encoded at once
_MOST_POINTS = 400_000  # in the frames of a batch
_LOST = 0.30  # mean sigma, crop units, from which there is no face to lay a head under
_SHAPE_STEP = 8  # what the shape of the face hides is computed for every so many frames of a batch, and between them


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
    return QuerySet.concat(sets) if len(sets) > 1 else replace(sets[0], slide=None), columns


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
    ends = np.cumsum([0] + [len(w.queries) for w in writers])
    columns = [slice(a, b) for a, b in itertools.pairwise(ends)]
    with stage("load"):
        look = _look(shot, detector, writers, ends, say)
    spans, total = writers[0].chunks, len(shot)
    wanted = [i for i in range(len(spans)) if chunks is None or i in chunks]
    missing = [i for i in wanted if not all(w.has(i) for w in writers)]
    done = sum(spans[i][1] - spans[i][0] for i in wanted) - sum(spans[i][1] - spans[i][0] for i in missing)

    def check() -> None:
        if report:
            report(done, total)

    check()
    batches = _batches(shot, path.crops, [spans[i] for i in missing], detector.size, look.at_once)
    with closing(in_order((partial(look, *batch) for batch in batches), detector.device, check)) as results:
        for index in missing:
            frames, at = spans[index][1] - spans[index][0], 0
            shape = (frames, int(ends[-1]))
            xy, sigma, visible = (np.empty(full, np.float32) for full in ((*shape, 2), shape, shape))
            while at < frames:
                found = next(results)
                part = slice(at, at + len(found[0]))
                xy[part], sigma[part], visible[part] = found
                at += len(found[0])
                done += len(found[0])
                check()
            with stage("write"):
                for writer, part in zip(writers, columns, strict=True):
                    writer.write(index, xy[:, part], sigma[:, part], visible[:, part])
    if chunks is None:
        for writer in writers:
            with stage("write"):
                writer.finish()


def _batches(
    shot: Shot, crops: NDArray, spans: Sequence[tuple[int, int]], size: int, at_once: int
) -> Iterator[tuple[NDArray[np.float64], NDArray[np.uint8]]]:
    """The frames of spans, `at_once` at a time and never of two spans: their crops (f, 2, 3), NaN where there is none,
    and pictures (k, size, size, 3) of those that have one."""
    parts = [(a, min(a + at_once, stop)) for start, stop in spans for a in range(start, stop, at_once)]
    present = np.isfinite(crops[:, 0, 0])
    frames = shot.glances([i for a, b in parts for i in range(a, b) if present[i]])
    with closing(frames):
        for a, b in parts:
            cut = []
            for i, glance in itertools.islice(frames, int(present[a:b].sum())):
                with stage("crops"):
                    cut.append(glance.crop(crops[i], size))
            yield crops[a:b], np.stack(cut) if cut else np.zeros((0, size, size, 3), np.uint8)


def _look(
    shot: Shot, detector: Detector, writers: Sequence[TrackWriter], ends: NDArray, say: Callable[[str], None] | None
) -> "_Look":
    """What is asked for all writers, whose columns begin and end at `ends`."""
    queries = writers[0].queries if len(writers) == 1 else QuerySet.concat([w.queries for w in writers])
    corners = None
    if detector.answers_singly:
        spans = zip(writers, ends[:-1], strict=True)
        layouts = [(start + a, start + b) for writer, start in spans for a, b in writer.layouts.values()]
        corners = Corners.of(HeadModel.load(), queries, layouts)
    asked = queries if corners is None else corners.asked
    hiding = ShapeVisibility(HeadModel.load(), asked) if len(writers) == 1 else None
    return _Look(detector, asked.positions, corners, len(queries), hiding, (shot.width, shot.height), say)


@dataclass(frozen=True, eq=False)
class _Look:
    """What is done to the frames of a batch: landmarks and visibility, in pixels of the plate."""

    detector: Detector
    positions: NDArray[np.float32]  # that are asked for: the points' own, or with `corners` theirs
    corners: Corners | None
    points: int
    hiding: ShapeVisibility | None
    plate: tuple[int, int]  # width, height
    say: Callable[[str], None] | None

    @property
    def at_once(self) -> int:
        """Frames of a batch: few when there are many points, so that memory is bounded and a job ends soon."""
        most = _IMAGES if self.detector.device.type == "cpu" else _IMAGES_GPU
        return int(np.clip(_MOST_POINTS // max(self.points, 1), 4, most))

    def __call__(
        self, crops: NDArray, pictures: NDArray[np.uint8]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
        """xy (f, N, 2), sigma (f, N), visible (f, N) of f crops; pictures (k, S, S, 3) of those that are not NaN."""
        count, own = len(crops), len(self.positions)
        xy = np.full((count, own, 2), np.nan, np.float32)
        sigma = np.full((count, own), np.nan, np.float32)
        shown = np.ones((count, own), np.float32)
        rows = np.flatnonzero(np.isfinite(crops[:, 0, 0]))
        if len(rows):
            seen = in_smaller_parts(self._see, pictures, self.say)
            inside, spread, hidden = (np.concatenate(values) for values in zip(*seen, strict=True))
            xy[rows], sigma[rows] = to_pixels(inside, spread, crops[rows])
            shown[rows] = hidden
        if self.corners is None:
            return xy, sigma, shown * visible_in_crop(xy, sigma, crops, *self.plate)
        with stage("points of triangles"):
            visible = shown * visible_in_crop(xy, sigma, crops)  # whether a point is on the plate is told by itself
            return self.corners.mixed(xy, sigma, visible, *self.plate)

    def _see(self, pictures: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
        """xy (k, N, 2) and sigma (k, N) in crop coordinates, and the probability (k, N) that the face's own shape does
        not hide the points."""
        views = self.detector.see(pictures)
        inside, spread = self.detector.read(views, self.positions)
        if self.hiding is None:
            return inside, spread, np.ones_like(spread)
        count = len(pictures)
        some = np.unique(np.append(np.arange(0, count, _SHAPE_STEP), count - 1))
        xy, doubt = self.detector.read(views[:, some], self.hiding.positions)
        sure = np.flatnonzero(doubt.mean(1) < _LOST)
        if not len(sure):
            return inside, spread, np.ones_like(spread)
        with stage("hidden by shape"):
            known = np.stack([self.hiding.of(xy[k], doubt[k]) for k in sure])
        at = np.interp(np.arange(count), some[sure], np.arange(len(sure)))
        before = np.floor(at).astype(int)
        after = np.minimum(before + 1, len(sure) - 1)
        share = (at - before)[:, None].astype(np.float32)
        return inside, spread, known[before] + share * (known[after] - known[before])
