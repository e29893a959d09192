"""Faces over time: which detections are one person, which person is wanted, and one steady crop per frame.

Everything here is a function of the detections of the whole shot, never of where a chunk of frames begins, so that
crops do not depend on how a job was cut into pieces. Coordinates are *square* pixels: the plate's, unsqueezed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d, median_filter
from scipy.optimize import linear_sum_assignment

from facequery.errors import UserError
from facequery.geometry.crops import (
    apply_affine,
    crop_from_points,
    crop_from_similarity,
    crop_parameters,
    invert_affine,
)

_REACH = 0.6  # how far a face may be from where it was expected, in half crop sizes
_REACH_PER_FRAME = 0.08  # and how much further for every frame without it
_ZOOM = 0.45  # largest change of size (natural logarithm)
_LINK_GAP = 12  # frames that a face may be missing for and still be linked by motion alone
_JUNK_FRAMES = 3  # shorter tracklets are kept only when there is nothing better
_SMOOTH_FRAMES = 1.2  # standard deviation of the crop's smoothing over time
_CALM = (0.15, 0.06, 0.08)  # change between searched frames, or of its pace, that is bridged: half sizes, ln, radians
_FOLLOWED = 0.6  # half sizes, or radians, between searched frames that the landmarks alone can follow
_CUT = 1.2  # a jump of the crop's centre between two frames, in half sizes, that no head makes


@dataclass(frozen=True, eq=False)
class Face:
    """One detection: `points` (4, 2) right eye, left eye, right and left mouth corner of the subject; a presence
    score in [0, 1]; and the upright `box` (x, y, w, h) round brows and chin. Pixels of the picture searched."""

    points: NDArray[np.float64]
    score: float
    box: tuple[float, float, float, float]

    @cached_property
    def place(self) -> tuple[NDArray[np.float64], float]:
        """Centre (2,) and half size of its crop."""
        centre, half, _ = crop_parameters(crop_from_points(self.points))
        return centre, float(half)


def face_from_points(points: NDArray, score: float) -> Face:
    """A Face whose box follows from its four points."""
    centre, half, _ = crop_parameters(crop_from_points(points))
    side = float(half) / 0.72
    return Face(
        np.asarray(points, dtype=np.float64),
        score,
        (float(centre[0]) - side / 2, float(centre[1]) - side / 2, side, side),
    )


@dataclass(frozen=True, eq=False)
class FacePath:
    """One person through F frames: `crops` (F, 2, 3) crop coordinates to square pixels, NaN where the face is not in
    the picture; `detected` (F,) where it was seen rather than bridged; `score` (F,), 0 where not detected."""

    crops: NDArray[np.float64]
    detected: NDArray[np.bool_]
    score: NDArray[np.float64]

    @property
    def present(self) -> NDArray[np.bool_]:
        """(F,) whether there is a crop."""
        return np.isfinite(self.crops[:, 0, 0])


@dataclass(eq=False)
class _Tracklet:
    """Detections linked without doubt: `frames` ascending, one face each."""

    frames: list[int]
    faces: list[Face]

    def crop(self, which: int) -> tuple[NDArray[np.float64], float]:
        return self.faces[which].place

    def expected(self, frame: int) -> tuple[NDArray[np.float64], float]:
        """Centre and half size at `frame` if the face goes on moving, ever slower, as it did last."""
        centre, half = self.crop(-1)
        if len(self.frames) > 1:
            before, _ = self.crop(-2)
            velocity = (centre - before) / (self.frames[-1] - self.frames[-2])
            centre = centre + velocity * min(frame - self.frames[-1], 3)
        return centre, half

    @property
    def weight(self) -> float:
        """How much of the shot it fills: its size times the frames it spans, however many of them were searched."""
        score = float(np.mean([face.score for face in self.faces]))
        return self.size * score * (self.frames[-1] - self.frames[0] + 1)

    @property
    def size(self) -> float:
        return float(np.median([self.crop(i)[1] for i in range(len(self.frames))]))


def link_faces(detections: Sequence[Sequence[Face]]) -> list[FacePath]:
    """The people of a shot, the largest first, from the detections of every frame (F lists of Face).

    Detections are linked from frame to frame by where they are expected from their motion, and by size; people who
    pass each other keep their own. A person who was gone for long, or jumps at a cut, is taken up again when somebody
    of about that size appears near by and nobody else fits better.
    """
    count = len(detections)
    tracklets = _link(detections)
    solid = [t for t in tracklets if len(t.frames) >= _JUNK_FRAMES] or tracklets
    solid.sort(key=lambda t: -t.weight)
    people: list[list[_Tracklet]] = []
    for tracklet in solid:
        for person in people:
            if _continues(person, tracklet):
                person.append(tracklet)
                break
        else:
            people.append([tracklet])
    people.sort(key=lambda person: -sum(t.weight for t in person))
    return [_path(person, count) for person in people]


def choose_face(paths: Sequence[FacePath], face: int = 1) -> FacePath:
    """The `face`-th of a shot's people, counted from 1 by size. Raises UserError when there is none, or not so many."""
    if not paths:
        raise UserError("No face was found in the shot.", "Mark one with --region x,y,w,h.", "FQ294")
    if not 1 <= face <= len(paths):
        raise UserError(
            f"There is no face {face}: the shot has {len(paths)}.", "--face counts from 1, the largest.", "FQ295"
        )
    return paths[face - 1]


def restless_spans(path: FacePath, searched: NDArray) -> list[tuple[int, int]]:
    """Which gaps between `searched` frames (ascending indices) must be searched too: pairs (a, b), to be read as
    a < frame < b.

    Those in which a straight way from one end to the other may be wrong: because the face moved, grew or turned much
    and not as steadily as before and after, and those where it came into the picture or left it.
    """
    centre, half, roll = crop_parameters(path.crops[searched])
    state = np.column_stack([centre, np.log(half), np.unwrap(np.nan_to_num(roll))])
    spans = []
    for k, (a, b) in enumerate(pairwise(searched)):
        if b - a < 2 or not (path.detected[a] or path.detected[b]):
            continue
        if path.detected[a] and path.detected[b]:
            size = float(min(half[k], half[k + 1]))
            step = _in_sizes(state[k + 1] - state[k], size)
            bends = [_bend(state, searched, i) for i in (k, k + 1) if 0 < i < len(searched) - 1]
            known = [_in_sizes(bend, size) for bend in bends if np.isfinite(bend).all()]
            if _is_calm(step) or (known and all(map(_is_calm, known)) and np.linalg.norm(step[:2]) < _FOLLOWED):
                continue
        spans.append((int(a), int(b)))
    return spans


def _bend(state: NDArray, frames: NDArray, k: int) -> NDArray[np.float64]:
    """How far a state (F, 4) is from the straight way between its neighbours. Between frames at the same distance the
    straight way from one to the next is wrong by a quarter of that at most."""
    share = (frames[k] - frames[k - 1]) / (frames[k + 1] - frames[k - 1])
    return state[k] - state[k - 1] - share * (state[k + 1] - state[k - 1])


def _in_sizes(change: NDArray, size: float) -> NDArray[np.float64]:
    return change / [size, size, 1.0, 1.0]


def _is_calm(change: NDArray) -> bool:
    """Of centre (x and y, half sizes), logarithm of the size, and roll."""
    return bool(np.linalg.norm(change[:2]) < _CALM[0] and abs(change[2]) < _CALM[1] and abs(change[3]) < _CALM[2])


def expected_faces(path: FacePath, searched: NDArray, frames: NDArray) -> dict[int, Face]:
    """Where a face is expected in some `frames` between those `searched` (both ascending indices), by frame: on the
    straight way from one detection to the next where that is not far."""
    faces: dict[int, Face] = {}
    for frame in frames:
        after = int(np.searchsorted(searched, frame))
        a, b = searched[after - 1], searched[after]
        if not (path.detected[a] and path.detected[b]):
            continue
        centre, half, roll = crop_parameters(path.crops[[a, b]])
        turn, growth = np.angle(np.exp(1j * (roll[1] - roll[0]))), np.log(half[1] / half[0])
        if np.linalg.norm(centre[1] - centre[0]) > _FOLLOWED * min(half) or abs(turn) > _FOLLOWED:
            continue
        t = (frame - a) / (b - a)
        crop = crop_from_similarity(
            centre[0] + t * (centre[1] - centre[0]), half[0] * np.exp(t * growth), roll[0] + t * turn
        )
        faces[int(frame)] = face_from_points(points_of_crop(crop), float(min(path.score[a], path.score[b])))
    return faces


def moved(one: Face, other: Face) -> float:
    """How far a face is from another, in half crop sizes of the first."""
    return float(np.linalg.norm(other.place[0] - one.place[0]) / one.place[1])


def points_of_crop(crop: NDArray) -> NDArray[np.float64]:
    """Four points (4, 2) that `crop_from_points` would give this crop for: a frontal face filling it."""
    frontal = np.array([[-0.5263, 0.0], [0.5263, 0.0], [-0.35, 1.0], [0.35, 1.0]])
    return apply_affine(crop, apply_affine(invert_affine(crop_from_points(frontal)), frontal))


def steady_crops(crops: NDArray, longest_gap: int) -> NDArray[np.float64]:
    """Bridge gaps and smooth crops over time, without lag.

    `crops` (F, 2, 3) similarity crops, NaN where unknown. Gaps of up to `longest_gap` frames between crops that fit
    are filled; longer ones stay. Centre, logarithm of the size and roll are freed of single outliers (median of 5) and
    smoothed by a symmetric kernel, never across a gap or a cut. Returns (F, 2, 3).
    """
    result = np.full_like(np.asarray(crops, dtype=np.float64), np.nan)
    known = np.flatnonzero(np.isfinite(crops[:, 0, 0]))
    if not len(known):
        return result
    centre, half, roll = crop_parameters(crops[known])
    step = np.diff(known)
    jump = np.linalg.norm(np.diff(centre, axis=0), axis=1) / np.minimum(half[1:], half[:-1])
    breaks = np.flatnonzero((step > longest_gap + 1) | (jump > _CUT * np.sqrt(step))) + 1
    for part in np.split(np.arange(len(known)), breaks):
        frames = np.arange(known[part[0]], known[part[-1]] + 1)
        numbers = np.column_stack([centre[part], np.log(half[part]), np.unwrap(roll[part])])
        filled = np.column_stack([np.interp(frames, known[part], column) for column in numbers.T])
        calm = np.column_stack([_smooth(column) for column in filled.T])
        result[frames] = crop_from_similarity(calm[:, :2], np.exp(calm[:, 2]), calm[:, 3])
    return result


def _smooth(values: NDArray) -> NDArray[np.float64]:
    if len(values) >= 5:
        values = median_filter(values, size=5, mode="nearest")
    # Reflected through its end value a steady motion goes on: no pull at either end.
    reach = min(len(values) - 1, round(4 * _SMOOTH_FRAMES))
    before = 2 * values[0] - values[reach:0:-1]
    after = 2 * values[-1] - values[-2 : -2 - reach : -1]
    padded = gaussian_filter1d(np.concatenate([before, values, after]), _SMOOTH_FRAMES, mode="nearest")
    return padded[reach : reach + len(values)]


def _link(detections: Sequence[Sequence[Face]]) -> list[_Tracklet]:
    active: list[_Tracklet] = []
    closed: list[_Tracklet] = []
    for frame, faces in enumerate(detections):
        closed += [t for t in active if frame - t.frames[-1] > _LINK_GAP]
        active = [t for t in active if frame - t.frames[-1] <= _LINK_GAP]
        free = set(range(len(faces)))
        if active and faces:
            cost = np.array([[_distance(t, face, frame) for face in faces] for t in active])
            for row, column in zip(*linear_sum_assignment(np.minimum(cost, 1e3)), strict=True):
                if cost[row, column] < 1:
                    active[row].frames.append(frame)
                    active[row].faces.append(faces[column])
                    free.discard(int(column))
        active += [_Tracklet([frame], [faces[i]]) for i in sorted(free)]
    return closed + active


def _distance(tracklet: _Tracklet, face: Face, frame: int) -> float:
    """0 exactly where expected, 1 at the limit of what is believed."""
    expected, size = tracklet.expected(frame)
    centre, half = face.place
    reach = (_REACH + _REACH_PER_FRAME * (frame - tracklet.frames[-1])) * size
    return float(np.hypot(np.linalg.norm(centre - expected) / reach, abs(np.log(half / size)) / _ZOOM))


def _continues(person: list[_Tracklet], tracklet: _Tracklet) -> bool:
    """Whether a later or earlier tracklet may be the same person: not at the same time, near by, of like size."""
    for own in person:
        if tracklet.frames[0] <= own.frames[-1] and own.frames[0] <= tracklet.frames[-1]:
            return False
    near = min(person, key=lambda own: _gap(own, tracklet))
    ours, theirs = (
        (near.crop(-1), tracklet.crop(0)) if near.frames[0] < tracklet.frames[0] else (near.crop(0), tracklet.crop(-1))
    )
    distance = float(np.linalg.norm(ours[0] - theirs[0])) / max(ours[1], theirs[1])
    return distance < 4 and abs(np.log(near.size / tracklet.size)) < np.log(2.5)


def _gap(a: _Tracklet, b: _Tracklet) -> int:
    return max(a.frames[0] - b.frames[-1], b.frames[0] - a.frames[-1])


def _path(person: list[_Tracklet], count: int) -> FacePath:
    crops, score = np.full((count, 2, 3), np.nan), np.zeros(count)
    for tracklet in person:
        for frame, face in zip(tracklet.frames, tracklet.faces, strict=True):
            crops[frame] = crop_from_points(face.points)
            score[frame] = face.score
    return FacePath(crops, score > 0, score)
