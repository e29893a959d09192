"""`facequery report`: how a job went, on one page that can be sent to anybody."""

import base64
import importlib.metadata
import platform
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from facequery_protocol import job as documents
from facequery_protocol.frames import describe
from numpy.typing import NDArray

from facequery import __version__
from facequery.detection.tracks import Tracks
from facequery.errors import UserError
from facequery.export.files import check_targets, write_text
from facequery.fitting.results import GOOD, FaceFit, FitQuality
from facequery.pipeline.export import job_camera, shot_name
from facequery.pipeline.fit import CORRECTIONS, read_corrections, read_quality
from facequery.pipeline.job import JobRequest, load_request
from facequery.pipeline.preview import Overlay, Painter
from facequery.pipeline.progress import Progress
from facequery.pipeline.report_page import Figure, Plot, Still, page
from facequery.pipeline.views import open_shots, view_folder
from facequery.shots.shot import Shot

_WORST, _EVEN = 6, 8  # pictures
_HEIGHT = 380  # pixels of a picture, shown at half that size
_SOFT, _HARD = 0.02, 0.05  # sigma as a share of the face's size: to be looked at; bad
_LIBRARIES = ("torch", "numpy", "scipy", "opencv-python", "openimageio", "av")


def write_report(
    folder: Path, out: Path | None = None, overwrite: bool = False, view: int = 1, progress: Progress | None = None
) -> Path:
    """Write the report of a finished job as one HTML file (None: JOB/report.html); returns it.

    Where the plate cannot be read any more, the report has no pictures and says so. Raises UserError when the job has
    no tracks, or the file is there already.
    """
    job = load_request(folder)
    if not 1 <= view <= len(job.shots):
        raise UserError(f"The job has no view {view}.", f"It has {len(job.shots)}.", "FQ507")
    path = out or folder / "report.html"
    check_targets([path], overwrite)
    tracks = Tracks.load(view_folder(folder, view - 1, len(job.shots)))
    quality = read_quality(folder)
    measures = Measures(tracks)
    states = _states(tracks, quality)
    strips, problem = _strips(folder, job, view, tracks, quality, measures, progress)
    notes = ([problem] if problem else []) + (quality.notes if quality else [])
    name = shot_name(job, view - 1)
    write_text(
        path,
        page(
            title=f"{name}: tracking report",
            under=f"{folder.resolve().name}, written by FaceQuery {__version__}",
            figures=_figures(tracks, quality, measures),
            strips=strips,
            plots=_plots(quality, measures),
            frames=tracks.frames,
            states=states,
            tables={
                "What to look at": _to_look_at(tracks, quality, states, notes),
                "Corrections": _corrections(folder),
                "Settings": _settings(job),
                "Versions": _versions(folder, job),
            },
        ),
    )
    return path


class Measures:
    """What the tracks say of themselves, per frame (F,).

    `sigma` median and `sigma_high` (90 %) over the points, px; `jitter`, the median of how far points are from the
    middle of where they are a frame before and after, px; `visible`, the share of points seen. `size`: the face's
    extent, px.
    """

    def __init__(self, tracks: Tracks) -> None:
        count = len(tracks.frames)
        self.sigma, self.sigma_high = np.full(count, np.nan), np.full(count, np.nan)
        self.visible, self.jitter = np.zeros(count), np.full(count, np.nan)
        sizes = []
        before: tuple[NDArray, NDArray] | None = None
        previous: tuple[NDArray, NDArray] | None = None
        for row in range(count):
            xy = np.asarray(tracks.xy[row], np.float64) * [tracks.pixel_aspect, 1.0]
            seen = np.asarray(tracks.visible[row]) >= 0.5
            self.visible[row] = seen.mean() if len(seen) else 0.0
            if tracks.found[row]:
                self.sigma[row], self.sigma_high[row] = np.quantile(tracks.sigma[row], [0.5, 0.9])
                sizes.append(np.linalg.norm(np.ptp(xy, axis=0)))
            if before is not None and previous is not None:
                steady = before[1] & previous[1] & seen
                if steady.any() and tracks.frames[row] - tracks.frames[row - 2] == 2:
                    gap = previous[0][steady] - 0.5 * (before[0][steady] + xy[steady])
                    self.jitter[row - 1] = np.median(np.linalg.norm(gap, axis=1))
            before, previous = previous, (xy, seen)
        self.size = float(np.median(sizes)) if sizes else float("nan")


def _states(tracks: Tracks, quality: FitQuality | None) -> list[str]:
    of_fit = dict(zip(quality.frames, quality.status, strict=True)) if quality else {}
    found = tracks.found
    return [
        of_fit.get(int(frame), GOOD) if there else "missed" for frame, there in zip(tracks.frames, found, strict=True)
    ]


def _figures(tracks: Tracks, quality: FitQuality | None, measures: Measures) -> list[Figure]:
    found, total = int(tracks.found.sum()), len(tracks.frames)
    figures = [
        Figure(f"{found} of {total}", "frames with the face", "" if found == total else "warn"),
        Figure(str(len(tracks.queries)), "points"),
    ]
    sigma = float(np.nanmedian(measures.sigma)) if found else float("nan")
    share = sigma / measures.size if measures.size else float("nan")
    mood = "bad" if share > _HARD else "warn" if share > _SOFT else ""
    figures.append(Figure(f"{sigma:.2f} px", f"sigma, median ({100 * share:.1f} % of the face)", mood))
    if np.isfinite(measures.jitter).any():
        figures.append(Figure(f"{np.nanmedian(measures.jitter):.2f} px", "jitter, median"))
    if quality:
        figures.append(Figure(f"{quality.mean_reprojection:.2f} px", "reprojection, mean"))
        doubtful = sum(status != GOOD for status in quality.status)
        figures.append(Figure(str(doubtful), "doubtful frames", "warn" if doubtful else ""))
        if quality.focal_solved and quality.focal_solved[0]:
            low, high = quality.focal_interval[0]
            figures.append(Figure(f"{quality.focal[0]:.0f} px", f"focal length solved ({low:.0f} to {high:.0f})"))
    return figures


def _plots(quality: FitQuality | None, measures: Measures) -> list[Plot]:
    plots = [Plot("Sigma of the points", "px", {"median": measures.sigma, "90 %": measures.sigma_high})]
    if quality:
        plots.append(Plot("Reprojection of the fit", "px", {"root mean square": np.array(quality.reprojection)}))
        plots.append(Plot("Uncertainty of the head's rotation", "degrees", {"sigma": np.array(quality.rotation_sigma)}))
    plots.append(Plot("Jitter", "px", {"median": measures.jitter}))
    plots.append(Plot("Points seen", "%", {"visible": 100 * measures.visible}))
    return plots


def _strips(
    folder: Path,
    job: JobRequest,
    view: int,
    tracks: Tracks,
    quality: FitQuality | None,
    measures: Measures,
    progress: Progress | None,
) -> tuple[dict[str, list[Still]], str]:
    """Pictures of the worst and of evenly spaced frames, and a sentence where the plate could not be read."""
    try:
        shot = open_shots(job)[view - 1]
    except UserError as error:
        return {}, f"No pictures: {error}"
    rows = {int(frame): row for row, frame in enumerate(tracks.frames)}
    order = [rows[f] for f in quality.worst_frames if f in rows] if quality else []
    whole = quality is not None and len(quality.frames) == len(rows)
    badness = np.array(quality.reprojection) if quality and whole else measures.sigma_high
    order += np.argsort(-np.nan_to_num(badness, nan=-1.0)).tolist()
    worst = _apart([row for row in order if tracks.found[row]], len(rows))
    missed = np.flatnonzero(~tracks.found)
    even = np.unique(np.linspace(0, len(tracks.frames) - 1, _EVEN).round().astype(int)).tolist()
    draw = _Stills(folder, view, tracks, shot)
    wanted = {"Worst frames": worst + missed[:2].tolist(), "Through the shot": even}
    strips: dict[str, list[Still]] = {}
    total, done = sum(map(len, wanted.values())), 0
    for heading, chosen in wanted.items():
        strips[heading] = []
        for row in chosen:
            words = _words(row, tracks, quality, measures)
            try:
                picture = draw.jpeg(row)
            except UserError as error:
                shot.close()
                return strips, f"Pictures are missing: {error}"
            strips[heading].append(Still(picture, int(tracks.frames[row]), words, heading == "Worst frames"))
            done += 1
            if progress:
                progress("Report", done, total)
    shot.close()
    return strips, ""


def _apart(order: list[int], count: int) -> list[int]:
    """The first few of `order` that are not neighbours of one before: one bad moment is shown once."""
    chosen: list[int] = []
    for row in order:
        if len(chosen) < _WORST and all(abs(row - other) > count // 24 for other in chosen):
            chosen.append(row)
    return chosen


class _Stills:
    """Small pictures of frames: the points, and the fitted face beside them, cut round the face."""

    def __init__(self, folder: Path, view: int, tracks: Tracks, shot: Shot) -> None:
        self.tracks, self.shot = tracks, shot
        camera = job_camera(folder, view - 1)
        face = folder / "face.npz"
        fitted = FaceFit.load(face) if camera is not None and view == 1 and face.is_file() else None
        self.painter = Painter(Overlay(tracks, camera if fitted else None, fitted))

    def jpeg(self, row: int) -> str:
        painter = self.painter
        shrink = cv2.INTER_AREA if painter.scale[0] < 1 else cv2.INTER_CUBIC
        base = cv2.resize(self.shot.display(row), painter.size, interpolation=shrink)
        panels = [name for name in ("points", "face") if name in painter.panels]
        pictures = [painter.panel(name, base.copy(), row) for name in panels]
        box = self._box(row, pictures[0].shape)
        picture = np.hstack([p[box] for p in pictures])
        scale = _HEIGHT / picture.shape[0]
        picture = cv2.resize(picture, (max(1, round(picture.shape[1] * scale)), _HEIGHT), interpolation=cv2.INTER_AREA)
        good, data = cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 82])
        if not good:
            raise UserError("A picture could not be made.", code="FQ530")
        return base64.b64encode(data.tobytes()).decode("ascii")

    def _box(self, row: int, shape: tuple[int, ...]) -> tuple[slice, slice]:
        """Rows and columns round the face with a margin of half its size; the whole picture where there is no face."""
        xy = np.asarray(self.tracks.xy[row], np.float64) * self.painter.scale
        xy = xy[np.isfinite(xy).all(1)]
        if not len(xy):
            return slice(0, shape[0]), slice(0, shape[1])
        low, high = xy.min(0), xy.max(0)
        margin = 0.5 * max(float((high - low).max()), 8.0)
        x0, y0 = np.clip(low - margin, 0, [shape[1] - 8, shape[0] - 8]).astype(int)
        x1, y1 = np.clip(high + margin, [x0 + 8, y0 + 8], [shape[1], shape[0]]).astype(int)
        return slice(y0, y1), slice(x0, x1)


def _words(row: int, tracks: Tracks, quality: FitQuality | None, measures: Measures) -> str:
    if not tracks.found[row]:
        return "no face found"
    words = [f"sigma {measures.sigma[row]:.1f} px"]
    if quality:
        place = {frame: k for k, frame in enumerate(quality.frames)}.get(int(tracks.frames[row]))
        if place is not None:
            words.append(f"reprojection {quality.reprojection[place]:.1f} px")
            if quality.status[place] != GOOD:
                words.append(quality.status[place])
    return ", ".join(words)


def _to_look_at(
    tracks: Tracks, quality: FitQuality | None, states: list[str], notes: list[str]
) -> list[tuple[str, str]]:
    rows = [("Missed frames", describe(tracks.frames[~tracks.found].tolist()) or "none")]
    for state in ("doubtful", "bridged"):
        frames = [int(f) for f, s in zip(tracks.frames, states, strict=True) if s == state]
        if quality:
            rows.append((f"{state.capitalize()} frames", describe(frames) or "none"))
    if quality:
        rows.append(("Worst first", ", ".join(map(str, quality.worst_frames)) or "none"))
    return rows + [("Note", note) for note in notes]


def _corrections(folder: Path) -> list[tuple[str, str]]:
    document = read_corrections(folder / CORRECTIONS)
    if not document:
        return [("Made by hand", "none")]
    rows = []
    for key, words in (("pins", "Pinned landmarks"), ("poses", "Keyed poses"), ("ignored", "Ignored landmarks")):
        entries = document.get(key) or []
        listed = entries if isinstance(entries, list) else []
        where = sorted({int(e["frame"]) for e in listed if isinstance(e, dict) and isinstance(e.get("frame"), int)})
        rows.append((words, f"{len(listed)}" + (f" in frames {describe(where)}" if where else "")))
    return rows


def _settings(job: JobRequest) -> list[tuple[str, str]]:
    rows = []
    for name in job.__dataclass_fields__:
        value: Any = getattr(job, name)
        if isinstance(value, tuple):
            value = ", ".join(map(str, value))
        rows.append((name.replace("_", " "), "-" if value in (None, "") else str(value)))
    return rows


def _versions(folder: Path, job: JobRequest) -> list[tuple[str, str]]:
    made_by = documents.read_job(folder).get("facequery", "unknown")
    rows = [("Job made by", f"FaceQuery {made_by}"), ("Report made by", f"FaceQuery {__version__}")]
    rows += [("Python", f"{platform.python_version()} on {platform.system()} {platform.machine()}")]
    for name in _LIBRARIES:
        try:
            rows.append((name, importlib.metadata.version(name)))
        except importlib.metadata.PackageNotFoundError:
            rows.append((name, "not installed"))
    return rows + _weights(job.weights)


def _weights(name: str) -> list[tuple[str, str]]:
    """Name, licence and origin of the weights, from their card."""
    from facequery.assets import asset
    from facequery.models.weights import load_weights

    try:
        path = Path(name) if name.endswith(".safetensors") else asset(f"weights/{name}.safetensors")
        card = load_weights(path)[1]
    except UserError as error:
        return [("Weights", f"{name}: {error}")]
    rows = [("Weights", f"{name} ({card.get('kind', 'unknown kind')})")]
    rows.append(("Licence of the weights", str(card.get("licence", "unknown"))))
    data = card.get("data", "unknown")
    rows.append(("Trained on", "; ".join(map(str, data)) if isinstance(data, list) else str(data)))
    return rows
