"""All pictures of the manual that depend on weights: python -m tools.manual.pictures [--job JOB].

Tracks the sample shot (or takes a finished job of it, as `facequery demo` leaves one), and draws docs/sample.jpg,
docs/images/preview.webp, docs/images/decal.jpg, docs/images/mattes.jpg, docs/images/detector.svg and, where the source
data of training is there, docs/images/failures.jpg. tools.manual.blender_pictures makes those of Blender.
"""

import argparse
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from facequery.assets import asset
from facequery.detection.detector import Detector
from facequery.detection.tracks import Tracks
from facequery.errors import UserError
from facequery.fitting.results import ShotFit
from facequery.models.weights import load_weights
from facequery.pipeline.demo import run_demo
from facequery.pipeline.job import load_request
from facequery.pipeline.overlay import caption
from facequery.pipeline.preview import Overlay, Painter
from facequery.pipeline.project import ProjectRequest, run_project
from facequery.pipeline.views import open_shots
from facequery.shots.shot import open_shot
from numpy.typing import NDArray

from tools.manual import diagram, failures, mattes
from tools.manual.source import ROOT

DOCS: Final = ROOT / "docs"
IMAGES: Final = DOCS / "images"
SHOWN: Final = 1022  # the frame of docs/sample.jpg
DECAL: Final = ProjectRequest(
    str(IMAGES / "tattoo.png"), (430.0, 312.0), 1001, 64.0, 8.0, refine=True, name="manual", overwrite=True
)
WINDOW: Final = (slice(44, 444), slice(290, 670))  # rows and columns of the plate round the face
_PANELS: Final = ("points", "face", "bones")
_STEP, _MILLISECONDS = 2, 83  # every second frame, at the shot's speed
_WIDTH: Final = 240  # of a panel of the preview


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--job", type=Path, help="a finished job of the sample shot (default: track it now)")
    options = parser.parse_args()
    job = options.job or run_demo(None)[0].folder
    shot = open_shots(load_request(job))[0]
    fit, tracks = ShotFit.load(job), Tracks.load(job)
    painter = Painter(Overlay(tracks, fit.cameras[0], fit.face, fit.skull, fit.jaw))
    index = shot.index_of(SHOWN)
    _write(DOCS / "sample.jpg", painter.picture(shot.display(index), index))

    run_project(load_request(job), job, DECAL, None, "cpu")
    composite = open_shot(str(job / DECAL.name / "comp" / "comp.####.png"), colorspace="srgb")
    decal = [composite.display(i) for i in range(len(composite))]
    _write(IMAGES / "decal.jpg", np.hstack([decal[i][WINDOW] for i in (0, len(decal) // 2, len(decal) - 1)]))
    _write_preview(
        IMAGES / "preview.webp",
        [preview_frame(painter, shot.display(i), decal[i], i) for i in range(0, len(decal), _STEP)],
    )

    _write(IMAGES / "mattes.jpg", mattes.picture(load_request(job), job, DECAL.frame or SHOWN, WINDOW))

    card = load_weights(asset("weights/landmarks.safetensors"))[1]
    (IMAGES / "detector.svg").write_text(diagram.detector(card), encoding="utf-8")
    try:
        _write(IMAGES / "failures.jpg", failures.sheet(Detector.from_pretrained()))
    except UserError as error:
        print(f"Left as it is, {IMAGES / 'failures.jpg'}: {error}")


def preview_frame(painter: Painter, plate: NDArray, decal: NDArray, index: int) -> NDArray[np.uint8]:
    """Points, face, bones and decal of one frame, side by side, RGB."""
    base = cv2.resize(plate, painter.size, interpolation=cv2.INTER_AREA)
    panels = [painter.panel(name, base.copy(), index) for name in _PANELS]
    parts = []
    for panel, title in zip([*panels, decal], ("any point", "face", "skull and jaw", "a tattoo"), strict=True):
        part = panel[WINDOW]
        size = (_WIDTH, round(_WIDTH * part.shape[0] / part.shape[1]))
        part = cv2.resize(part, size, interpolation=cv2.INTER_AREA).astype(np.uint8)
        caption(part, title)
        parts.append(part)
    joined: NDArray[np.uint8] = np.hstack(parts).astype(np.uint8)
    return joined


def _write(path: Path, picture: NDArray) -> None:
    cv2.imwrite(str(path), picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 86])
    print(path)


def _write_preview(path: Path, frames: list[NDArray[np.uint8]]) -> None:
    animation = cv2.Animation()
    animation.frames = [frame[..., ::-1].copy() for frame in frames]
    animation.durations = [_MILLISECONDS] * len(frames)
    cv2.imwriteanimation(str(path), animation, [cv2.IMWRITE_WEBP_QUALITY, 70])
    print(path, f"{path.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
