"""How steady landmarks are over time, on films whose truth is known."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facequery.detection.detector import Detector, tightened, to_pixels
from facequery.detection.tracks import Tracks
from facequery.evaluation.canvas import nearest_face
from facequery.evaluation.errors import box_size, inter_ocular
from facequery.evaluation.films import FPS, LAYOUT, Film, cycles_films
from facequery.evaluation.predict import FindFaces
from facequery.geometry.crops import crop_from_points, sample_crop
from facequery.head.layouts import load_layout
from facequery.pipeline.job import JobRequest
from facequery.pipeline.run import run_job
from facequery.pipeline.smooth import raw_folder

SPANS = (1, 4, 16)  # frames


def residual_change(xy: NDArray, truth: NDArray, frames: int) -> NDArray[np.float64]:
    """Change of the residual over `frames` frames, (F - frames, N) lengths over sqrt(h w) of the true box.

    `xy`, `truth` (F, N, 2) pixels; NaN where a face was missed. Being measured against the truth of the same frame, a
    track that lags behind a moving face changes its residual, and pays for it.
    """
    residual = (xy - truth) / box_size(truth)[:, None, None]
    return np.linalg.norm(residual[frames:] - residual[:-frames], axis=-1)


def stability(tracks: Sequence[NDArray], films: Sequence[Film]) -> dict[str, float]:
    """Figures over films, all in percent; `tracks` (F, 68, 2) of each film, NaN where the face was missed.

    `nmf`: normalised mean flicker, the RMS change of the residual from frame to frame over sqrt(h w) of the box;
    `nad1`, `nad4`, `nad16`: normalised average drift, its mean change over so many frames; `nme`: error over the
    inter-ocular distance (frames with the face found); `missed`: share of frames without it. A span that no film is
    long enough for is left out.
    """
    figures: dict[str, float] = {}
    for span in SPANS:
        change = np.concatenate([residual_change(t, f.truth, span).ravel() for t, f in zip(tracks, films, strict=True)])
        if not np.isfinite(change).any():
            continue  # films too short for it
        if span == 1:
            figures["nmf"] = float(np.sqrt(np.nanmean(change**2)))
        figures[f"nad{span}"] = float(np.nanmean(change))
    errors = [np.linalg.norm(t - f.truth, axis=-1) / inter_ocular(f.truth, LAYOUT)[:, None]
              for t, f in zip(tracks, films, strict=True)]  # fmt: skip
    figures["nme"] = float(np.nanmean(np.concatenate(errors)))
    figures["missed"] = float(np.isnan(np.concatenate([t[:, 0, 0] for t in tracks])).mean())
    return {name: round(100 * value, 3) for name, value in figures.items()}


def frame_by_frame(detector: Detector, find: FindFaces, film: Film, layout: str = LAYOUT) -> NDArray[np.float64]:
    """Landmarks (F, N, 2) of every frame found on its own, as if there were no other; NaN where the face was missed."""
    positions = load_layout(layout).positions
    xy = np.full((len(film.paths), len(positions), 2), np.nan)
    for index, picture in enumerate(film.frames()):
        faces = find(picture)
        which = nearest_face(np.array([face.points.mean(0) for face in faces]), film.truth[index])
        if which is not None:
            crop = tightened(crop_from_points(faces[which].points))
            inside, spread = detector.look(sample_crop(picture, crop, detector.size)[None], positions)
            xy[index] = to_pixels(inside[0], spread[0], crop)[0]
    return xy


def as_a_shot(
    film: Film, weights: str, smooth: float, layout: str = LAYOUT
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Landmarks (F, N, 2) of the pipeline over the whole shot: as the detector saw them, and smoothed by the strength
    `smooth` (above 0)."""
    with tempfile.TemporaryDirectory() as folder:
        job = Path(folder) / "job"
        pattern = str(film.paths[0].parent / f"shot.####{film.paths[0].suffix}")
        request = JobRequest((pattern,), (layout,), fps=FPS, weights=weights, smooth=smooth, preview=False)
        smoothed = run_job(request, job, device="cpu").tracks[0]
        return np.array(Tracks.load(raw_folder(job)).xy, np.float64), np.array(smoothed.xy, np.float64)


def clip_figures(folder: Path, weights: str, smooth: float = 1.0) -> dict[str, Any]:
    """Steadiness of the whole pipeline on the clips that Cycles rendered into `folder`: the figures of `stability`, and
    the same with the smoother at strength `smooth` (above 0), their names led by `smooth_`."""
    films = cycles_films(folder)
    shots = [as_a_shot(film, weights, smooth) for film in films]
    raw, smoothed = (stability([shot[k] for shot in shots], films) for k in (0, 1))
    head = {"set": folder.name, "films": len(films), "frames": sum(len(film.paths) for film in films)}
    return head | raw | {f"smooth_{name}": value for name, value in smoothed.items()}
