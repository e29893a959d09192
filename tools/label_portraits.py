"""Label folders of portraits with MediaPipe's 478-point face mesh: pseudo-labels for training.

    python tools/label_portraits.py FOLDER... --out portraits.npz [--environment DIR] [--sheet sheet.png]

MediaPipe (0.10.21, Apache-2.0; its wheel holds the model) is installed into a virtual environment of its own, because
its requirements clash with ours, and is needed by nothing but this command.

Every picture is labelled in several views (as it is, mirrored, turned, at other scales). The mean over the views is
the label, their spread its uncertainty: a face is kept when all views find it, when they agree, and when it is large
enough. The mirrored numbering of the points is derived from the symmetry of the mean shape of all faces.

The result is an npz:
  root      ()          folder that all images are relative to
  images    (n,)        file names
  points    (n,478,2)   float32 pixels; x right, y down, the centre of the top-left pixel is (0.5, 0.5)
  sigma     (n,478)     float32 pixels: standard deviation over the views
  mirror    (478,)      int32 number of each point in a mirrored picture
  layout    ()          "mediapipe478"
"""

import argparse
import os
import subprocess
import sys
import venv
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from scipy.optimize import linear_sum_assignment

VERSION = "0.10.21"
DEFAULT_ENVIRONMENT = Path(__file__).resolve().parents[1] / ".cache" / f"mediapipe-{VERSION}"
EYES_AND_MOUTH = (468, 473, 61, 291)  # iris centres and mouth corners, the subject's right first


def environment_python(folder: Path) -> Path:
    """Interpreter of an environment that has MediaPipe; the environment is made at the first call."""
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    done = folder / "mediapipe-is-here"
    if not done.exists():
        print(f"Installing mediapipe {VERSION} into {folder} ...", file=sys.stderr)
        venv.create(folder, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", f"mediapipe=={VERSION}"], check=True)
        done.touch()
    return python


def pictures(folders: list[Path]) -> Iterator[Path]:
    for folder in folders:
        if not folder.is_dir():
            sys.exit(f"There is no folder {folder}. Name a folder of pictures.")
        found = sorted(p for p in folder.rglob("*") if p.suffix.lower() in {".jpg", ".jpeg", ".png", ".webp"})
        if not found:
            sys.exit(f"The folder {folder} holds no pictures (jpg, png, webp). Name a folder of pictures.")
        yield from found


def similarity(width: int, height: int, degrees: float, scale: float) -> np.ndarray:
    """(2, 3) matrix that turns and scales a picture about its centre, in continuous pixel coordinates."""
    angle = np.radians(degrees)
    linear = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    centre = np.array([width / 2, height / 2])
    return np.hstack([linear, (centre - linear @ centre)[:, None]])


def warp(image: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Apply a matrix in continuous pixel coordinates; OpenCV counts from pixel centres, hence the two half pixels."""
    shifted = matrix.copy()
    shifted[:, 2] += matrix[:, :2] @ [0.5, 0.5] - 0.5
    height, width = image.shape[:2]
    return cv2.warpAffine(image, shifted, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


VIEWS = ((0.0, 1.0, False), (0.0, 1.0, True), (8.0, 0.9, False), (-8.0, 0.9, True), (0.0, 0.8, False))


class Labeller:
    """MediaPipe's face mesh over several views of one picture."""

    def __init__(self) -> None:
        import mediapipe  # only in the environment that this file re-runs itself in

        self.mesh = mediapipe.solutions.face_mesh.FaceMesh(
            static_image_mode=True, max_num_faces=1, refine_landmarks=True, min_detection_confidence=0.5
        )

    def once(self, image: np.ndarray) -> np.ndarray | None:
        """(478, 2) pixels of the face in an RGB picture, or None."""
        found = self.mesh.process(image).multi_face_landmarks
        if not found:
            return None
        height, width = image.shape[:2]
        return np.array([(p.x * width, p.y * height) for p in found[0].landmark])

    def views(self, image: np.ndarray) -> list[tuple[np.ndarray, bool]] | None:
        """Points of every view carried back to the picture, still in the mirrored numbering for mirrored views."""
        height, width = image.shape[:2]
        result = []
        for degrees, scale, flip in VIEWS:
            matrix = similarity(width, height, degrees, scale)
            view = warp(image, matrix)
            points = self.once(np.ascontiguousarray(view[:, ::-1] if flip else view))
            if points is None:
                return None
            if flip:
                points[:, 0] = width - points[:, 0]
            result.append(((points - matrix[:, 2]) @ np.linalg.inv(matrix[:, :2]).T, flip))
        return result


def mirror_numbering(shapes: np.ndarray) -> np.ndarray:
    """Number of each point's mirror image, from the mean of upright shapes (n, N, 2).

    The mean face is mirrored about the vertical line through its eyes and mouth, and every point is paired with the
    point it falls on (the pairing of least total distance).
    """
    eyes = shapes[:, EYES_AND_MOUTH[:2]]
    across = eyes[:, 1] - eyes[:, 0]
    length = np.linalg.norm(across, axis=-1)[:, None, None]
    x_axis = across / length[:, :, 0]
    y_axis = np.stack([-x_axis[:, 1], x_axis[:, 0]], -1)
    centred = (shapes - eyes.mean(1, keepdims=True)) / length
    local = np.stack([np.einsum("nkc,nc->nk", centred, x_axis), np.einsum("nkc,nc->nk", centred, y_axis)], -1)
    mean = np.median(local, 0)
    centre = mean[list(EYES_AND_MOUTH), 0].mean()
    mirrored = mean * [-1, 1] + [2 * centre, 0]
    distance = np.linalg.norm(mirrored[:, None] - mean[None], axis=-1)
    return linear_sum_assignment(distance**2)[1].astype(np.int32)


def label(arguments: argparse.Namespace) -> None:
    labeller = Labeller()
    paths = list(pictures(arguments.folders))
    root = Path(os.path.commonpath([p.parent for p in paths]))
    names, views = [], []
    for i, path in enumerate(paths):
        image = cv2.imread(str(path))
        if image is None:
            print(f"{path} is no readable picture; left out.", file=sys.stderr)
            continue
        result = labeller.views(cv2.cvtColor(image, cv2.COLOR_BGR2RGB))
        if result is not None:
            names.append(path.relative_to(root).as_posix())
            views.append(result)
        if (i + 1) % 50 == 0:
            print(f"{i + 1} of {len(paths)} pictures, {len(names)} with a face in every view", file=sys.stderr)
    if len(names) < 20:
        sys.exit(f"Only {len(names)} faces were found; at least 20 are needed to derive the mirrored numbering.")
    mirror = mirror_numbering(np.stack([v[0][0] for v in views]))
    if not (mirror[mirror] == np.arange(len(mirror))).all():
        sys.exit("The mean face is not symmetric enough to pair the points. Add more, and more frontal, portraits.")
    stack = np.stack([np.stack([p[mirror] if flip else p for p, flip in v]) for v in views])  # (n, views, 478, 2)
    points = stack.mean(1)
    sigma = np.sqrt(stack.var(1, ddof=1).mean(-1))
    ocular = np.linalg.norm(points[:, EYES_AND_MOUTH[1]] - points[:, EYES_AND_MOUTH[0]], axis=-1)
    size = (points.max(1) - points.min(1)).max(-1)
    spread = np.sqrt((sigma**2).mean(1)) / size
    keep = (size >= arguments.min_size) & (spread <= arguments.max_spread)
    bias = (stack[keep, 0, :, 0] - stack[keep, 1, :, 0]).mean() / 2
    print(f"{keep.sum()} of {len(paths)} portraits kept; half the left-right difference of the views {bias:+.2f} px")
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    kept = [name for name, k in zip(names, keep, strict=True) if k]
    np.savez_compressed(
        arguments.out, root=str(root), images=np.array(kept), points=points[keep].astype(np.float32),
        sigma=sigma[keep].astype(np.float32), mirror=mirror, layout="mediapipe478",
    )  # fmt: skip
    print(
        f"Median spread {np.median(spread[keep]):.4f} of the face's size, median eye distance "
        f"{np.median(ocular[keep]):.0f} px. Written to {arguments.out}"
    )
    if arguments.sheet:
        draw_sheet(root, kept, points[keep], arguments.sheet)


def draw_sheet(root: Path, names: list[str], points: np.ndarray, out: Path, columns: int = 12) -> None:
    """A contact sheet of up to 96 portraits with their points."""
    tiles = []
    for i in np.linspace(0, len(names) - 1, min(96, len(names))).astype(int):
        image = cv2.imread(str(root / names[i]))
        low, high = points[i].min(0), points[i].max(0)
        centre, half = (low + high) / 2, (high - low).max() * 0.75
        scale = 160 / (2 * half)
        matrix = np.array([[scale, 0, 80 - scale * centre[0]], [0, scale, 80 - scale * centre[1]]])
        shifted = matrix.copy()
        shifted[:, 2] += matrix[:, :2] @ [0.5, 0.5] - 0.5
        tile = cv2.warpAffine(image, shifted, (160, 160), flags=cv2.INTER_AREA)
        for x, y in (points[i] @ matrix[:, :2].T + matrix[:, 2]) - 0.5:
            cv2.circle(tile, (round(x * 16), round(y * 16)), 12, (80, 255, 80), -1, cv2.LINE_AA, 4)
        tiles.append(tile)
    while len(tiles) % columns:
        tiles.append(np.zeros_like(tiles[0]))
    rows = [np.hstack(tiles[i : i + columns]) for i in range(0, len(tiles), columns)]
    cv2.imwrite(str(out), np.vstack(rows))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--out", type=Path, required=True, help="npz to write")
    parser.add_argument("--environment", type=Path, default=DEFAULT_ENVIRONMENT, help="where MediaPipe is installed")
    parser.add_argument("--sheet", type=Path, help="PNG to draw a contact sheet of the labels into")
    parser.add_argument("--min-size", type=float, default=64, help="smallest face kept, pixels of its longer side")
    parser.add_argument(
        "--max-spread", type=float, default=0.02, help="largest disagreement of the views kept, of size"
    )
    arguments = parser.parse_args()
    python = environment_python(arguments.environment)
    if Path(sys.executable).absolute() != python.absolute():
        sys.exit(subprocess.run([python, __file__, *sys.argv[1:]]).returncode)
    label(arguments)


if __name__ == "__main__":
    main()
