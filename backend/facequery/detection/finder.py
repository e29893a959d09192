"""Faces in whole pictures: a heat-map network over a pyramid of sizes, and a second look at what is small or unsure."""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from facequery.detection.devices import bfloat16_is_faster, reduced_precision
from facequery.detection.faces import Face
from facequery.detection.prepared import prepared
from facequery.geometry.crops import apply_affine, crop_from_similarity, crop_parameters, sample_crop
from facequery.models.finder import FinderNet, FoundFaces, face_sizes
from facequery.models.landmarks import images_to_input
from facequery.models.weights import load_finder_net, weights_version
from facequery.stages import stage

_CANDIDATE = 0.30  # score from which a face is looked at again
_PRESENT = 0.35  # score from which it may be a face: who looks again with the landmarks decides (`Anchors`)
_SEEN = 0.45  # score from which no small faces are looked for besides
_SURE = 0.75  # score, and
_LARGE = 18.0  # size in pixels of the network's input, from which no second look is needed
_ZOOM_SIDE, _ZOOM_HALF = 256, 3.0  # the second look: pixels, and half its side in face sizes
_TURN = np.radians(50.0)  # how far a face that the second look does not see is turned for a third and a fourth
DOUBTFUL = 0.30  # the score of a face that only those see: the landmarks must be very sure of it
_MULTIPLE = 32  # of which the network's input sides are multiples
_APART = 0.9  # centres nearer than this, in sizes of the larger, are the same face


class FaceFinder:
    """Finds faces from about 4 % of the picture's longer side to more than all of it.

    for face in FaceFinder.from_pretrained().find(picture): print(face.score, face.points)
    """

    def __init__(self, network: FinderNet, device: torch.device | str = "cpu") -> None:
        self.device = torch.device(device)
        self.network = network.eval().to(self.device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.card: dict[str, Any] = {}
        self.half = bfloat16_is_faster(self.device)
        self.ready = prepared(self.network, self.half) if self.device.type == "cpu" else self.network

    @classmethod
    def from_pretrained(cls, name: str = "finder", device: str = "cpu") -> "FaceFinder":
        """The finder of a weights file or a shipped name. A file is read once a process, until it changes. Raises
        UserError when there is none."""
        return _loaded(*weights_version(name), device)

    def find(self, image: NDArray[np.uint8]) -> list[Face]:
        """Faces of one picture (H, W, 3), uint8 RGB with square pixels, the surest first; points in its pixels."""
        return self.find_batch([image])[0]

    def find_batch(self, images: Sequence[NDArray[np.uint8]]) -> list[list[Face]]:
        """Faces of several pictures of one size; a list for each."""
        with stage("find faces"):
            return self._find(images)

    def _find(self, images: Sequence[NDArray[np.uint8]]) -> list[list[Face]]:
        side = self.network.config.input_side
        # The usual size, and half of it for faces that fill the picture.
        found = [
            _merge(a, b) for a, b in zip(self._at_size(images, side), self._at_size(images, side // 2), strict=True)
        ]
        # Small faces in large pictures: only where nothing was found, for it costs four times as much.
        empty = [i for i, faces in enumerate(found) if not (faces[1] >= _SEEN).any()]
        longest = max(images[0].shape[:2]) if len(images) else 0
        if empty and longest > 1.25 * side:
            again = self._at_size([images[i] for i in empty], min(2 * side, longest))
            for i, more in zip(empty, again, strict=True):
                found[i] = _merge(found[i], more)
        return self._look_again(images, found)

    @torch.inference_mode()
    def _run(self, pictures: NDArray, threshold: float) -> list[FoundFaces]:
        """The network over (B, H, W, 3) with sides that are multiples of 32."""
        inputs = images_to_input(torch.from_numpy(pictures).to(self.device))
        with reduced_precision(self.device, self.half):
            outputs = self.ready(inputs.contiguous(memory_format=torch.channels_last))
        return FinderNet.decode(outputs, threshold)

    def _at_size(self, images: Sequence[NDArray[np.uint8]], side: int) -> list[tuple[NDArray, NDArray, NDArray]]:
        """Candidates with the longer side brought to `side`: points (k, 4, 2) in image pixels, scores (k,), and the
        faces' sizes (k,) in pixels of the network's input."""
        height, width = images[0].shape[:2]
        scale = side / max(height, width)
        w, h = max(1, round(width * scale)), max(1, round(height * scale))
        right, below = -w % _MULTIPLE, -h % _MULTIPLE
        way = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        batch = np.stack(
            [
                cv2.copyMakeBorder(cv2.resize(i, (w, h), interpolation=way), 0, below, 0, right, cv2.BORDER_REPLICATE)
                for i in images
            ]
        )
        back = np.array([width / w, height / h])
        return [(f.points * back, f.scores, face_sizes(f.points)[1]) for f in self._run(batch, _CANDIDATE)]

    def _look_again(
        self, images: Sequence[NDArray[np.uint8]], found: list[tuple[NDArray, NDArray, NDArray]]
    ) -> list[list[Face]]:
        """Zoom, upright, on faces that are small or unsure: better points, and a second opinion on their presence. What
        is not seen again may be a face whose roll was wrong: it is turned to either side before it is given up."""
        jobs: list[tuple[int, int, NDArray]] = []
        for i, (points, scores, sizes) in enumerate(found):
            for k in range(len(points)):
                if scores[k] < _SURE or sizes[k] < _LARGE:
                    centre, size = face_sizes(points[k])
                    eyes = points[k][1] - points[k][0]
                    jobs.append((i, k, crop_from_similarity(centre, _ZOOM_HALF * size, np.arctan2(eyes[1], eyes[0]))))
        turned: list[tuple[int, int, NDArray]] = []
        for (i, k, crop), second in zip(jobs, self._zoom(images, jobs), strict=True):
            points, scores, _ = found[i]
            scores[k] = 0.5 * (scores[k] + (second[1] if second else 0.0))
            if second:
                points[k] = second[0]
            elif scores[k] < _PRESENT:
                turned += [(i, k, _turned(crop, turn)) for turn in (_TURN, -_TURN)]
        best: dict[tuple[int, int], float] = {}
        for (i, k, _), second in zip(turned, self._zoom(images, turned), strict=True):
            if second and second[1] > best.get((i, k), _SEEN):
                best[i, k] = second[1]
                points, scores, _ = found[i]
                points[k], scores[k] = second[0], DOUBTFUL
        result = []
        for i, (points, scores, _) in enumerate(found):
            order = [k for k in np.argsort(-scores, kind="stable") if scores[k] >= _PRESENT or (i, k) in best]
            result.append([_face(points[k], DOUBTFUL if (i, k) in best else float(scores[k])) for k in order])
        return result

    def _zoom(
        self, images: Sequence[NDArray[np.uint8]], jobs: list[tuple[int, int, NDArray]]
    ) -> list[tuple[NDArray, float] | None]:
        """What is seen in the middle of crops (picture, face, crop): points in image pixels and score, or None."""
        seen: list[tuple[NDArray, float] | None] = []
        for start in range(0, len(jobs), 16):
            part = jobs[start : start + 16]
            zoomed = self._run(np.stack([sample_crop(images[i], crop, _ZOOM_SIDE) for i, _, crop in part]), _CANDIDATE)
            seen += [_nearest(own, crop) for (_, _, crop), own in zip(part, zoomed, strict=True)]
        return seen


def _turned(crop: NDArray, turn: float) -> NDArray[np.float64]:
    """A crop turned by `turn` radians about its middle."""
    centre, half, roll = crop_parameters(crop)
    return crop_from_similarity(centre, half, roll + turn)


def _nearest(seen: FoundFaces, crop: NDArray) -> tuple[NDArray, float] | None:
    """The face in the middle of a zoomed crop: points in image pixels and score; None when there is none."""
    middle = _ZOOM_SIDE / 2
    reach = 0.8 * middle / _ZOOM_HALF
    for points, score in zip(seen.points, seen.scores, strict=True):
        if np.linalg.norm(face_sizes(points)[0] - middle) < reach:
            return apply_affine(crop, points * (2 / _ZOOM_SIDE) - 1), float(score)
    return None


def _merge(
    a: tuple[NDArray, NDArray, NDArray], b: tuple[NDArray, NDArray, NDArray]
) -> tuple[NDArray, NDArray, NDArray]:
    """Candidates of two sizes of a picture; of the same face the surer stays."""
    points, scores, sizes = (np.concatenate(pair) for pair in zip(a, b, strict=True))
    kept: list[int] = []
    centres, own = face_sizes(points)
    for i in np.argsort(-scores, kind="stable"):
        if all(np.linalg.norm(centres[i] - centres[k]) > _APART * max(own[i], own[k]) for k in kept):
            kept.append(int(i))
    return points[kept], scores[kept], sizes[kept]


def _face(points: NDArray, score: float) -> Face:
    centre, size = face_sizes(points)
    half = 1.45 * float(size)
    return Face(
        np.asarray(points, float), score, (float(centre[0]) - half, float(centre[1]) - half, 2 * half, 2 * half)
    )


@lru_cache(maxsize=2)
def _loaded(file: Path, changed: int, device: str) -> FaceFinder:
    """Weights as they were when their file was `changed`."""
    network, card = load_finder_net(file)
    finder = FaceFinder(network, device)
    finder.card = card
    return finder
