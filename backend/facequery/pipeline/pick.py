"""Picking in a shot: marks in some frames become points of the head, a layout, and tracks."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from facequery.apps.pick import Mark, Picks, pick_points
from facequery.errors import UserError
from facequery.head.actor import Actor
from facequery.head.model import HeadModel
from facequery.head.queries import QuerySet
from facequery.pipeline.face_shot import FaceShot, held_face_shot
from facequery.pipeline.fit import mark_fitted
from facequery.pipeline.job import JobRequest
from facequery.pipeline.progress import Progress
from facequery.pipeline.refine import ANCHORED, reference_frames, shot_refinement
from facequery.pipeline.run import JobResult, run_job

FILE = "picked.json"


@dataclass(frozen=True)
class PlateMark:
    """A mark as the user wrote it: a point's name, the frame's number, plate pixels."""

    name: str
    frame: int
    xy: tuple[float, float]


def parse_marks(texts: Sequence[str], frame: int | None) -> list[PlateMark]:
    """Marks from `[NAME=][FRAME:]x,y`, `frame` where they name none.

    The k-th mark of a frame that has no name belongs to the point "k": so a point marked in several frames is written
    at the same place in each. Raises UserError.
    """
    marks: list[PlateMark] = []
    counted: dict[int, int] = {}
    for text in texts:
        name, equals, rest = text.rpartition("=")
        number, colon, pixels = rest.rpartition(":")
        try:
            own = int(number) if colon else frame
            x, y = (float(v) for v in pixels.split(","))
        except ValueError:
            raise UserError(f'"{text}" is no mark.', "Write x,y or FRAME:x,y or NAME=FRAME:x,y.", "FQ606") from None
        if own is None:
            raise UserError(f'The mark "{text}" names no frame.', "Add --frame N, or write FRAME:x,y.", "FQ606")
        if not equals:
            counted[own] = counted.get(own, 0) + 1
            name = str(counted[own])
        marks.append(PlateMark(name, own, (x, y)))
    if not marks:
        raise UserError("No points were marked.", "Write --points x,y ...", "FQ606")
    return marks


def pick_in_shot(seen: FaceShot, marks: Sequence[PlateMark]) -> Picks:
    """The points that marks in a shot mean. Raises UserError for a frame that the shot lacks, or that has no face, and
    for a mark outside the plate."""
    names = list(dict.fromkeys(mark.name for mark in marks))
    frames = sorted({mark.frame for mark in marks})
    indices = [seen.shot.index_of(frame) for frame in frames]
    for mark in marks:
        if not (0 <= mark.xy[0] <= seen.shot.width and 0 <= mark.xy[1] <= seen.shot.height):
            x, y = mark.xy
            raise UserError(
                f"The mark {x:g},{y:g} lies outside the plate.",
                f"It has {seen.shot.width} x {seen.shot.height} pixels.",
                "FQ607",
            )
    own = [Mark(names.index(mark.name), frames.index(mark.frame), mark.xy) for mark in marks]
    return pick_points(seen.head, seen.sight(indices), seen.path.crops[indices], own, names)


def pick_notes(seen: FaceShot, picks: Picks, marks: Sequence[PlateMark]) -> list[str]:
    """Sentences about marks that no point of the head explains."""
    crops = seen.path.crops
    notes = []
    for mark, residual, sigma in zip(marks, picks.residual, picks.sigma, strict=True):
        crop = crops[seen.shot.index_of(mark.frame)]
        limit = max(0.01 * float(np.sqrt(abs(np.linalg.det(crop[:, :2])))), 1.0)
        if residual > max(limit, float(sigma)):
            notes.append(
                f'Point "{mark.name}", frame {mark.frame}: the head comes no nearer to the mark than '
                f"{residual:.1f} px; is it on the face?"
            )
    return notes


def run_pick(
    request: JobRequest,
    folder: Path,
    marks: Sequence[PlateMark],
    actor: Path | None = None,
    progress: Progress | None = None,
    device: str = "auto",
) -> tuple[Picks, JobResult]:
    """Pick in a shot and track what was picked, into a job's folder; the points become its layout `picked.json`.

    `actor` names an actor file that keeps the points too, for other shots of the person. Raises UserError on bad input.
    """
    layout = folder / FILE
    request = replace(request, layouts=(str(layout),))
    with held_face_shot(request, folder, progress, device) as seen:
        picks = pick_in_shot(seen, marks)
        queries = replace(picks.queries, description="Points picked in " + seen.shot.name)
        if not _same_layout(layout, queries):
            queries.save(layout)
            _forget_tracks(folder, seen.work)
        if request.refine:  # the frame of the marks is exact: refined tracks go through them
            anchor, chosen = seen.shot.index_of(marks[0].frame), reference_frames(seen, request.references)
            shot_refinement(seen, anchor, chosen, progress, ANCHORED)
    if actor is not None:
        keep_in_actor(actor, queries)
    result = run_job(request, folder, progress, device)
    return picks, replace(result, notes=[*result.notes, *pick_notes(seen, picks, marks)])


def keep_in_actor(path: Path, queries: QuerySet) -> None:
    """Put picked points into an actor file, in place of earlier ones of the same name; the file is made if need be."""
    actor = (
        Actor.load(path) if path.is_file() else Actor(path.stem, np.zeros(HeadModel.load().identity_size, np.float32))
    )
    if actor.picked is not None:
        others = [i for i, name in enumerate(actor.picked.names) if name not in queries.names]
        queries = QuerySet.concat([actor.picked.subset(others), queries], "picked")
    replace(actor, picked=queries).save(path)


def _same_layout(path: Path, queries: QuerySet) -> bool:
    if not path.is_file():
        return False
    there = QuerySet.load(path)
    return there.names == queries.names and _close(there.positions, queries.positions)


def _close(a: NDArray, b: NDArray) -> bool:
    return a.shape == b.shape and bool(np.allclose(a, b, atol=2e-6))


def _forget_tracks(folder: Path, work: Path) -> None:
    """Remove tracks of other points, so that they are not taken for finished ones."""
    (work / ANCHORED).unlink(missing_ok=True)
    (folder / "preview.mp4").unlink(missing_ok=True)
    mark_fitted(folder, False)
    for place in (folder, work / "raw", work / "refined"):
        for path in (place / "tracks.json", place / "tracks.npz", *place.glob("tracks/*.npy")):
            path.unlink(missing_ok=True)
