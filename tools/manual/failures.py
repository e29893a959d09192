"""The picture of known failures: python -m tools.manual.failures [--weights NAME] [--out docs/images/failures.jpg].

Held-out renders with exact truth, the first people that are drawn of each kind: not chosen by their error. Needs the
source data of training (docs/training.md).
"""

import argparse
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from facequery.detection.detector import Detector
from facequery.evaluation.errors import box_size
from facequery.evaluation.heldout import HeldOut, Rendered, groups, look
from numpy.typing import NDArray

from tools.manual.source import ROOT

KINDS: Final = ("yaw 60 to 90", "beard", "hand or thing in front", "dark glasses", "open mouth")
COLUMNS, SIDE, MARGIN = 6, 200, 26
LARGE: Final = 0.05  # an error that is drawn red, as a share of the box's side
_TRUE, _NEAR, _FAR = (90, 220, 90), (255, 210, 60), (255, 70, 60)


def sheet(detector: Detector, columns: int = COLUMNS, side: int = SIDE) -> NDArray[np.uint8]:
    """One row of `columns` faces for each kind, RGB: landmarks, and how far they are from where they belong."""
    held_out = HeldOut(detector.size)
    wanted = {group.name: group for group in groups()}
    rows = []
    for kind in KINDS:
        rendered = held_out.render(wanted[kind], columns)
        xy, _ = look(detector, rendered)
        title = np.full((MARGIN, columns * side, 3), 255, np.uint8)
        words = f"{kind}: {_error(xy, rendered):.1f} % of the box's side"
        cv2.putText(title, words, (6, 18), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (30, 40, 50), 1, cv2.LINE_AA)
        faces = [_face(rendered.images[i], rendered.truth[i], xy[i], side) for i in range(columns)]
        rows += [title, np.hstack(faces)]
    return np.vstack(rows)


def _error(xy: NDArray, rendered: Rendered) -> float:
    error = np.linalg.norm(xy - rendered.truth, axis=-1)
    return 100 * float((error / box_size(rendered.truth)[:, None]).mean())


def _face(image: NDArray, truth: NDArray, xy: NDArray, side: int) -> NDArray[np.uint8]:
    """A crop with lines from where points belong to where they were put."""
    picture = np.ascontiguousarray(cv2.resize(image, (side, side), interpolation=cv2.INTER_CUBIC))
    far = np.linalg.norm(xy - truth, axis=-1) > LARGE * box_size(truth[None])[0]
    places = [np.round((points + 1) * side / 2 * 16).astype(int) for points in (truth, xy)]
    for true, found, large in zip(*places, far, strict=True):
        colour = _FAR if large else _NEAR
        cv2.line(picture, true.tolist(), found.tolist(), colour, 1, cv2.LINE_AA, 4)
        cv2.circle(picture, found.tolist(), 24, colour, -1, cv2.LINE_AA, 4)
        cv2.circle(picture, true.tolist(), 20, _TRUE, -1, cv2.LINE_AA, 4)
    return picture.astype(np.uint8)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--weights", default="landmarks", help="name or file (default: landmarks)")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "images" / "failures.jpg")
    options = parser.parse_args()
    picture = sheet(Detector.from_pretrained(options.weights))
    cv2.imwrite(str(options.out), picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 85])
    print(options.out)


if __name__ == "__main__":
    main()
