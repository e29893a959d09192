"""The whole job: find, track, fit, preview, in that order, in a folder that can be gone on with at any moment."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from facequery.apps.dense import DenseHead
from facequery.detection.detector import Detector
from facequery.detection.devices import pick_device
from facequery.detection.faces import FacePath
from facequery.detection.finder import FaceFinder
from facequery.detection.tracks import Tracks, TrackWriter, read_chunks, read_header
from facequery.errors import UserError
from facequery.fitting.corrections import named_landmarks
from facequery.fitting.results import ShotFit
from facequery.head.queries import QuerySet
from facequery.pipeline import fit as fits
from facequery.pipeline.cameras import camera_for
from facequery.pipeline.crew import one_core_for_blas
from facequery.pipeline.face_shot import FaceShot
from facequery.pipeline.find import Region, find_face
from facequery.pipeline.job import JobRequest, open_job
from facequery.pipeline.lock import job_lock
from facequery.pipeline.preview import MOST_POINTS, Overlay, write_preview
from facequery.pipeline.progress import Progress, of_step
from facequery.pipeline.refine import reference_frames, refined_tracks, tracks_refinement
from facequery.pipeline.smooth import raw_folder, smoothed_tracks
from facequery.pipeline.track import load_queries, track_shot, writer_for
from facequery.pipeline.views import open_shots, view_folder
from facequery.pipeline.visibility import update_visibility
from facequery.shots.shot import Shot
from facequery.stages import stage


@dataclass(frozen=True, eq=False)
class JobResult:
    """What a job left behind: its folder and each view's, the fit if one was asked for, and every file."""

    folder: Path
    views: list[Path]
    fit: ShotFit | None
    files: list[Path]
    notes: list[str]

    @cached_property
    def tracks(self) -> list[Tracks]:
        """Each view's tracks, in memory: dense ones of a long shot are better read by `read_chunks`."""
        return [Tracks.load(view) for view in self.views]

    def counts(self) -> list[tuple[int, int, int]]:
        """Of each view: points, frames with the face, frames in all. Read from the files, piece by piece."""
        counts = []
        for view in self.views:
            header = read_header(view)
            found = sum(int(np.isfinite(sigma).all(axis=1).sum()) for sigma in read_chunks(view, "sigma", header))
            counts.append((len(header["names"]), found, len(header["frames"])))
        return counts


_KEPT = "The fit that is there is kept; `facequery fit` makes it anew."


def run_job(request: JobRequest, folder: Path, progress: Progress | None = None, device: str = "auto") -> JobResult:
    """Do what a request asks for, in `folder`, going on from whatever is finished there.

    A finished fit of finished tracks is kept as it is, also where `facequery fit` made it; the result's `fit` is then
    None if the folder has not all of face, skull and jaw. Raises UserError on bad input, and when the folder holds
    another job.
    """
    one_core_for_blas()  # also where all is tracked, and a fit is gone on with: it shall come out the same to the bit
    # Everything that can be wrong with the input is looked at before the folder is made.
    queries = load_queries(request.layouts)
    shots = open_shots(request)
    cameras = [camera_for(shot, Path(path)) if path else None for shot, path in _with_cameras(shots, request.cameras)]
    regions = [Region.parse(text) for text in request.regions]
    with stage("load"):
        detector = Detector.from_pretrained(request.weights, device, request.mirror)
    open_job(folder, request)
    with job_lock(folder):
        views = [view_folder(folder, index, len(shots)) for index in range(len(shots))]
        # A fit that is there stays, also one that `facequery fit` made with other settings than the request's.
        kept = fits.is_fitted(folder) and all((view / "tracks.json").is_file() for view in views)
        if not kept:
            fits.mark_fitted(folder, False)
        finder: FaceFinder | None = None
        writers: list[TrackWriter] = []
        crops: list[NDArray] = []
        notes: list[str] = []
        for index, (shot, view) in enumerate(zip(shots, views, strict=True)):
            finder = finder or FaceFinder.from_pretrained(device=str(pick_device(device)))
            finding, tracking = (of_step(progress, step, index, len(shots)) for step in ("Find face", "Track"))
            path = find_face(shot, finder, detector, view, request.face, regions, finding)
            own = view_writers(request, shot, view, queries)
            track_shot(shot, path, detector, own, tracking, say=notes.append)
            if request.refine:
                own[0] = _refined(own[0], shot, path, detector, view, request, progress)
            if request.smooth:
                own[0] = smoothed_tracks(own[0], view, request.smooth)
            writers.append(own[0])
            crops.append(path.crops)

        result = None
        if kept:
            notes.append(_KEPT)
            result = ShotFit.load(folder) if all((folder / f"{part}.npz").is_file() for part in fits.FITS) else None
        elif request.fits:
            report = of_step(progress, "Fit")
            report(0, 1)
            document = fits.read_corrections(folder / fits.CORRECTIONS)
            for_fit = [fits.tracks_to_fit(view, also=named_landmarks(document)) for view in views]
            actor = Path(request.actor) if request.actor else None
            corrections = fits.corrections_for(document, for_fit)
            with stage("fit"):
                result = fits.fit_job(folder, for_fit, cameras, request.fits, actor, corrections)
            for index, writer in enumerate(writers):
                camera = result.camera(index, writer.frames)
                with stage("hidden by shape"):
                    update_visibility(writer, crops[index], result.face, camera)
            fits.mark_fitted(folder)
            report(1, 1)
        else:
            for index, given in enumerate(cameras):
                if given is not None:
                    fits.save_camera(given, fits.camera_file(folder, index), shots[index].frame_numbers)

        if request.preview:
            for index, (shot, view) in enumerate(zip(shots, views, strict=True)):
                if not (view / "preview.mp4").is_file():
                    own_tracks = Tracks.load(view, MOST_POINTS)
                    if kept:
                        overlay = fits.kept_overlay(folder, own_tracks, index)
                    else:
                        overlay = overlay_of(own_tracks, result, index, request.fits)
                    with stage("preview"):
                        report = of_step(progress, "Preview", index, len(shots))
                        write_preview(view / "preview.mp4", shot, overlay, report)
        for shot in shots:
            shot.close()
        notes += [note for shot in shots for note in shot.notes]
        return JobResult(folder, views, result, result_files(folder), notes)


def view_writers(
    request: JobRequest, shot: Shot, view: Path, asked: tuple[QuerySet, dict[str, tuple[int, int]]] | None = None
) -> list[TrackWriter]:
    """Where a view's tracks go: the points asked for (what `load_queries` gives for the request, if it is known) and,
    if there are fits, the points that fits need."""
    queries, layouts = asked or load_queries(request.layouts)
    own = [writer_for(shot, raw_folder(view) if request.smooth or request.refine else view, queries, layouts)]
    if request.fits:
        # A fit needs points that stay where they are on the head, also where a layout lets them slide.
        needed = replace(load_queries(fits.LAYOUTS)[0], slide=None)
        own.append(writer_for(shot, view / "fit", needed, {"fit": (0, len(needed))}))
    return own


def _refined(
    raw: TrackWriter,
    shot: Shot,
    path: FacePath,
    detector: Detector,
    view: Path,
    request: JobRequest,
    progress: Progress | None,
) -> TrackWriter:
    """Tracks aligned to the plate at its own resolution, into `view`, or beside the raw ones if smoothing follows."""
    seen = FaceShot(shot, path, DenseHead(detector), view, view / "work", progress)
    refinement = tracks_refinement(seen, reference_frames(seen, request.references), progress)
    return refined_tracks(raw, view / "work" / "refined" if request.smooth else view, refinement)


def result_files(folder: Path) -> list[Path]:
    """The finished results in a job's folder, folders of chunks counted as one."""
    tracks, fitted = (
        ("tracks", "tracks.json", "tracks.npz"),
        ("face.npz", "skull.npz", "jaw.npz", "head.npz", "actor.npz"),
    )
    names = (*tracks, "camera*.json", *fitted, "fit.json", "preview.mp4")
    found = [p for view in ("", "view*/") for name in names for p in sorted(folder.glob(view + name))]
    return sorted(found, key=lambda p: (len(p.relative_to(folder).parts), p.name))


def _with_cameras(shots: Sequence[Shot], cameras: Sequence[str]) -> list[tuple[Shot, str | None]]:
    if len(cameras) not in (0, len(shots)):
        raise UserError(
            f"{len(shots)} shots came with {len(cameras)} cameras.",
            "Give --camera once per shot, or not at all.",
            "FQ361",
        )
    paths: Sequence[str | None] = cameras or [None] * len(shots)
    return list(zip(shots, paths, strict=True))


def overlay_of(tracks: Tracks, fit: ShotFit | None, view: int, wanted: Sequence[str]) -> Overlay:
    """What a preview shows of a view (from 0): its tracks and, of `wanted`, the parts of a fit."""
    if fit is None:
        return Overlay(tracks)
    return Overlay(
        tracks,
        fit.camera(view, tracks.frames),
        fit.face if "face" in wanted else None,
        fit.skull if "skull" in wanted else None,
        fit.jaw if "jaw" in wanted else None,
        fit.quality,
    )
