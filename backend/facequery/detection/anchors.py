"""The crop that the landmarks themselves ask for: a second look, after the face finder's first guess."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from facequery.detection.faces import Face, face_from_points
from facequery.detection.finder import DOUBTFUL
from facequery.geometry.crops import apply_affine, crop_from_points
from facequery.head.model import HeadModel
from facequery.shots.glance import Glance, Picture
from facequery.stages import stage

if TYPE_CHECKING:
    from facequery.detection.detector import Detector

_REFINE_SIGMA = 0.12  # crop units: above it the landmarks' own four points are not better than the finder's
_LOST_SIGMA = 0.30  # above it there is no face in the crop
# What the finder is less sure of is a face when the landmarks are sure: they are within 0.03 on faces, and hardly below
# 0.08 where there is none.
_UNSURE_SIGMA = 0.05  # and the scores of the finder up to which this holds, and from which _LOST_SIGMA does
_UNSURE, _SURE = 0.65, 0.85
_DOUBTFUL_SIGMA = 0.02  # the same of faces that the finder saw only when turned
_MOST_FACES = 6  # per picture


class Anchors:
    """The four points of the normalisation, from landmarks at the corners of eyes and mouth."""

    def __init__(self, detector: "Detector", model: HeadModel) -> None:
        self.detector = detector
        self.positions = model.rest[model.normalisation_vertices]  # right eye's two corners, left eye's, mouth's

    def refine(self, pictures: NDArray[np.uint8], crops: NDArray) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Crop pictures (B, S, S, 3) and their crops (B, 2, 3) -> four points (B, 4, 2), sigma (B,) in crop units."""
        inside, sigma = self.detector.decode(self.detector.encode(pictures), self.positions)
        corners = apply_affine(crops, inside)
        eyes = 0.5 * (corners[:, [0, 2]] + corners[:, [1, 3]])
        return np.concatenate([eyes, corners[:, 4:]], axis=1), sigma.mean(axis=1).astype(np.float64)

    def look_again(
        self,
        pictures: Sequence[NDArray | Glance],
        faces: Sequence[Sequence[Face]],
        keep: bool = False,
        expected: bool = False,
    ) -> list[list[Face]]:
        """Faces found in each picture (H, W, 3), or glance at one, with their four points placed by the landmarks;
        where those are unsure the finder's stay. What the landmarks do not take for a face is dropped, unless `keep`;
        of faces that the finder is less sure of they must be surer, unless the faces are `expected` there.
        """
        flat = [(i, face) for i, group in enumerate(faces) for face in list(group)[:_MOST_FACES]]
        result: list[list[Face]] = [[] for _ in pictures]
        if not flat:
            return result
        crops = np.stack([crop_from_points(face.points) for _, face in flat])
        glances = [Picture(p) if isinstance(p, np.ndarray) else p for p in pictures]
        with stage("crops"):
            cut = np.stack(
                [glances[i].crop(crop, self.detector.size) for (i, _), crop in zip(flat, crops, strict=True)]
            )
        points, sigma = self.refine(cut, crops)
        for (i, face), four, doubt in zip(flat, points, sigma, strict=True):
            limit = _LOST_SIGMA if expected else most_doubt(face.score)
            if doubt < _REFINE_SIGMA and (keep or doubt < limit):
                result[i].append(face_from_points(four, face.score))
            elif keep or doubt < limit:
                result[i].append(face)
        return result


def most_doubt(score: float) -> float:
    """The largest sigma of the landmarks, crop units, with which a face that the finder found with `score` is one."""
    if score <= DOUBTFUL:
        return _DOUBTFUL_SIGMA
    return float(np.interp(score, [_UNSURE, _SURE], [_UNSURE_SIGMA, _LOST_SIGMA]))
