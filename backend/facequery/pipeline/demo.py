"""The bundled sample shot, tracked, fitted and compared with its exact truth."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from facequery.assets import asset
from facequery.detection.tracks import Tracks
from facequery.fitting.output import FACE_PARTS, part_mesh
from facequery.fitting.results import FaceFit, ShotFit
from facequery.geometry.align import apply_similarity, similarity_transform
from facequery.head.model import HeadModel
from facequery.pipeline.job import JobRequest
from facequery.pipeline.progress import Progress
from facequery.pipeline.run import JobResult, run_job
from facequery.synthesis.cycles.truth import SampleTruth

LAYOUTS = ("ibug68", "skull", "jaw")


@dataclass(frozen=True)
class ErrorRow:
    """One line of the table: median, mean and 90th percentile of an error, in `unit`."""

    name: str
    unit: str
    median: float
    mean: float
    worst: float

    @staticmethod
    def of(name: str, unit: str, errors: NDArray) -> "ErrorRow":
        """From errors of any shape; those that are not finite are left out."""
        values = np.asarray(errors, dtype=np.float64)
        values = values[np.isfinite(values)]
        if not len(values):
            return ErrorRow(name, unit, np.nan, np.nan, np.nan)
        return ErrorRow(name, unit, float(np.median(values)), float(values.mean()), float(np.percentile(values, 90)))


def next_version(folder: Path) -> Path:
    """The first of folder/v001, v002, ... that is not there."""
    number = 1
    while (folder / f"v{number:03d}").exists():
        number += 1
    return folder / f"v{number:03d}"


def run_demo(
    folder: Path | None, progress: Progress | None = None, device: str = "auto"
) -> tuple[JobResult, list[ErrorRow]]:
    """Track and fit the sample shot into `folder` (by default the next version under out/demo); its errors."""
    request = JobRequest(
        shots=(str(asset("sample") / "plate" / "shot.####.jpg"),), layouts=LAYOUTS, fits=("face", "skull", "jaw")
    )
    result = run_job(request, folder or next_version(Path("out/demo")), progress, device)
    assert result.fit is not None
    return result, compare(result.tracks[0], result.fit, SampleTruth.load(asset("sample/truth.npz")))


def compare(tracks: Tracks, fit: ShotFit, truth: SampleTruth) -> list[ErrorRow]:
    """Errors of tracks and fits against the truth of the same frames.

    Meshes are compared per frame after the best similarity, since one picture tells neither size nor distance.
    """
    model = HeadModel.load()
    rows: list[ErrorRow] = []
    landmarks = tracks.layout("ibug68")
    true = truth.pixels(model, landmarks.queries)
    seen = truth.visible(model, landmarks.queries)
    error = np.linalg.norm(landmarks.xy - true, axis=-1)
    eyes = np.linalg.norm(true[:, 36] - true[:, 45], axis=-1)  # outer corners
    rows.append(ErrorRow.of("68 landmarks, seen", "px", error[seen]))
    rows.append(ErrorRow.of("68 landmarks, seen", "% inter-ocular", (100 * error / eyes[:, None])[seen]))
    rows.append(ErrorRow.of("68 landmarks, hidden", "px", error[~seen]))
    for name in LAYOUTS[1:]:
        part = tracks.layout(name)
        rows.append(ErrorRow.of(f"points on the {name}", "px", _distance(part.xy, truth.pixels(model, part.queries))))
    rows += _mesh_rows(fit.face, truth, model)
    skull, jaw = truth.skull()[0], truth.jaw()[0]
    rows.append(ErrorRow.of("head rotation", "degrees", _angles(fit.skull.rotation, skull)))
    opened = np.swapaxes(fit.skull.rotation, -1, -2) @ fit.jaw.rotation
    rows.append(ErrorRow.of("jaw against skull", "degrees", _angles(opened, np.swapaxes(skull, -1, -2) @ jaw)))
    focal = np.broadcast_to(fit.cameras[0].fx, len(truth))
    rows.append(ErrorRow.of("focal length", "%", 100 * np.abs(focal / truth.fx - 1)))
    return rows


def _mesh_rows(face: FaceFit, truth: SampleTruth, model: HeadModel) -> list[ErrorRow]:
    """The skin of the face region: millimetres after alignment."""
    vertices, _ = part_mesh(model, FACE_PARTS)
    skin = model.parts["skin"].vertices
    mask = model.region_mask("face")
    wanted = np.zeros(len(model.rest), bool)
    wanted[np.arange(skin.start, skin.stop)[mask]] = True
    columns = np.flatnonzero(wanted[vertices])
    errors = []
    for frame in range(len(truth)):
        fitted = np.asarray(face.vertices[frame][columns], dtype=np.float64)
        target = truth.vertices(frame, model)[vertices[columns]]
        errors.append(_distance(apply_similarity(*similarity_transform(fitted, target), fitted), target))
    return [ErrorRow.of("face mesh, aligned", "mm", 1000 * np.array(errors))]


def _distance(a: NDArray, b: NDArray) -> NDArray[np.float64]:
    return np.linalg.norm(np.asarray(a, dtype=np.float64) - b, axis=-1)


def _angles(a: NDArray, b: NDArray) -> NDArray[np.float64]:
    """Degrees between rotations (F, 3, 3)."""
    trace = np.trace(np.swapaxes(a, -1, -2) @ b, axis1=-2, axis2=-1)
    return np.degrees(np.arccos(np.clip((trace - 1) / 2, -1, 1)))
