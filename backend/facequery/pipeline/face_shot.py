"""A shot with its face found, ready for whatever is done to it frame by frame."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from facequery_protocol import job as documents
from numpy.typing import NDArray
from torch import Tensor

from facequery.apps.dense import DenseFace, DenseHead
from facequery.detection.detector import Detector
from facequery.detection.devices import pick_device
from facequery.detection.faces import FacePath
from facequery.detection.finder import FaceFinder
from facequery.errors import UserError
from facequery.geometry.crops import sample_crop
from facequery.pipeline.find import Region, find_face
from facequery.pipeline.job import JobRequest, open_job
from facequery.pipeline.run import Progress, open_shots
from facequery.shots.shot import Shot


@dataclass(frozen=True, eq=False)
class FaceShot:
    """A shot (of one view), the path of its face in plate pixels, the head that reads it, and the job's folder."""

    shot: Shot
    path: FacePath
    head: DenseHead
    folder: Path

    def descriptors(self, indices: list[int]) -> Tensor:
        """Descriptors (P, d) of frames by array index. Raises UserError where the face was not found."""
        for index in indices:
            if not self.path.present[index]:
                number = int(self.shot.frame_numbers[index])
                raise UserError(f"The face was not found in frame {number}.", "Mark it with --region.", "FQ603")
        detector = self.head.detector
        crops = [sample_crop(self.shot.display(i), self.path.crops[i], detector.size) for i in indices]
        return detector.encode(np.stack(crops))

    def source(self, refined: bool = False, fit: bool = False, progress: Progress | None = None) -> "FaceSource":
        """Dense faces of the shot, frame by frame.

        `refined`: moved by the refinement at native resolution, which is made if the job's folder does not have it;
        `fit`: the fitted mesh in the place of the dense landmarks. Raises UserError when there is no fit.
        """
        return FaceSource(self, None, None)


@dataclass(frozen=True, eq=False)
class FaceSource:
    """Where dense faces come from: the network, moved by a refinement if there is one, or a fit."""

    seen: FaceShot
    refinement: None
    fit: None

    def face(self, index: int) -> DenseFace | None:
        """The dense face of one frame by array index, None where it is not there."""
        return self._made(index, self.seen.shot.display(index))

    def faces(self) -> Iterator[tuple[int, DenseFace | None]]:
        """(index, dense face) of every frame, in order."""
        for index, picture in self.seen.shot.frames():
            yield index, self._made(index, picture)

    def _made(self, index: int, picture: NDArray[np.uint8]) -> DenseFace | None:
        path, head = self.seen.path, self.seen.head
        if not path.present[index]:
            return None
        crop = path.crops[index]
        descriptor = head.detector.encode(sample_crop(picture, crop, head.detector.size)[None])
        return head.faces(descriptor, crop[None])[0]


def folder_of(target: str) -> Path | None:
    """The job's folder that `target` is, or None."""
    return Path(target) if (Path(target) / documents.FILE).is_file() else None


def load_face_shot(
    request: JobRequest, folder: Path, progress: Progress | None = None, device: str = "auto", view: int = 0
) -> FaceShot:
    """Open the shot of a request and find its face, or read where it was found before, in the job's folder.

    Raises UserError on bad input, and when the folder holds another job.
    """
    shots = open_shots(request)
    detector = Detector.from_pretrained(request.weights, device)
    open_job(folder, request)
    own = folder if len(shots) == 1 else folder / f"view{view + 1}"

    def report(done: int, total: int) -> None:
        if progress:
            progress("Find face", done, total)

    finder = FaceFinder.from_pretrained(device=str(pick_device(device)))
    regions = [Region.parse(text) for text in request.regions]
    path = find_face(shots[view], finder, detector, own, request.face, regions, report)
    return FaceShot(shots[view], path, DenseHead(detector), folder)
