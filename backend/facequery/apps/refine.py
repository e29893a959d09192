"""Refinement at the plate's own resolution: what the network, which sees a small crop, cannot resolve.

Patches of the skin are found again, to a fraction of a pixel, from a few reference frames. The patches come warped by
the dense landmarks, so they need to be moved by a few pixels only; all are compared with the references and never with
the frame before, so nothing drifts. Patches that an outline runs through are left out, for they would follow the
outline and not the skin, and so are those that do not find their way back (Kalal, Mikolajczyk, Matas, Forward-backward
error, ICPR 2010). What the others say becomes a smooth field of shifts over the head, in which patches that disagree
with their neighbours, or see little, have little to say.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from facequery.apps.dense import DenseFace, DenseHead, Sight, facing, hits
from facequery.apps.patches import HALF, align_patches, pyramid
from facequery.errors import DAMAGED, UserError
from facequery.files import check_shapes, load_arrays, save_arrays
from facequery.geometry.crops import apply_affine, invert_affine
from facequery.geometry.rasterize import rasterize
from facequery.head.model import HeadModel
from facequery.head.sampling import farthest_points

CONTROLS = 260
REFERENCES = 4
_NEIGHBOURS = 32
_REACH = 0.07  # crop units that a patch may be from where the landmarks have it
_COARSEST = 0.09  # crop units that half a patch spans at the coarsest level
_LEAST_SCORE = 0.4
_CLEAR = 0.05  # crop units that a patch is from the next outline at least
_RETURN = 1.0  # pixels by which it may miss its way back
_VAGUE = 0.2  # pixels: where patches claim to be less exact, shading misleads them more and more
_FOLD = 0.012  # metres of depth between neighbouring pixels of a drawn head, over which skin does not hang together
_FIELD = ((0.045, 0.016), (0.012, 0.004))  # metres over which shifts go together, and their size in crop units
_FLOOR = 0.3  # pixels: no patch is believed more exactly
_OUTLIER = 1.5  # pixels off the field at which a patch counts half


@dataclass(frozen=True, eq=False)
class Refinement:
    """Shifts of a shot: `controls` (n,) vertices; `shift` (F, n, 2) plate pixels to be added to landmarks there, 0
    where there is no face; `score` (F, n) correlation of the patches, -1 where none was found; `references` array
    indices."""

    controls: NDArray[np.int64]
    shift: NDArray[np.float32]
    score: NDArray[np.float32]
    references: tuple[int, ...]

    def spread(self, positions: NDArray) -> NDArray[np.float32]:
        """The matrix (N, n) that takes the shifts at the controls to those at canonical positions (N, 3)."""
        centres = HeadModel.load().rest[self.controls]
        own = _kernel(centres, centres)
        return np.linalg.solve(own + 1e-4 * np.eye(len(own)) * own[0, 0], _kernel(centres, positions)).T.astype(
            np.float32
        )

    def save(self, path: Path) -> None:
        """Write the .npz."""
        save_arrays(
            path, controls=self.controls, shift=self.shift, score=self.score, references=np.array(self.references)
        )

    @staticmethod
    def load(path: Path) -> "Refinement":
        """Read what `save` wrote. Raises UserError when it is damaged."""
        try:
            data = load_arrays(path)
            check_shapes(data, controls="N i", shift="F N 2 f", score="F N f", references="R i")
            references = tuple(data["references"].tolist())
            return Refinement(data["controls"], data["shift"], data["score"], references)
        except DAMAGED as error:
            raise UserError(f"{path} is damaged.", "Delete it and run again.", "FQ630") from error


def _kernel(a: NDArray, b: NDArray) -> NDArray[np.float64]:
    """Covariance of the shifts at canonical points (n, 3) and (m, 3), crop units squared."""
    square = ((a[:, None].astype(np.float64) - b[None]) ** 2).sum(-1)
    return sum(size**2 * np.exp(-0.5 * square / reach**2) for reach, size in _FIELD)


@dataclass(frozen=True, eq=False)
class Look:
    """What the refinement needs of one frame: `xy` (m, 2) landmarks of the patches' middles and neighbours, `seen` (n,)
    whether a patch can be seen, by the head's own shape and by sigma; `scale` pixels a crop unit."""

    xy: NDArray[np.float64]
    seen: NDArray[np.bool_]
    scale: float


class Refiner:
    """Refines the dense landmarks of a shot.

    refinement = Refiner(head).refine(looks, picture_of, pictures)
    """

    def __init__(self, head: DenseHead) -> None:
        self.head = head
        model = head.model
        skin = model.region_mask("face") & ~model.region_mask("lips")
        pool = np.flatnonzero(skin | model.region_mask("ear_left") | model.region_mask("ear_right"))
        outer = pool[self._outside(pool)]
        self.controls = outer[farthest_points(model.rest[outer], CONTROLS)]
        from scipy.spatial import cKDTree

        self.around = outer[cKDTree(model.rest[outer]).query(model.rest[self.controls], k=_NEIGHBOURS)[1]]
        self.asked = np.unique(np.concatenate([self.controls, self.around.ravel()]))
        self._control_rows = np.searchsorted(self.asked, self.controls)
        self._around_rows = np.searchsorted(self.asked, self.around)

    def _outside(self, vertices: NDArray) -> NDArray[np.bool_]:
        """Which skin vertices are to be seen from somewhere in front of the resting head: not inside nose or mouth."""
        seen = np.zeros(self.head.count, bool)
        for yaw in np.radians([-50, 0, 50]):
            c, s = np.cos(yaw), np.sin(yaw)
            turned = self.head.positions @ np.array([[c, 0, -s], [0, 1, 0], [s, 0, c]], np.float32)
            face = DenseFace(
                turned[:, :2] * [1, -1], np.zeros(len(turned), np.float32), 1 - turned[:, 2],
                np.array([[0.15, 0, 0], [0, 0.15, -0.0]]),
            )  # fmt: skip
            seen |= visible_vertices(face, self.head.triangles)
        return seen[vertices]

    @cached_property
    def _own(self) -> NDArray[np.float64]:
        centres = self.head.model.rest[self.controls]
        return _kernel(centres, centres)

    def look(self, sight: Sight, crop: NDArray, covered: NDArray | None = None) -> Look:
        """The landmarks of one picture, from the sight of it alone and its crop (2, 3). `covered` (H, W), where things
        in front hide the face: patches there are left out."""
        sketch = self.head.sketches(sight, crop[None])[0]
        inside, sigma = self.head.landmarks(sight, self.head.positions[self.asked])
        xy = inside[0].astype(np.float64) @ crop[:, :2].T + crop[:, 2]
        free = visible_vertices(sketch, self.head.triangles)[self.controls]
        sure = sigma[0, self._control_rows] < 0.08
        skin = self.head.model.parts["skin"].triangles.stop
        clear = to_outline(sketch, self.head.triangles, skin, xy[self._control_rows], covered) > _CLEAR
        return Look(xy, free & sure & clear, sketch.scale)

    def refine(
        self,
        looks: Sequence[Look | None],
        picture: Callable[[int], NDArray[np.uint8]],
        pictures: Iterable[tuple[int, NDArray[np.uint8]]],
        anchor: int | None = None,
        references: Sequence[int] | None = None,
        report: Callable[[int, int], None] | None = None,
    ) -> Refinement:
        """Shifts of all frames (F looks, None without a face).

        `picture(i)` gives a display picture by array index, `pictures` all of them in order. With `anchor` the
        landmarks of that frame are taken for exact, and everything sticks to what is there; else the references' own
        errors are averaged over the shot. `references` array indices, chosen by their poses if not given.
        """
        count = len(self.controls)
        chosen = list(references) if references else self._references(looks, anchor)
        if anchor is not None:
            chosen = [anchor, *(r for r in chosen if r != anchor)]
        levels = max(int(np.ceil(np.log2(max(_COARSEST * _look(looks, chosen[0]).scale / HALF, 1)))), 0)
        kept: dict[int, tuple[list[NDArray], NDArray]] = {}
        for index in chosen:  # the first is what the others are laid on
            images = pyramid(picture(index), levels)
            shift = np.zeros((count, 2))
            if kept:
                shift, _ = self._shift(images, _look(looks, index), kept, looks)
            kept[index] = (images, shift)
        shifts = np.zeros((len(looks), count, 2), np.float32)
        scores = np.full((len(looks), count), -1, np.float32)
        for index, display in pictures:
            look = looks[index]
            if index in kept and look is not None:
                shifts[index], scores[index] = kept[index][1], np.where(look.seen, 1, -1)
            elif look is not None:
                shifts[index], scores[index] = self._shift(pyramid(display, levels), look, kept, looks)
            if report:
                report(index + 1, len(looks))
        if anchor is None:
            self._centre(shifts, looks, chosen[0])
        return Refinement(self.controls, shifts, scores, tuple(chosen))

    def _references(self, looks: Sequence[Look | None], anchor: int | None) -> list[int]:
        """Frames of which every other is like one: the most typical, then those that differ most from the chosen."""
        present = [i for i, look in enumerate(looks) if look is not None]
        if not present:
            raise UserError("There is no frame with a face to refine.", "", "FQ631")
        shapes = np.stack([self._shape(_look(looks, i)) for i in present])
        hidden = np.array([1 - _look(looks, i).seen.mean() for i in present])
        middle = np.linalg.norm(shapes - np.median(shapes, 0), axis=(1, 2)) / shapes.shape[1] ** 0.5
        first = present.index(anchor) if anchor in present else int(np.argmin(middle + 0.2 * hidden))
        chosen = [first]
        far = np.linalg.norm(shapes - shapes[first], axis=(1, 2)) / shapes.shape[1] ** 0.5
        while len(chosen) < min(REFERENCES, len(present)):
            following = int(np.argmax(far * (1 - hidden)))
            if far[following] < 0.03:  # as good as the same
                break
            chosen.append(following)
            far = np.minimum(far, np.linalg.norm(shapes - shapes[following], axis=(1, 2)) / shapes.shape[1] ** 0.5)
        return [present[i] for i in chosen]

    def _shape(self, look: Look) -> NDArray[np.float64]:
        """Landmarks (n, 2) freed of place and size: how a picture's pose and expression differ from another's."""
        xy = look.xy[self._control_rows]
        return (xy - xy.mean(0)) / look.scale

    def _shift(
        self,
        images: list[NDArray],
        look: Look,
        kept: dict[int, tuple[list[NDArray], NDArray]],
        looks: Sequence[Look | None],
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The field of shifts (n, 2) of a frame from the two references that it is most like, and the scores (n,)."""
        near = sorted(kept, key=lambda r: float(np.linalg.norm(self._shape(_look(looks, r)) - self._shape(look))))[:2]
        start = look.xy[self._control_rows]
        reach = np.full(len(start), _REACH * look.scale)
        pull, information, best = np.zeros((len(start), 2)), np.zeros((len(start), 2, 2)), np.full(len(start), -1.0)
        for reference in near:
            there = _look(looks, reference)
            affine = self._affine(there, look)
            pictures, own = kept[reference]
            at = there.xy[self._control_rows] + own
            # The reference's shift moves the patch's middle on the skin, and so where it is expected here.
            expected = start + np.einsum("nij,nj->ni", affine, own)
            place, sure, score = align_patches(pictures, images, at, expected, affine, reach)
            back, _, found = align_patches(images, pictures, place, at, np.linalg.inv(affine), reach)
            good = (score > _LEAST_SCORE) & look.seen & there.seen
            good &= (found > 0) & (np.linalg.norm(back - at, axis=1) < _RETURN)
            sure = _capped(sure) * np.where(good, score**2, 0)[:, None, None]
            pull += np.einsum("nij,nj->ni", sure, place - start)
            information += sure
            best = np.maximum(best, np.where(good, score, -1))
        return self._field(pull, information, look.scale), best

    def _affine(self, there: Look, here: Look) -> NDArray[np.float64]:
        """(n, 2, 2) how offsets round each control in one frame turn into offsets in another."""
        a, b = there.xy[self._around_rows], here.xy[self._around_rows]
        a, b = a - a.mean(1, keepdims=True), b - b.mean(1, keepdims=True)
        square = np.einsum("nki,nkj->nij", a, a)
        square += 0.02 * np.trace(square, axis1=1, axis2=2)[:, None, None] * np.eye(2)
        similar = (here.scale / there.scale) * np.eye(2)
        cross = np.einsum("nki,nkj->nij", b - a @ similar, a)
        return similar + np.einsum("nij,njk->nik", cross, np.linalg.inv(square))

    def _field(self, pull: NDArray, information: NDArray, scale: float) -> NDArray[np.float64]:
        """The most likely smooth field (n, 2) for measurements with information (n, 2, 2) and pull = information m.

        A Gaussian process over the resting head; measurements far off the field lose their say (Cauchy weights).
        """
        count = len(pull)
        prior: NDArray[np.float64] = np.kron(self._own * scale**2, np.eye(2))
        measured = np.linalg.solve(information + 1e-9 * np.eye(2), pull[..., None])[..., 0]
        known = np.trace(information, axis1=1, axis2=2) > 1e-6
        weight: NDArray[np.float64] = known.astype(np.float64)
        field = np.zeros((count, 2))
        for _ in range(4):
            own = information * weight[:, None, None]
            block = np.zeros((2 * count, 2 * count))
            rows = np.arange(count)
            for i in (0, 1):
                for j in (0, 1):
                    block[2 * rows + i, 2 * rows + j] = own[:, i, j]
            target = np.einsum("nij,nj->ni", own, measured).ravel()
            field = (prior @ np.linalg.solve(np.eye(2 * count) + block @ prior, target)).reshape(count, 2)
            off = np.linalg.norm(measured - field, axis=1)
            weight = known.astype(np.float64) / (1 + (off / _OUTLIER) ** 2)
        return field

    def _centre(self, shifts: NDArray, looks: Sequence[Look | None], first: int) -> None:
        """Take the mean shift over the shot out of all frames, carried to each by its own warp: what remains is what
        the landmarks of all frames agree on, not those of one reference."""
        present = [i for i, look in enumerate(looks) if look is not None]
        origin = _look(looks, first)
        warps = {i: self._affine(origin, _look(looks, i)) for i in present}
        mean = np.mean([np.linalg.solve(warps[i], shifts[i][..., None].astype(np.float64)) for i in present], 0)
        for i in present:
            shifts[i] -= (warps[i] @ mean)[..., 0]


def _capped(information: NDArray) -> NDArray[np.float64]:
    """Information (n, 2, 2) of which no direction is surer than the floor, and that of vague patches is little."""
    values, axes = np.linalg.eigh(information)
    variance = 1 / np.maximum(values, 1e-9)
    values = 1 / (variance + _FLOOR**2) / (1 + (variance.sum(1, keepdims=True) / _VAGUE**2) ** 2)
    return np.einsum("nij,nj,nkj->nik", axes, values, axes)


def _look(looks: Sequence[Look | None], index: int) -> Look:
    look = looks[index]
    if look is None:
        raise UserError(
            f"The reference frame (number {index + 1} of the shot) has no face.", "Choose another.", "FQ632"
        )
    return look


def visible_vertices(face: DenseFace, triangles: NDArray, tolerance: float = 0.004) -> NDArray[np.bool_]:
    """(V,) vertices of a dense face that its own surface does not hide and that do not turn away."""
    shown, bary = hits(face, triangles, face.xy)
    depth = (face.depth[triangles[np.maximum(shown, 0)]] * bary).sum(1)
    front = np.zeros(len(face.xy), bool)
    front[triangles[facing(face.xy, triangles)]] = True
    return front & (shown >= 0) & (face.depth < depth + tolerance)


def to_outline(
    face: DenseFace, triangles: NDArray, skin: int, points: NDArray, covered: NDArray | None = None, side: int = 384
) -> NDArray[np.float64]:
    """(N,) how far, in crop units, plate pixels (N, 2) are from where a dense face's skin ends in the picture: at its
    outline, at folds that hide what is behind them, at eyes, teeth and at what is `covered` (H, W). 0 off the skin.

    Of the triangles (T, 3) the first `skin` are skin. Drawn at `side` pixels a crop.
    """
    to_crop = invert_affine(face.crop)
    to_drawn = to_crop * (side / 3)
    to_drawn[:, 2] += side / 2
    drawn, depth, _ = rasterize(apply_affine(to_drawn, face.xy), face.depth, triangles, side, side)
    depth = np.where(drawn >= 0, depth, 0).astype(np.float32)
    around = np.ones((3, 3), np.uint8)
    whole = (drawn >= 0) & (drawn < skin) & (cv2.dilate(depth, around) - cv2.erode(depth, around) < _FOLD)
    if covered is not None:
        column, row = np.meshgrid(np.arange(side) + 0.5, np.arange(side) + 0.5)
        there = apply_affine(invert_affine(to_drawn), np.stack([column, row], -1))
        x, y = (np.clip(there[..., k].astype(int), 0, covered.shape[1 - k] - 1) for k in (0, 1))
        whole &= covered[y, x] < 0.3
    away = cv2.distanceTransform(whole.astype(np.uint8), cv2.DIST_L2, 3) * (3 / side)
    at = np.floor(apply_affine(to_drawn, np.asarray(points, np.float64))).astype(int)
    inside = ((at >= 0) & (at < side)).all(1)
    return np.where(inside, away[at[:, 1].clip(0, side - 1), at[:, 0].clip(0, side - 1)], 0.0)
