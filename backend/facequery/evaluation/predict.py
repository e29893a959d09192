"""A detector's landmarks of a whole set of pictures: in given crops, or found by the pipeline."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facequery.detection.anchors import Anchors
from facequery.detection.detector import Detector, tightened, to_pixels
from facequery.detection.faces import Face
from facequery.detection.finder import FaceFinder
from facequery.evaluation.annotated import AnnotatedSet
from facequery.evaluation.calibration import Placed, calibrated
from facequery.evaluation.canvas import FACELESS, canvases, faceless, nearest_face
from facequery.geometry.crops import crop_from_points, sample_crop
from facequery.head.layouts import load_layout
from facequery.head.model import HeadModel

_BATCH = 32


@dataclass(frozen=True)
class Prediction:
    """Landmarks of n pictures: `xy` (n, N, 2) pixels (NaN where the face was missed), `sigma` (n, N) pixels, the
    `truth` (n, N, 2) in the same pixels, and the milliseconds a face took."""

    xy: NDArray[np.float64]
    sigma: NDArray[np.float64]
    truth: NDArray[np.float64]
    milliseconds: float

    def columns(self, start: int, stop: int) -> "Prediction":
        """The landmarks [start, stop) alone, where several layouts were asked for in a row."""
        return Prediction(self.xy[:, start:stop], self.sigma[:, start:stop], self.truth, self.milliseconds)

    @property
    def missed(self) -> NDArray[np.bool_]:
        """(n,) whether the face was not found."""
        return np.isnan(self.xy[:, 0, 0])


class FindFaces:
    """Pictures to faces as the pipeline has them: the face finder's, their four points placed by the landmarks."""

    def __init__(self, detector: Detector, finder: FaceFinder) -> None:
        self.finder = finder
        self.anchors = Anchors(detector, HeadModel.load())

    def __call__(self, picture: NDArray[np.uint8]) -> list[Face]:
        """Faces of one picture (H, W, 3), the surest first."""
        return self.anchors.look_again([picture], [self.finder.find(picture)])[0]


def predict_points(detector: Detector, chosen: AnnotatedSet, asked: Sequence[Placed]) -> Prediction:
    """Landmarks of the points that are `asked`, in crops from the annotation's boxes, as protocols have it. Every
    picture of the set is asked once."""
    crops = chosen.crops()
    images = chosen.images(crops, detector.size)
    xy = np.empty((len(images), len(asked[0].positions), 2))
    sigma = np.empty(xy.shape[:2])
    begin = time.perf_counter()
    for some in asked:
        for start in range(0, len(some.rows), _BATCH):
            part = some.rows[start : start + _BATCH]
            inside, spread = detector.look(images[part], some.positions, some.slide)
            xy[part], sigma[part] = to_pixels(inside, spread, crops[part])
    spent = 1000 * (time.perf_counter() - begin) / len(images)
    return Prediction(xy, sigma, chosen.points, spent)


def predict_auto(detector: Detector, find: FindFaces, chosen: AnnotatedSet, asked: Sequence[Placed]) -> Prediction:
    """Landmarks found on canvases (see `canvases`), in canvas pixels, of the points that are `asked`."""
    xy = np.full((len(chosen.paths), len(asked[0].positions), 2), np.nan)
    sigma = np.full(xy.shape[:2], np.nan)
    truth = np.empty_like(chosen.points)
    questions = {int(row): some for some in asked for row in some.rows}
    spent = 0.0
    for i, (canvas, points) in enumerate(canvases(chosen)):
        truth[i] = points
        begin = time.perf_counter()
        faces = find(canvas)
        which = nearest_face(np.array([face.points.mean(0) for face in faces]), points)
        if which is not None:
            crop = tightened(crop_from_points(faces[which].points))
            image = sample_crop(canvas, crop, detector.size)
            inside, spread = detector.look(image[None], questions[i].positions, questions[i].slide)
            xy[i], sigma[i] = to_pixels(inside[0], spread[0], crop)
        spent += time.perf_counter() - begin
    return Prediction(xy, sigma, truth, 1000 * spent / len(truth))


def plain_and_calibrated(detector: Detector, chosen: AnnotatedSet) -> list[Placed]:
    """To ask every picture of a set for both at once: the 68 points of ibug68, and the same optimised on the
    calibration set (see `calibrated`)."""
    layout = load_layout("ibug68")
    found = calibrated(detector.network, chosen, layout, detector.mirror)
    return [
        Placed(
            some.rows, np.concatenate([layout.positions, some.positions]),
            some.slide if layout.slide is None else layout.slide.beside(some.slide, len(layout)),
        )
        for some in found
    ]  # fmt: skip


def false_detections(find: FindFaces, count: int = FACELESS) -> float:
    """Faces found per 100 pictures without one."""
    return 100.0 * sum(len(find(picture)) for picture in faceless(count)) / count
