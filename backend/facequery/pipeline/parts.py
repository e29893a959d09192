"""A job in pieces, for render farms: searching and tracking by chunks of frames, and what has to be done in one.

    find i/n      looks for faces in every eighth frame of its chunks
    link          joins what was found to one person's path (and searches where the face moves quickly)
    track i/n     tracks its chunks; without a link before it, it does that itself
    finish        joins the tracks, smooths, fits, previews: what `facequery run` does with all chunks there

Pieces may run at the same time on any machines that see the folder; what is done is not done again.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from facequery_protocol.frames import describe

from facequery.detection.detector import Detector
from facequery.detection.devices import pick_device
from facequery.detection.finder import FaceFinder
from facequery.detection.tracks import CHUNK
from facequery.errors import UserError
from facequery.pipeline.find import Region, find_face, search_chunks
from facequery.pipeline.job import JobRequest, load_request
from facequery.pipeline.lock import job_lock
from facequery.pipeline.progress import Progress, of_step
from facequery.pipeline.run import JobResult, run_job, view_writers
from facequery.pipeline.track import track_shot
from facequery.pipeline.views import open_shots, view_folder
from facequery.shots.shot import Shot

STEPS = ("find", "track")


def parse_chunk(text: str) -> tuple[int, int]:
    """(i, n) from "2/8": the second of eight pieces. Raises UserError."""
    first, slash, second = text.partition("/")
    try:
        piece, count = int(first), int(second)
    except ValueError:
        piece, count = 0, 0
    if not slash or not 1 <= piece <= count:
        raise UserError(f'"{text}" is no piece of a job.', "Write --chunk 2/8 for the second of eight.", "FQ374")
    return piece, count


def run_part(
    folder: Path, step: str, piece: int, count: int, progress: Progress | None = None, device: str = "auto"
) -> int:
    """Do piece `piece` of `count` (from 1) of a step, "find" or "track"; returns how many frames that were.

    Pieces that have no chunk of frames, because there are more of them than chunks, do nothing. Raises UserError.
    """
    if step not in STEPS:
        raise UserError(f'A job has no step "{step}".', f"Choose from {', '.join(STEPS)}.", "FQ374")
    job = _Job(load_request(folder), folder, device, progress)
    try:
        with job_lock(folder, shared=True):
            chunks = own_chunks(job.chunks, piece, count)
            if not chunks:
                return 0
            if step == "find":
                job.find(chunks)
            else:
                job.track(chunks)
            return sum(min(CHUNK, job.frames - chunk * CHUNK) for chunk in chunks)
    finally:
        job.close()


def link(folder: Path, progress: Progress | None = None, device: str = "auto") -> None:
    """Make the person's path through the shot out of what was found. Raises UserError when no face was."""
    job = _Job(load_request(folder), folder, device, progress)
    try:
        with job_lock(folder, shared=True):
            job.track([])
    finally:
        job.close()


def merge(folder: Path, progress: Progress | None = None, device: str = "auto") -> JobResult:
    """Do what is left when all pieces are tracked. Raises UserError naming the frames that are not."""
    request = load_request(folder)
    job = _Job(request, folder, device, progress)
    try:
        missing = job.missing()
    finally:
        job.close()
    if missing:
        raise UserError(
            f'"{folder}" is not tracked yet in the frames {missing}.', "Run the pieces that are missing.", "FQ375"
        )
    return run_job(request, folder, progress, device)


def chunk_count(folder: Path) -> int:
    """How many chunks a job's shot has: the most pieces that are of use. Raises UserError."""
    job = _Job(load_request(folder), folder, "cpu", None)
    try:
        return len(job.chunks)
    finally:
        job.close()


def own_chunks(chunks: list[int], piece: int, count: int) -> list[int]:
    """The chunks of piece `piece` of `count`: runs as long as each other, give or take one."""
    total = len(chunks)
    return chunks[(piece - 1) * total // count : piece * total // count]


@dataclass(frozen=True, eq=False)
class _Job:
    """A job's shots, opened, and its networks, loaded when they are needed."""

    request: JobRequest
    folder: Path
    device: str
    progress: Progress | None

    @cached_property
    def shots(self) -> list[Shot]:
        return open_shots(self.request)

    @cached_property
    def detector(self) -> Detector:
        return Detector.from_pretrained(self.request.weights, self.device, self.request.mirror)

    @cached_property
    def finder(self) -> FaceFinder:
        return FaceFinder.from_pretrained(device=str(pick_device(self.device)))

    @property
    def frames(self) -> int:
        return len(self.shots[0])

    @property
    def chunks(self) -> list[int]:
        return list(range(-(-self.frames // CHUNK)))

    @property
    def views(self) -> list[tuple[Shot, Path]]:
        count = len(self.shots)
        return [(shot, view_folder(self.folder, index, count)) for index, shot in enumerate(self.shots)]

    def find(self, chunks: list[int]) -> None:
        """Search the key frames of some chunks in every view."""
        regions = [Region.parse(text) for text in self.request.regions]
        for shot, view in self.views:
            search_chunks(shot, self.finder, self.detector, view, chunks, regions, of_step(self.progress, "Find face"))

    def track(self, chunks: list[int]) -> None:
        """Make the path if it is not there, and track some chunks, in every view."""
        regions = [Region.parse(text) for text in self.request.regions]
        for shot, view in self.views:
            found = of_step(self.progress, "Find face")
            path = find_face(shot, self.finder, self.detector, view, self.request.face, regions, found)
            writers = view_writers(self.request, shot, view)
            track_shot(shot, path, self.detector, writers, of_step(self.progress, "Track"), chunks)

    def missing(self) -> str:
        """The frames that no piece has tracked, in short; empty when there are none."""
        numbers: set[int] = set()
        for shot, view in self.views:
            for writer in view_writers(self.request, shot, view):
                for index, (start, stop) in enumerate(writer.chunks):
                    if not writer.has(index):
                        numbers.update(shot.frame_numbers[start:stop].tolist())
        return describe(sorted(numbers))

    def close(self) -> None:
        if "shots" in self.__dict__:
            for shot in self.shots:
                shot.close()
