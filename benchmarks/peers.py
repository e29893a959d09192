"""MediaPipe's face mesh on the same annotated photographs as ours.

    python -m benchmarks.peers [--weights landmarks] [--out benchmarks/results/peers.md]

MediaPipe (0.10.21) runs in an environment of its own, made at the first call. It sees each whole picture, and where it
finds nothing a crop of twice the annotated face. Ours gets the crop from the annotation's box. Errors in percent of the
distance of the outer eye corners. "offsets removed": the mean offset of every point (in crop coordinates) on `lfpw` is
subtracted, on `lfpw` itself in two folds; the fair companion of calibrated queries.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from facequery.assets import source_data
from facequery.errors import UserError
from facequery.geometry.crops import apply_affine
from facequery.evaluation import annotated
from facequery.evaluation.folders import evaluate_folder
from numpy.typing import NDArray

from tools.label_portraits import DEFAULT_ENVIRONMENT, environment_python

# MediaPipe's points of the same meaning as the 68 of iBUG
MESH_68 = (
    127, 234, 93, 58, 172, 136, 149, 148, 152, 377, 378, 365, 397, 288, 323, 454, 356,
    70, 63, 105, 66, 107, 336, 296, 334, 293, 300, 168, 197, 5, 4, 98, 97, 2, 326, 327,
    33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380,
    61, 39, 37, 0, 267, 269, 291, 321, 314, 17, 84, 91, 78, 82, 13, 312, 308, 317, 14, 87,
)  # fmt: skip
COLUMNS = ("nme68", "nme51", "contour", "brows", "nose", "eyes", "mouth", "fail10")
_PROGRAM = """
import sys, time, cv2, numpy as np, mediapipe
mesh = mediapipe.solutions.face_mesh.FaceMesh(static_image_mode=True, max_num_faces=5, refine_landmarks=True,
                                              min_detection_confidence=0.5)
job = np.load(sys.argv[1])
points, spent = np.full((len(job["paths"]), 478, 2), np.nan), []
for i, (path, box) in enumerate(zip(job["paths"], job["boxes"])):
    image = cv2.imread(str(path))[..., ::-1]
    middle, side = (box[:2] + box[2:]) / 2, (box[2:] - box[:2]).max()
    low = np.maximum(middle - side, 0).astype(int)
    high = np.minimum(middle + side, image.shape[1::-1]).astype(int)
    for origin, view in ((np.zeros(2), image), (low, image[low[1]:high[1], low[0]:high[0]])):
        start = time.perf_counter()
        found = mesh.process(np.ascontiguousarray(view)).multi_face_landmarks or []
        spent.append(time.perf_counter() - start)
        faces = [np.array([(p.x, p.y) for p in f.landmark]) * view.shape[1::-1] + origin for f in found]
        faces = [f for f in faces if np.linalg.norm(f.mean(0) - middle) < 0.5 * side]
        if faces:
            points[i] = min(faces, key=lambda f: np.linalg.norm(f.mean(0) - middle))
            break
np.savez(sys.argv[2], points=points, milliseconds=1000 * np.median(spent))
"""


def run_mediapipe(chosen: annotated.AnnotatedSet, environment: Path) -> tuple[NDArray[np.float64], float]:
    """MediaPipe's 68 points (n, 68, 2) in pixels, NaN where it found no face, and its milliseconds per picture."""
    boxes = np.concatenate([chosen.points.min(1), chosen.points.max(1)], 1)
    with tempfile.TemporaryDirectory() as folder:
        job, result = Path(folder) / "job.npz", Path(folder) / "result.npz"
        np.savez(job, paths=np.array([str(p) for p in chosen.paths]), boxes=boxes)
        subprocess.run([environment_python(environment), "-c", _PROGRAM, job, result], check=True, stderr=sys.stderr)
        with np.load(result) as found:
            return found["points"][:, MESH_68], float(found["milliseconds"])


def mean_offset(predicted: NDArray, chosen: annotated.AnnotatedSet, rows: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Mean (68, 2) of prediction minus truth over some faces, in crop coordinates."""
    crops = chosen.crops()[rows]
    return np.nanmean(annotated.to_crop(predicted[rows], crops) - annotated.to_crop(chosen.points[rows], crops), 0)


def without_offset(predicted: NDArray, chosen: annotated.AnnotatedSet, offset: NDArray) -> NDArray[np.float64]:
    """Predictions (n, 68, 2) with an offset in crop coordinates, (68, 2) or (n, 68, 2), taken off."""
    crops = chosen.crops()
    return apply_affine(crops, annotated.to_crop(predicted, crops) - offset)


def rows_for(name: str, weights: str, environment: Path) -> list[dict[str, Any]]:
    """The table's four rows of one set."""
    folder = source_data(f"real_dev/{name}")
    chosen, guide = annotated.load_annotated(folder), annotated.load_annotated(source_data("real_dev/lfpw"))
    mesh, milliseconds = run_mediapipe(chosen, environment)
    if name == "lfpw":
        fold = np.arange(len(mesh)) % 2
        each = np.stack([mean_offset(mesh, chosen, fold != part) for part in (0, 1)])
        offset = each[fold]
    else:
        offset = mean_offset(run_mediapipe(guide, environment)[0], guide, np.ones(len(guide.paths), bool))
    rows = []
    for title, points in (("MediaPipe", mesh), ("MediaPipe, offsets removed", without_offset(mesh, chosen, offset))):
        errors = annotated.normalised_errors(points, chosen.points, chosen.ocular)
        missed = int(np.isnan(points[:, 0, 0]).sum())
        figures = annotated.summary(errors, chosen)
        rows.append({"set": name, "detector": title, "missed": missed, **figures, "ms": milliseconds})
    for title, calibrate in (("FaceQuery", False), ("FaceQuery, calibrated", True)):
        figures = evaluate_folder(folder, weights, "points", None, calibrate)
        rows.append({**figures, "detector": title, "ms": figures["ms_per_face"]})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", default="landmarks", help="a weights file, or the name of weights that ship")
    parser.add_argument("--environment", type=Path, default=DEFAULT_ENVIRONMENT, help="where MediaPipe is installed")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "peers.md")
    arguments = parser.parse_args()
    lines = ["| set | detector | missed | " + " | ".join(COLUMNS) + " | ms |", "|---" * (len(COLUMNS) + 4) + "|"]
    try:
        for name in ("lfpw", "afw"):
            for row in rows_for(name, arguments.weights, arguments.environment):
                values = [f"{row[column]:.2f}" for column in COLUMNS]
                cells = [row["set"], row["detector"], str(row["missed"]), *values, f"{row['ms']:.0f}"]
                lines.append("| " + " | ".join(cells) + " |")
    except UserError as error:
        raise SystemExit(str(error)) from None
    text = "\n".join(lines)
    print(text)
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(f"# Peers on annotated photographs\n\n{(__doc__ or '').strip()}\n\n{text}\n")


if __name__ == "__main__":
    main()
