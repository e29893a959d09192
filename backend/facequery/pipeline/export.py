"""Exports of a job: choose what goes into the file, say what is written, write it."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from facequery.detection.tracks import Tracks
from facequery.errors import UserError
from facequery.export.files import check_targets
from facequery.export.formats import format_of
from facequery.export.source import Source, plain_name, source_from_tracks
from facequery.fitting.results import FaceFit, RigidFit
from facequery.geometry.cameras import Camera
from facequery.pipeline.cameras import load_camera
from facequery.pipeline.fit import camera_file
from facequery.pipeline.job import JobRequest, load_request
from facequery.pipeline.lock import results_lock
from facequery.pipeline.progress import Progress, of_step
from facequery.pipeline.views import view_folder

_Fit = TypeVar("_Fit", FaceFit, RigidFit)


@dataclass(frozen=True)
class ExportRequest:
    """What to export, and how.

    `format` by name; `out`, a file (None: JOB/export/SHOT.FORMAT.SUFFIX); `layout` and `points` (ids or names) choose
    among the tracks; `quads` of four points each: lower left, lower right, upper right, upper left; `view` from 1;
    `undistorted` points; `start`, the number of the first frame (None: the plate's); `keep_hidden` writes points that
    are hidden or off screen as well; `timecode` "hh:mm:ss:ff" of the first frame (None: from the frame numbers).
    """

    format: str
    out: Path | None = None
    layout: str | None = None
    points: tuple[str, ...] | None = None
    quads: tuple[tuple[str, ...], ...] = ()
    view: int = 1
    undistorted: bool = False
    start: int | None = None
    keep_hidden: bool = False
    overwrite: bool = False
    timecode: str | None = None


@dataclass(frozen=True)
class Exported:
    """The files that were written, and sentences for the user."""

    files: list[Path]
    notes: list[str]


def export_job(
    folder: Path, request: ExportRequest, progress: Progress | None = None, say: Callable[[str], None] | None = None
) -> Exported:
    """Write an export of a finished job.

    `say` gets a sentence about every file before it is written. Raises UserError when the job lacks what the format
    needs, a file is there already (unless `overwrite`), or it cannot be written.
    """
    chosen = format_of(request.format)
    if chosen.needs == "quads" and not request.quads:
        raise UserError(f'"{chosen.name}" needs corners.', "Name four points with --quad a,b,c,d.", "FQ504")
    source = job_source(folder, request)
    source = replace(source, report=of_step(progress, "Export"))
    path = request.out or folder / "export" / f"{plain_name(source.name)}.{chosen.name}{chosen.suffix}"
    if path.suffix.lower() != chosen.suffix:
        raise UserError(f'"{path}" does not end in {chosen.suffix}.', "Give another --out.", "FQ502")
    targets = chosen.targets(source, path)
    check_targets(targets, request.overwrite)
    if say:
        for target in targets[:5]:
            say(f'{"Overwriting" if target.exists() else "Writing"} "{target}".')
        if len(targets) > 5:
            say(f"... and {len(targets) - 5} more.")
    with results_lock(path):
        files = chosen.write(source, path)
    return Exported(files, _notes(source) if chosen.drops_hidden else [])


def job_source(folder: Path, request: ExportRequest) -> Source:
    """What an export is made from, read from a job's folder. Raises UserError when something is missing."""
    job = load_request(folder)
    if not 1 <= request.view <= len(job.shots):
        raise UserError(f"The job has no view {request.view}.", f"It has {len(job.shots)}.", "FQ507")
    view = request.view - 1
    tracks = Tracks.load(view_folder(folder, view, len(job.shots)))
    if request.layout is not None:
        tracks = tracks.layout(request.layout)
    source = source_from_tracks(
        shot_name(job, view),
        tracks,
        job_camera(folder, view),
        points=request.points,
        quads=request.quads,
        undistorted=request.undistorted,
        start=request.start,
        keep_hidden=request.keep_hidden,
        timecode=request.timecode,
        first_camera=job_camera(folder),
        face=_optional(folder / "face.npz", FaceFit),
        skull=_optional(folder / "skull.npz", RigidFit),
        jaw=_optional(folder / "jaw.npz", RigidFit),
    )
    return replace(source, plate=Path(job.shots[view]).resolve().as_posix(), folder=folder)


def job_camera(folder: Path, view: int = 0) -> Camera | None:
    """A view's camera (from 0) if the job has one."""
    path = camera_file(folder, view)
    return load_camera(path) if path.is_file() else None


def shot_name(job: JobRequest, view: int = 0) -> str:
    """A short name of a view's shot: its file's or folder's, without number and suffix."""
    path = Path(job.shots[view])
    stem = path.stem if path.suffix else path.name
    return stem.rstrip("#0123456789%d._- ") or stem


def _optional(path: Path, kind: type[_Fit]) -> _Fit | None:
    return kind.load(path) if path.is_file() else None


def _notes(source: Source) -> list[str]:
    empty = [name for name, seen in zip(source.names, source.usable.any(axis=0), strict=True) if not seen]
    if not empty:
        return []
    listed = ", ".join(empty[:5]) + (", ..." if len(empty) > 5 else "")
    return [f"{len(empty)} of {len(source.names)} points are seen in no frame and were left out: {listed}."]
