"""A shot with its face found, ready for whatever is done to it frame by frame."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from facequery_protocol import job as documents
from numpy.typing import NDArray

from facequery.apps.dense import DenseFace, DenseHead, Sight
from facequery.apps.refine import Refinement
from facequery.apps.things_in_front import SAMPLES, SkinLook
from facequery.apps.visibility import not_covered
from facequery.detection.detector import Detector
from facequery.detection.devices import pick_device
from facequery.detection.faces import FacePath
from facequery.detection.finder import FaceFinder
from facequery.errors import UserError
from facequery.fitting.results import FaceFit
from facequery.geometry.cameras import Camera
from facequery.geometry.crops import sample_crop
from facequery.pipeline.cameras import camera_for
from facequery.pipeline.crew import one_core_for_blas
from facequery.pipeline.find import Region, find_face
from facequery.pipeline.fit import camera_file
from facequery.pipeline.job import JobRequest, open_job
from facequery.pipeline.lock import job_lock
from facequery.pipeline.progress import Progress, of_step
from facequery.pipeline.views import open_shots, view_folder
from facequery.shots.shot import Shot


@dataclass(frozen=True, eq=False)
class FaceShot:
    """A shot (of one view), the path of its face in plate pixels, the head that reads it, the job's folder, that in
    which the view keeps what it needs to go on, and who is told how far it is."""

    shot: Shot
    path: FacePath
    head: DenseHead
    folder: Path
    work: Path
    progress: Progress | None = None

    def sight(self, indices: Sequence[int]) -> Sight:
        """What the network sees in frames by array index. Raises UserError where the face was not found."""
        for index in indices:
            if not self.path.present[index]:
                number = int(self.shot.frame_numbers[index])
                raise UserError(f"The face was not found in frame {number}.", "Mark it with --region.", "FQ603")
        return self.seen_in(indices, [self.shot.display(i) for i in indices])

    def seen_in(self, indices: Sequence[int], pictures: Sequence[NDArray[np.uint8]]) -> Sight:
        """What the network sees in the given display pictures of frames with a face."""
        size = self.head.detector.size
        crops = [sample_crop(p, self.path.crops[i], size) for i, p in zip(indices, pictures, strict=True)]
        return self.head.see(np.stack(crops))

    @cached_property
    def skin_look(self) -> SkinLook | None:
        """What the face's skin looks like in the shot, by which things in front of it are found; None where the shot is
        too short to tell."""
        present = np.flatnonzero(self.path.present)
        chosen = present[:: max(-(-len(present) // SAMPLES), 1)]
        source = FaceSource(self)

        def frames() -> Iterator[tuple[NDArray[np.uint8], DenseFace]]:
            for done, index in enumerate(chosen, 1):
                picture = self.shot.display(int(index))
                face = source.read(int(index), picture)
                if self.progress:
                    self.progress("Skin", done, len(chosen))
                if face is not None:
                    yield picture, face

        return SkinLook.learn(self.head, frames())

    def source(
        self,
        refined: bool = False,
        fit: bool = False,
        progress: Progress | None = None,
        anchor: int | None = None,
        references: Sequence[int] = (),
    ) -> "FaceSource":
        """Dense faces of the shot, frame by frame.

        `refined`: moved by the refinement at native resolution, which is made if the job's folder does not have it, and
        sticks to what the frame `anchor` (array index) shows if that is given, and compares with the frames
        `references` (numbers; chosen if there are none); `fit`: the fitted mesh in the place of the dense landmarks.
        Raises UserError when there is no fit.
        """
        if fit:
            return FaceSource(self, fit=FittedFaces.load(self))
        if not refined:
            return FaceSource(self)
        from facequery.pipeline.refine import reference_frames, shot_refinement

        refinement = shot_refinement(self, anchor, reference_frames(self, references), progress)
        return FaceSource(self, refinement=refinement, spread=refinement.spread(self.head.positions))


@dataclass(frozen=True, eq=False)
class FaceSource:
    """Where dense faces come from: the network, moved by a refinement if there is one, or a fit."""

    seen: FaceShot
    refinement: Refinement | None = None
    spread: NDArray[np.float32] | None = None
    fit: "FittedFaces | None" = None

    def face(self, index: int) -> DenseFace | None:
        """The dense face of one frame by array index, None where it is not there."""
        return self.read(index, self.seen.shot.display(index))

    def faces(self) -> Iterator[tuple[int, DenseFace | None]]:
        """(index, dense face) of every frame, in order."""
        for index, picture in self.seen.shot.frames():
            yield index, self.read(index, picture)

    def read(self, index: int, picture: NDArray[np.uint8]) -> DenseFace | None:
        """The dense face of a frame whose display picture is at hand."""
        path, head = self.seen.path, self.seen.head
        if not path.present[index]:
            return None
        face = head.faces(self.seen.seen_in([index], [picture]), path.crops[index][None])[0]
        if self.fit is not None:
            return self.fit.laid_on(face, index)
        if self.refinement is not None and self.spread is not None:
            return replace(face, xy=face.xy + self.spread @ self.refinement.shift[index])
        return face


@dataclass(frozen=True, eq=False)
class FittedFaces:
    """The fitted mesh of a job in the first view's camera, and that camera."""

    face: FaceFit
    camera: Camera

    @staticmethod
    def load(seen: FaceShot) -> "FittedFaces":
        """The fit of a job. Raises UserError when it has none."""
        path = seen.folder / "face.npz"
        if not path.is_file():
            raise UserError(f'"{seen.folder}" holds no fitted face.', "Run `facequery track --fit face`.", "FQ608")
        return FittedFaces(FaceFit.load(path), camera_for(seen.shot, camera_file(seen.folder, 0)))

    def laid_on(self, face: DenseFace, index: int) -> DenseFace:
        """A dense face with the mesh's places and depths, and the sigma of the landmarks."""
        points = np.asarray(self.face.vertices[index], np.float64)
        here = self.camera.select([index]) if len(self.camera) > 1 else self.camera
        xy = here.project(points[None])[0]
        return replace(face, xy=xy.astype(np.float32), depth=points[:, 2].astype(np.float32))


@dataclass(frozen=True, eq=False)
class Cutter:
    """Cuts things in front of a face out of mattes and prints: roughly by sigma, which knows when most of a face is
    hidden, and by what the shot's skin looks like, if the shot is long enough to tell."""

    look: SkinLook | None

    @staticmethod
    def of(seen: FaceShot) -> "Cutter":
        """For a shot."""
        return Cutter(seen.skin_look)

    def vertices(self, face: DenseFace) -> NDArray[np.float32]:
        """(V,) how much to keep of a face's vertices."""
        return not_covered(face)

    def pixels(self, picture: NDArray[np.uint8], face: DenseFace) -> NDArray[np.float32]:
        """(H, W) how much to keep of a display picture's pixels."""
        return 1 - self.look.covered(picture, face) if self.look else np.ones(picture.shape[:2], np.float32)


def folder_of(target: str) -> Path | None:
    """The job's folder that `target` is, or None."""
    return Path(target) if (Path(target) / documents.FILE).is_file() else None


def load_face_shot(
    request: JobRequest, folder: Path, progress: Progress | None = None, device: str = "auto", view: int = 0
) -> FaceShot:
    """Open the shot of a request and find its face, or read where it was found before, in the job's folder.

    Raises UserError on bad input, when the folder holds another job, and when the face is still to be found while
    another process holds the job.
    """
    with _opened(request, folder, progress, device, view, hold=False) as seen:
        return seen


@contextmanager
def held_face_shot(
    request: JobRequest, folder: Path, progress: Progress | None = None, device: str = "auto"
) -> Iterator[FaceShot]:
    """`load_face_shot`, with the job held while the block runs, for what writes into its folder."""
    with _opened(request, folder, progress, device, 0, hold=True) as seen:
        yield seen


@contextmanager
def _opened(
    request: JobRequest, folder: Path, progress: Progress | None, device: str, view: int, hold: bool
) -> Iterator[FaceShot]:
    one_core_for_blas()
    # Everything that can be wrong with the input is looked at before the folder is made, and then held.
    shots = open_shots(request)
    detector = Detector.from_pretrained(request.weights, device, request.mirror)
    open_job(folder, request)
    own = view_folder(folder, view, len(shots))

    report = of_step(progress, "Find face")
    finder = FaceFinder.from_pretrained(device=str(pick_device(device)))
    regions = [Region.parse(text) for text in request.regions]
    with job_lock(folder) if hold or not (own / "faces.npz").is_file() else nullcontext():
        path = find_face(shots[view], finder, detector, own, request.face, regions, report)
        yield FaceShot(shots[view], path, DenseHead(detector), folder, own / "work", progress)
