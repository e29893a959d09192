"""First pass over a shot: faces in every frame, the wanted person's crop in every frame.

Every fourth frame is searched, and all of them where the face moves, in chunks whose results are kept in the job's
`work` folder. What follows from all of them (who is who, steady crops) is computed at the end and stored in
`faces.npz`.
"""

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
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
    face_from_points,
    link_faces,
    restless_spans,
    steady_crops,
)
from facequery.detection.finder import FaceFinder
from facequery.detection.tracks import CHUNK
from facequery.errors import DAMAGED, UserError
from facequery.files import load_arrays, save_arrays
from facequery.geometry.crops import compose, crop_from_box, crop_from_points, invert_affine, sample_crop
from facequery.head.model import HeadModel
from facequery.pipeline.memory import in_smaller_parts
from facequery.shots.shot import Shot

Report = Callable[[int, int], None]  # frames done, frames in all

STRIDE = 4  # every how many frames the whole picture is searched; more often where the face moves
_BATCH_BYTES = 200_000_000  # of full pictures held at once
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
    between = [np.arange(a + 1, b) for a, b in restless_spans(choose_face(link_faces(detections), wanted), keys)]
    if between:
        search.frames(np.concatenate(between), "between", detections)
    if report:
        report(count, count)
    path = choose_face(link_faces(detections), wanted)
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


def load_path(file: Path) -> FacePath:
    """Read `faces.npz`. Raises UserError when it is damaged."""
    try:
        data = load_arrays(file)
        return FacePath(data["crops"], data["detected"], data["score"])
    except DAMAGED as error:
        raise UserError(f"{file} is damaged.", "Delete it and run the job again.", "FQ323") from error


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
                "FQ324",
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

    def frames(self, indices: NDArray, label: str, detections: list[list[Face]]) -> None:
        """Fill `detections` at `indices`, ascending; finished chunks of the same `label` are read from their files."""
        for start in range(0, len(self.shot), CHUNK):
            part = indices[(indices >= start) & (indices < start + CHUNK)]
            if not len(part):
                continue
            file = self.folder / f"faces_{label}_{start:06d}.npz"
            found = _load_detections(file, len(part))
            if found is None:
                found = self._search(part)
                file.parent.mkdir(parents=True, exist_ok=True)
                _save_detections(file, found)
            for index, faces in zip(part, found, strict=True):
                detections[index] = faces

    def _search(self, indices: NDArray) -> list[list[Face]]:
        """Faces of some frames, their points refined by the landmarks; square pixels."""
        shot, found = self.shot, []
        batch = max(1, min(16, _BATCH_BYTES // (shot.width * shot.height * 3)))
        frames: list[int] = []
        pictures: list[NDArray[np.uint8]] = []
        for index, plate in _pictures(shot, indices):
            frames.append(index)
            pictures.append(unsqueeze(plate, shot.pixel_aspect))
            if len(pictures) == batch or index == indices[-1]:
                if self.boxes is None:
                    faces = [f for part in in_smaller_parts(self.finder.find_batch, pictures) for f in part]
                else:
                    boxes = self.boxes[frames]
                    faces = [_in_region(self.finder, p, box) for p, box in zip(pictures, boxes, strict=True)]
                found += self.anchors.look_again(pictures, faces, keep=self.boxes is not None)
                frames, pictures = [], []
                if self.report:
                    self.report(index + 1, len(shot))
        return found


def _pictures(shot: Shot, indices: NDArray) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """(index, display picture) of some frames, ascending. A video is decoded through, pictures are read singly."""
    if shot.kind == "video":
        wanted = set(indices.tolist())
        for index, plate in shot.frames(int(indices[0]), int(indices[-1]) + 1):
            if index in wanted:
                yield index, plate
    else:
        for index in indices:
            yield int(index), shot.display(int(index))


def unsqueeze(plate: NDArray, pixel_aspect: float) -> NDArray:
    """The picture with square pixels: its width times `pixel_aspect`. Returns it unchanged when they are."""
    if pixel_aspect == 1.0:
        return plate
    height, width = plate.shape[:2]
    way = cv2.INTER_AREA if pixel_aspect < 1 else cv2.INTER_LINEAR
    return cv2.resize(plate, (max(1, round(width * pixel_aspect)), height), interpolation=way)


def _in_region(finder: FaceFinder, picture: NDArray, box: NDArray) -> list[Face]:
    """The face that the finder sees in a region, or the region itself taken for a face."""
    x, y, w, h = box
    crop = crop_from_box(x, y, w, h)
    side = int(np.clip(2 * np.hypot(crop[0, 0], crop[1, 0]) * _SEARCH, 32, 1024))
    wide = crop.copy()
    wide[:, :2] *= _SEARCH
    window = sample_crop(picture, wide, side)
    best, overlap = None, 0.0
    for face in finder.find(window):
        points = compose_points(wide, face.points, side)
        candidate = face_from_points(points, face.score)
        share = _overlap(candidate.box, (x, y, w, h))
        if share > max(overlap, 0.2):
            best, overlap = candidate, share
    return [best or face_from_points(_typical_points(crop), 0.5)]


def compose_points(crop: NDArray, pixels: NDArray, side: int) -> NDArray[np.float64]:
    """Pixels of a sampled crop of `side` pixels -> pixels of the picture it was cut from. (N, 2) -> (N, 2)."""
    inside = np.asarray(pixels, dtype=np.float64) * (2 / side) - 1
    return inside @ crop[:, :2].T + crop[:, 2]


def _typical_points(crop: NDArray) -> NDArray[np.float64]:
    """Four points that `crop_from_points` would give this crop for: a frontal face filling it."""
    frontal = np.array([[-0.5263, 0.0], [0.5263, 0.0], [-0.35, 1.0], [0.35, 1.0]])
    unit = crop_from_points(frontal)
    own = invert_affine(unit)
    inside = frontal @ own[:, :2].T + own[:, 2]
    return inside @ crop[:, :2].T + crop[:, 2]


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
        counts, points, score = data["counts"], data["points"], data["score"]
        flat = [face_from_points(p, float(s)) for p, s in zip(points, score, strict=True)]
    except DAMAGED:
        return None
    if len(counts) != count or counts.sum() != len(flat):
        return None
    ends = np.concatenate([[0], np.cumsum(counts)])
    return [flat[a:b] for a, b in itertools.pairwise(ends)]
