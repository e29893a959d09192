"""A shot with its face found, ready for whatever is done to it frame by frame."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from facequery_protocol import job as documents
from numpy.typing import NDArray

from facequery.apps.dense import DenseFace, DenseHead
from facequery.detection.detector import Detector
from facequery.detection.devices import pick_device
from facequery.detection.faces import FacePath
from facequery.detection.finder import FaceFinder
from facequery.errors import UserError
from facequery.geometry.crops import sample_crop
from facequery.pipeline.find import Region, find_face
from facequery.pipeline.job import JobRequest, load_request, open_job
from facequery.pipeline.run import Progress, open_shots
from facequery.shots.shot import Shot


@dataclass(frozen=True, eq=False)
class FaceShot:
    """A shot (of one view), the path of its face in plate pixels, the head that reads it, and the job's folder."""

    shot: Shot
    path: FacePath
    head: DenseHead
    folder: Path

    def descriptors(self, indices: list[int]):  # type: ignore[no-untyped-def]
        """Descriptors (P, d) of frames by array index. Raises UserError where the face was not found."""
        for index in indices:
            if not self.path.present[index]:
                number = int(self.shot.frame_numbers[index])
                raise UserError(f"The face was not found in frame {number}.", "Mark it with --region.", "FQ603")
        detector = self.head.detector
        crops = [sample_crop(self.shot.display(i), self.path.crops[i], detector.size) for i in indices]
        return detector.encode(np.stack(crops))

    def faces(self, start: int = 0, stop: int | None = None) -> Iterator[tuple[int, NDArray[np.uint8], DenseFace]]:
        """(index, display picture, dense face) of the frames in which the face is there."""
        detector = self.head.detector
        for index, picture in self.shot.frames(start, stop):
            if self.path.present[index]:
                crop = self.path.crops[index]
                descriptor = detector.encode(sample_crop(picture, crop, detector.size)[None])
                yield index, picture, self.head.faces(descriptor, crop[None])[0]


def request_for(target: str, out: Path | None, **settings: object) -> tuple[JobRequest, Path]:
    """The job of `target`: a job's folder as it is, or a shot, with `settings` of a JobRequest, whose folder is `out`.

    Raises UserError for a shot without `out`, or a job with another one.
    """
    folder = Path(target)
    if (folder / documents.FILE).is_file():
        if out is not None and out != folder:
            raise UserError(f'"{target}" is a job; its results go into it.', "Leave --out away.", "FQ604")
        return load_request(folder), folder
    if out is None:
        raise UserError("There is no folder for the results.", "Name one with --out.", "FQ605")
    if (out / documents.FILE).is_file():
        there = load_request(out)
        given = {name: value for name, value in settings.items() if value not in (None, (), 0.0, False)}
        same = there.shots == (target,) or [Path(p).resolve() for p in there.shots] == [Path(target).resolve()]
        if same and all(getattr(there, name) == value for name, value in given.items() if name not in ("layouts",)):
            return there, out
    return JobRequest(shots=(target,), **settings), out  # type: ignore[arg-type]


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
