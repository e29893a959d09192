"""The fit as a stage of its own: fits tracks again, with other settings or corrections, without tracking."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from facequery_protocol import job as documents

from facequery.detection.tracks import Tracks, TrackWriter
from facequery.errors import UserError
from facequery.fitting.corrections import named_landmarks
from facequery.fitting.refit import refit_range
from facequery.fitting.results import ShotFit
from facequery.geometry.cameras import Camera
from facequery.head.model import HeadModel
from facequery.pipeline import fit as fits
from facequery.pipeline.cameras import camera_at
from facequery.pipeline.crew import one_core_for_blas
from facequery.pipeline.find import load_path
from facequery.pipeline.job import JobRequest, load_request, writing
from facequery.pipeline.lock import results_lock
from facequery.pipeline.own_meshes import read_mesh_file
from facequery.pipeline.preview import MOST_POINTS, write_preview
from facequery.pipeline.progress import Progress, of_step
from facequery.pipeline.run import JobResult, overlay_of, result_files
from facequery.pipeline.views import open_shots, view_folder
from facequery.pipeline.visibility import update_visibility

_STEPS = 1000  # of the progress of a fit
SOLVE = "solve"  # in the place of a camera file: find the camera


@dataclass(frozen=True)
class FitRequest:
    """What `facequery fit` is asked for. What is left out is as in the job."""

    fits: tuple[str, ...] = ()  # of face, skull, jaw; none: those of the job, or all
    cameras: tuple[str, ...] = ()  # camera files or "solve", one a view
    actor: str | None = None  # the person's file; "" for none
    corrections: Mapping[str, Any] | None = None  # a document; None: that of the job's folder
    frames: tuple[int, int] | None = None  # fit these file numbers alone; all others stay
    points: str = "fit"  # which tracks: fit, own, both
    settings: Mapping[str, Any] = field(default_factory=dict)  # values of FitSettings by name
    meshes: tuple[Path, ...] = ()  # the user's own skull, jaw, head: files of `own_meshes`
    preview: bool | None = None


def run_fit(
    sources: Sequence[Path], request: FitRequest, out: Path | None = None, progress: Progress | None = None
) -> JobResult:
    """Fit the tracks of a job's folder, or of folders with tracks (one a view), and write the results.

    They go to `out`, by default the job's folder or the first of the folders; a job is held meanwhile, and its fit is
    from then on what `run_job` keeps. Raises UserError.
    """
    one_core_for_blas()  # as `run_job` fits
    job = _job(sources)
    with results_lock(out or sources[0]):
        return _fit(sources, job, request, out or sources[0], progress)


def _fit(
    sources: Sequence[Path], job: JobRequest | None, request: FitRequest, folder: Path, progress: Progress | None
) -> JobResult:
    views = [view_folder(sources[0], v, len(job.shots)) for v in range(len(job.shots))] if job else list(sources)
    document: Mapping[str, Any] | None = request.corrections
    if document is None:
        document = fits.read_corrections(sources[0] / fits.CORRECTIONS)
    also = named_landmarks(document)
    tracks = [fits.tracks_to_fit(view, request.points, also) for view in views]
    corrections = fits.corrections_for(document, tracks)
    wanted = request.fits or (job.fits if job else ()) or fits.FITS
    actor = job.actor if request.actor is None and job else request.actor
    tick = _ticker(progress)
    meshes = [read_mesh_file(path) for path in request.meshes]
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    if request.frames is None:
        cameras = _cameras(tracks, request.cameras or (job.cameras if job else ()))
        result = fits.fit_job(
            folder, tracks, cameras, wanted, Path(actor) if actor else None, corrections, request.settings, tick,
            meshes,
        )  # fmt: skip
    else:
        if request.cameras or request.actor is not None:
            raise UserError(
                "A range of frames keeps the camera and the person of the fit that is there.",
                "Leave out the camera and the actor, or fit the whole shot.",
                "FQ354",
            )
        before = ShotFit.load(sources[0])
        used = fits.settings_from(request.settings, tracks[0].pixel_aspect)
        result = refit_range(HeadModel.load(), tracks, before, *request.frames, used, corrections, tick)
        wanted = fits.FITS
        result = fits.write_fit(folder, result, wanted, [one.frames for one in tracks], request.settings, meshes)
    if document is not None and (request.corrections is not None or folder != sources[0]):
        fits.save_corrections(document, folder / fits.CORRECTIONS)
    if progress:
        progress("Fit", _STEPS, _STEPS)
    if job and folder == sources[0]:
        _update_tracks(views, result)
        fits.mark_fitted(folder)
    notes = [] if request.points == "own" or (views[0] / "fit").is_dir() else [_OWN_POINTS]
    for view in {folder, *(views if folder == sources[0] else ())}:
        (view / "preview.mp4").unlink(missing_ok=True)  # it would show the earlier fit
    if job and (job.preview if request.preview is None else request.preview):
        notes += _previews(job, views, folder, result, wanted, progress)
    return JobResult(folder, list(views), result, result_files(folder), notes)


_OWN_POINTS = "No points were tracked for a fit: the job's own are used. Skull and jaw follow from the skin alone."


def _job(sources: Sequence[Path]) -> JobRequest | None:
    """The request of a job's folder; None for folders of tracks. Raises UserError when it is neither."""
    if not sources:
        raise UserError("There is nothing to fit.", "Name a job's folder, or folders with tracks.", "FQ355")
    if len(sources) == 1 and (sources[0] / documents.FILE).is_file():
        return load_request(sources[0])
    for source in sources:
        if not (source / "tracks.json").is_file():
            raise UserError(
                f'"{source}" is neither a job\'s folder nor one with tracks.', "Run `facequery track` first.", "FQ355"
            )
    return None


def _cameras(tracks: Sequence[Tracks], paths: Sequence[str]) -> list[Camera | None]:
    if len(paths) not in (0, len(tracks)):
        raise UserError(
            f"{len(tracks)} views came with {len(paths)} cameras.",
            f'Give one a view, or "{SOLVE}", or none.',
            "FQ361",
        )
    return [
        None if path == SOLVE else camera_at(Path(path), one.width, one.height, one.pixel_aspect, one.frames)
        for one, path in zip(tracks, paths or [SOLVE] * len(tracks), strict=True)
    ]


def _ticker(progress: Progress | None) -> Callable[[], None] | None:
    """Counts the steps of a fit, whose number nobody knows beforehand: ever slower towards its end."""
    if progress is None:
        return None
    done = 0

    def tick() -> None:
        nonlocal done
        done += 1
        progress("Fit", round(_STEPS * done / (done + 40)), _STEPS)

    return tick


def _update_tracks(views: Sequence[Path], fit: ShotFit) -> None:
    """What the fitted face hides, in the visibility of the job's own tracks."""
    for index, view in enumerate(views):
        tracks = Tracks.load(view)
        if (view / "faces.npz").is_file():
            crops = load_path(view / "faces.npz").crops
            update_visibility(TrackWriter.of(tracks, view), crops, fit.face, fit.camera(index, tracks.frames))


def _previews(
    job: JobRequest, views: Sequence[Path], folder: Path, fit: ShotFit, wanted: Sequence[str], progress: Progress | None
) -> list[str]:
    """Write the previews; a sentence where the plates are not there any more."""
    try:
        shots = open_shots(job)
    except UserError as error:
        return [f"No preview: {error}"]
    for index, (shot, view) in enumerate(zip(shots, views, strict=True)):
        overlay = overlay_of(Tracks.load(view, MOST_POINTS), fit, index, wanted)
        target = folder / view.name if len(views) > 1 else folder
        target.mkdir(exist_ok=True)
        write_preview(target / "preview.mp4", shot, overlay, of_step(progress, "Preview", index, len(shots)))
        shot.close()
    return []
