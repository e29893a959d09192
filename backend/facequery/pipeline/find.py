"""First pass over a shot: faces in every frame, the wanted person's crop in every frame.

Every 32nd frame is searched, and the landmarks follow its faces to every eighth. Where the wanted one moves they look
for it half way between, and so on, about where it is expected. Where they lose it the picture is searched. What was
found is kept in the job's `work` folder, chunk by chunk; what follows from all of it (who is who, steady crops) is
computed at the end and stored in `faces.npz`.
"""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from facequery_protocol.errors import ProtocolError
from facequery_protocol.job import check_region
from numpy.typing import NDArray

from facequery.detection.anchors import Anchors
from facequery.detection.detector import Detector, tightened
from facequery.detection.faces import (
    Face,
    FacePath,
    choose_face,
    expected_faces,
    face_from_points,
    link_faces,
    moved,
    points_of_crop,
    restless_spans,
    steady_crops,
)
from facequery.detection.finder import FaceFinder
from facequery.detection.tracks import CHUNK
from facequery.errors import DAMAGED, UserError
from facequery.files import check_shapes, load_arrays, save_arrays
from facequery.geometry.crops import apply_affine, compose, crop_from_box
from facequery.head.model import HeadModel
from facequery.pipeline.crew import in_order
from facequery.pipeline.memory import in_smaller_parts
from facequery.pipeline.progress import Report
from facequery.shots.glance import Glance, Picture
from facequery.shots.shot import Shot

Hints = Mapping[int, Face]  # where a face is expected, by frame

STRIDE = 8  # every how many frames faces are looked for
_BATCH = 4  # of which the first is searched, and its faces followed to the others
_TOGETHER = 4  # batches that are searched together
_SAME = 0.4  # half sizes between two faces below which the landmarks may have taken one for both
_AGAIN = 0.15  # half sizes that a face is off where it was expected, from which it is looked at again
_BATCH_BYTES = 50_000_000  # of full pictures in a batch
_SEARCH = 1.6  # a region is searched with this much more around it


@dataclass(frozen=True)
class Region:
    """Where the face is, in plate pixels: x, y of the top-left corner, width, height, from a frame number on.

    Between two regions of one shot the box moves linearly; before the first and after the last it stands still.
    """

    x: float
    y: float
    width: float
    height: float
    frame: int | None = None

    @staticmethod
    def parse(text: str) -> "Region":
        """From "x,y,w,h" or "frame:x,y,w,h". Raises UserError on anything else."""
        try:
            frame, box = check_region(text)
        except ProtocolError as error:
            raise UserError(error.cause, error.next_step, error.code) from None
        return Region(*box, frame)


def find_face(
    shot: Shot,
    finder: FaceFinder,
    detector: Detector,
    folder: Path,
    face: int = 1,
    regions: Sequence[Region] = (),
    report: Report | None = None,
) -> FacePath:
    """The wanted person's path through a shot; crops in *plate* pixels. Written to `folder/faces.npz`.

    `face` counts from 1, the largest; `regions` override the search. Raises UserError when no face is found.
    """
    if (folder / "faces.npz").is_file():
        return load_path(folder / "faces.npz")
    count = len(shot.frame_numbers)
    search = _Search(
        shot, finder, Anchors(detector, HeadModel.load()), boxes_at(regions, shot), folder / "work", report
    )
    detections: list[list[Face]] = [[] for _ in range(count)]
    keys = _key_frames(count)
    search.frames(keys, "key", detections)
    wanted = 1 if regions else face
    path = choose_face(link_faces(detections), wanted)
    # a person who came while others were followed was not looked for until the next search
    searched = np.concatenate([part[:: search.at_once] for part in _by_chunk(keys, count)])
    keys = keys[path.detected[keys] | np.isin(keys, searched)]
    for name, step in (("halves", STRIDE // 2), ("quarters", STRIDE // 4), ("between", 1)):
        gaps = [np.arange(a + step, b, step) for a, b in restless_spans(path, keys)]
        if gaps:
            frames = np.concatenate(gaps)
            search.frames(frames, name, detections, expected_faces(path, keys, frames))
            path, keys = choose_face(link_faces(detections), wanted), np.union1d(keys, frames)
    if report:
        report(count, count)
    gap = max(round(shot.fps), 12)
    steady = tightened(steady_crops(path.crops, gap))
    squeeze = np.array([[1 / shot.pixel_aspect, 0, 0], [0, 1, 0]])
    path = FacePath(compose(squeeze, steady), path.detected, path.score)
    save_arrays(
        folder / "faces.npz", crops=path.crops, detected=path.detected, score=path.score, frames=shot.frame_numbers
    )
    return path


def search_chunks(
    shot: Shot,
    finder: FaceFinder,
    detector: Detector,
    folder: Path,
    chunks: Sequence[int],
    regions: Sequence[Region] = (),
    report: Report | None = None,
) -> None:
    """Search the key frames of some chunks of CHUNK frames, so that `find_face` need not. Written to `folder/work`."""
    search = _Search(
        shot, finder, Anchors(detector, HeadModel.load()), boxes_at(regions, shot), folder / "work", report
    )
    keys = _key_frames(len(shot))
    detections: list[list[Face]] = [[] for _ in range(len(shot))]
    search.frames(keys[np.isin(keys // CHUNK, np.asarray(chunks, np.int64))], "key", detections)


def _key_frames(count: int) -> NDArray[np.int64]:
    """Array indices of the frames that are searched first."""
    return np.unique(np.append(np.arange(0, count, STRIDE), count - 1))


def _by_chunk(indices: NDArray, count: int) -> list[NDArray]:
    """Ascending indices of `count` frames, those of each chunk."""
    return np.split(indices, np.searchsorted(indices, np.arange(CHUNK, count, CHUNK)))


def load_path(file: Path) -> FacePath:
    """Read `faces.npz`. Raises UserError when it is damaged."""
    try:
        data = load_arrays(file)
        check_shapes(data, crops="F 2 3 f", detected="F b", score="F f")
        return FacePath(data["crops"], data["detected"], data["score"])
    except DAMAGED as error:
        raise UserError(f"{file} is damaged.", "Delete it and run the job again.", "FQ326") from error


def boxes_at(regions: Sequence[Region], shot: Shot) -> NDArray[np.float64] | None:
    """(F, 4) x, y, w, h in square pixels of the region in every frame, or None without regions.

    Raises UserError when a region lies outside the plate."""
    if not regions:
        return None
    for region in regions:
        outside = region.x >= shot.width or region.y >= shot.height
        if outside or region.x + region.width <= 0 or region.y + region.height <= 0:
            raise UserError(
                f"The region {region.x:g},{region.y:g},{region.width:g},{region.height:g} lies outside the plate.",
                f"The plate has {shot.width} x {shot.height} pixels.",
                "FQ327",
            )
    keys = sorted(regions, key=lambda r: shot.frame_numbers[0] if r.frame is None else r.frame)
    numbers = [float(shot.frame_numbers[0] if r.frame is None else r.frame) for r in keys]
    values = np.array([[r.x, r.y, r.width, r.height] for r in keys])
    boxes = np.column_stack([np.interp(shot.frame_numbers, numbers, column) for column in values.T])
    return boxes * [shot.pixel_aspect, 1, shot.pixel_aspect, 1]


@dataclass(frozen=True, eq=False)
class _Search:
    """Searches frames of a shot in batches and keeps what was found, chunk by chunk, in a folder."""

    shot: Shot
    finder: FaceFinder
    anchors: Anchors
    boxes: NDArray | None
    folder: Path
    report: Report | None

    def frames(self, indices: NDArray, label: str, detections: list[list[Face]], hints: Hints | None = None) -> None:
        """Fill `detections` at `indices`, ascending; finished chunks of the same `label` are read from their files.

        `hints`: where the wanted face is expected in some of the frames; there the landmarks alone look for it, and the
        others are searched. Without, the first of each batch is searched and its faces followed through the others.
        """
        parts = _by_chunk(indices, len(self.shot))
        files = [self.folder / f"faces_{label}_{i * CHUNK:06d}.npz" for i in range(len(parts))]
        missing = []
        for i, part in enumerate(parts):
            known = _load_detections(files[i], len(part)) if len(part) else []
            if known is None:
                missing.append(i)
            else:
                for index, faces in zip(part, known, strict=True):
                    detections[index] = faces
        if not missing:
            return
        files[0].parent.mkdir(parents=True, exist_ok=True)
        batches = self._batches([parts[i] for i in missing], hints)
        at = int(parts[missing[0]][0])

        def check() -> None:
            if self.report:
                self.report(at, len(self.shot))

        with closing(in_order((partial(self._search, *b) for b in batches), self.finder.device, check)) as results:
            for i in missing:
                found: list[list[Face]] = []
                while len(found) < len(parts[i]):
                    found += next(results)
                    at = int(parts[i][len(found) - 1]) + 1
                    check()
                _save_detections(files[i], found)
                for index, faces in zip(parts[i], found, strict=True):
                    detections[index] = faces

    @property
    def at_once(self) -> int:
        """Frames of a batch."""
        return max(1, min(_BATCH, _BATCH_BYTES // self._bytes))

    @property
    def _bytes(self) -> int:
        return self.shot.width * self.shot.height * 3

    def _batches(
        self, parts: Sequence[NDArray], hints: Hints | None
    ) -> Iterator[tuple[list[int], list[Glance], Hints | None]]:
        """Frames of a few batches, never of two parts: indices, glances with square pixels, and where the face is
        expected."""
        aspect = self.shot.pixel_aspect
        together = self.at_once * max(1, min(_TOGETHER, _BATCH_BYTES // (self.at_once * self._bytes)))
        with closing(self.shot.glances(np.concatenate(parts))) as glances:
            for part in parts:
                for start in range(0, len(part), together):
                    frames = part[start : start + together].tolist()
                    some = [glance for _, glance in itertools.islice(glances, len(frames))]
                    yield frames, [g if aspect == 1 else Picture(unsqueeze(g.picture(), aspect)) for g in some], hints

    def _search(self, frames: list[int], glances: list[Glance], hints: Hints | None) -> list[list[Face]]:
        """Faces of some frames, their points refined by the landmarks; square pixels.

        Without hints the first of each batch is searched and the others follow from one to the next, all batches
        together: a network takes half the time for a picture of several.
        """
        if self.boxes is not None:
            faces = [_in_region(self.finder, g, box) for g, box in zip(glances, self.boxes[frames], strict=True)]
            return self.anchors.look_again(glances, faces, keep=True)
        if hints is not None:
            return self._look(glances, [[hints[frame]] if frame in hints else [] for frame in frames])
        found: list[list[Face]] = [[] for _ in frames]
        for step in range(self.at_once):
            rows = range(step, len(frames), self.at_once)
            expected = [found[row - 1] if step else [] for row in rows]
            for row, here in zip(rows, self._look([glances[row] for row in rows], expected), strict=True):
                found[row] = here
        return found

    def _look(self, glances: list[Glance], expected: list[list[Face]]) -> list[list[Face]]:
        """The faces of each frame from where they are expected; where none are, or they are lost, from anywhere."""
        found = self._near(glances, expected)
        lost = [i for i, faces in enumerate(found) if not faces]
        for i, here in zip(lost, self._anywhere([glances[i] for i in lost]), strict=True):
            found[i] = here
        return found

    def _near(self, glances: list[Glance], expected: list[list[Face]]) -> list[list[Face]]:
        """The faces where the landmarks see them from where they were expected; none when one of them is lost."""
        faces = list(expected)
        found: list[list[Face]] = [[] for _ in expected]
        rows = [i for i, here in enumerate(faces) if here]
        for _ in range(2):
            seen = self.anchors.look_again([glances[i] for i in rows], [faces[i] for i in rows], expected=True)
            off = []
            for i, here in zip(rows, seen, strict=True):
                before, faces[i] = faces[i], here
                found[i] = [] if _are_lost(before, here) else here
                if found[i] and any(moved(a, b) > _AGAIN for a, b in zip(before, here, strict=True)):
                    off.append(i)  # seen from the edge of its eye: again, from where it is
            rows = off
        return found

    def _anywhere(self, glances: list[Glance]) -> list[list[Face]]:
        """All faces of each picture."""
        if not glances:
            return []
        parts = in_smaller_parts(self.finder.find_batch, [glance.picture() for glance in glances])
        return self.anchors.look_again(glances, [faces for part in parts for faces in part])


def _are_lost(faces: list[Face], seen: list[Face]) -> bool:
    """Whether the landmarks, which `seen` follows from, lost one of the faces, or took one for two."""
    # where the landmarks are unsure the face comes back as it was given
    if len(seen) < len(faces) or any(a is b for a, b in zip(seen, faces, strict=True)):
        return True
    return any(moved(a, b) < _SAME for a, b in itertools.combinations(seen, 2))


def unsqueeze(plate: NDArray, pixel_aspect: float) -> NDArray:
    """The picture with square pixels: its width times `pixel_aspect`. Returns it unchanged when they are."""
    if pixel_aspect == 1.0:
        return plate
    height, width = plate.shape[:2]
    way = cv2.INTER_AREA if pixel_aspect < 1 else cv2.INTER_LINEAR
    return cv2.resize(plate, (max(1, round(width * pixel_aspect)), height), interpolation=way)


def _in_region(finder: FaceFinder, glance: Glance, box: NDArray) -> list[Face]:
    """The face that the finder sees in a region, or the region itself taken for a face."""
    x, y, w, h = box
    crop = crop_from_box(x, y, w, h)
    side = int(np.clip(2 * np.hypot(crop[0, 0], crop[1, 0]) * _SEARCH, 32, 1024))
    wide = crop.copy()
    wide[:, :2] *= _SEARCH
    window = glance.crop(wide, side)
    best, overlap = None, 0.0
    for face in finder.find(window):
        points = apply_affine(wide, face.points * (2 / side) - 1)
        candidate = face_from_points(points, face.score)
        share = _overlap(candidate.box, (x, y, w, h))
        if share > max(overlap, 0.2):
            best, overlap = candidate, share
    return [best or face_from_points(points_of_crop(crop), 0.5)]


def _overlap(a: tuple[float, float, float, float], b: tuple[float, float, float, float]) -> float:
    """Intersection over union of two boxes x, y, w, h."""
    w = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    h = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    both = max(w, 0.0) * max(h, 0.0)
    return both / (a[2] * a[3] + b[2] * b[3] - both)


def _save_detections(file: Path, detections: list[list[Face]]) -> None:
    flat = [face for group in detections for face in group]
    save_arrays(
        file,
        counts=np.array([len(group) for group in detections], dtype=np.int64),
        points=np.array([face.points for face in flat], dtype=np.float64).reshape(-1, 4, 2),
        score=np.array([face.score for face in flat], dtype=np.float64),
    )


def _load_detections(file: Path, count: int) -> list[list[Face]] | None:
    """What was found in `count` frames; None when it is not there, or damaged: it is only searched again."""
    try:
        data = load_arrays(file)
        check_shapes(data, counts="F i", points="N 4 2 f", score="N f")
        counts, points, score = data["counts"], data["points"], data["score"]
        flat = [face_from_points(p, float(s)) for p, s in zip(points, score, strict=True)]
    except DAMAGED:
        return None
    if len(counts) != count or counts.sum() != len(flat):
        return None
    ends = np.concatenate([[0], np.cumsum(counts)])
    return [flat[a:b] for a, b in itertools.pairwise(ends)]
