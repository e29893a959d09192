"""Query optimisation of a layout: where on the canonical head the points of somebody else's annotation lie.

CLD, section 3.4: the network is frozen, the 3D queries are optimised on annotated pictures.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from facequery.assets import source_data
from facequery.errors import UserError
from facequery.evaluation.annotated import AnnotatedSet, load_annotated, to_crop
from facequery.head.layouts import load_layout
from facequery.head.model import HeadModel
from facequery.head.queries import QuerySet
from facequery.head.slide import STEEPEST, Slide, pose_of
from facequery.models.landmarks import LandmarkNet, images_to_input

CALIBRATION_SET = "real_dev/lfpw"  # the only set that queries may be optimised on
MIRROR = np.array([-1.0, 1.0, 1.0])  # of canonical space
_DIFFERENCE = 0.01  # network units: 1 mm
_LONGEST = 0.15  # of a round's step
_NEAR = 0.003  # crop units: residuals below it count as squared ones
_REWEIGHTINGS = 5
_MOST, _UNIT = 45.0, 30.0  # degrees: the yaw beyond which places do not change any more; a feature's unit
_TOGETHER = 64  # pictures decoded at once: bounds memory


@torch.no_grad()
def describe(network: LandmarkNet, images: NDArray[np.uint8], batch: int = 32) -> Tensor:
    """Descriptors (n, d) of crops (n, S, S, 3) uint8."""
    pieces = [
        network.encode(images_to_input(torch.from_numpy(np.ascontiguousarray(p))))
        for p in np.array_split(images, -(-len(images) // batch))
    ]
    return torch.cat(pieces).float()


@torch.no_grad()
def locate(network: LandmarkNet, descriptors: Tensor, queries: NDArray) -> tuple[NDArray, NDArray]:
    """Landmarks (n, N, 2) and sigma (n, N), crop coordinates, of queries (N, 3) or (n, N, 3) in network units."""
    asked = torch.from_numpy(np.ascontiguousarray(queries, dtype=np.float32))
    pieces = [
        network.decode(part, asked if asked.ndim == 2 else asked[start : start + _TOGETHER])
        for start, part in zip(range(0, len(descriptors), _TOGETHER), descriptors.split(_TOGETHER), strict=True)
    ]
    xy, log_sigma = (torch.cat([piece[k] for piece in pieces]).double() for k in (0, 1))
    return xy.numpy(), log_sigma.exp().numpy()


def locate_both(network: LandmarkNet, descriptors: Tensor, mirrored: Tensor | None, queries: NDArray) -> NDArray:
    """Landmarks (n, N, 2) as `Detector.look` has them: the mean with those of the mirrored pictures' descriptors."""
    xy = locate(network, descriptors, queries)[0]
    if mirrored is None:
        return xy
    return 0.5 * (xy + locate(network, mirrored, queries * MIRROR)[0] * MIRROR[:2])


def optimise_queries(
    network: LandmarkNet, descriptors: Tensor, target: NDArray, start: NDArray, rounds: int = 2, pull: float = 0.02,
    placed: NDArray | None = None, mirrored: Tensor | None = None, partner: NDArray | None = None,
) -> NDArray[np.float32]:  # fmt: skip
    """Queries (N, 3), network units, whose landmarks come nearest to `target` (n, N, 2), crop coordinates.

    `start` (N, 3) is the first guess; `placed` (n, N, 3): where it is asked for in each picture, for layouts that
    slide; what is found is then a shift that they all have in common. The rest is `optimise_shifts`'.
    """
    asked = np.broadcast_to(start, (len(target), *np.shape(start))) if placed is None else placed
    shifts = optimise_shifts(
        network, descriptors, target, asked, rounds=rounds, pull=pull, mirrored=mirrored, partner=partner
    )
    return np.asarray(start + shifts[0], np.float32)


def optimise_shifts(
    network: LandmarkNet, descriptors: Tensor, target: NDArray, asked: NDArray, features: NDArray | None = None,
    odd: NDArray | None = None, rounds: int = 2, pull: float = 0.02, mirrored: Tensor | None = None,
    partner: NDArray | None = None,
) -> NDArray[np.float64]:  # fmt: skip
    """Shifts (K, N, 3) of queries, network units, with which their landmarks come nearest to `target` (n, N, 2), crop
    coordinates, in pictures of descriptors (n, d).

    A picture is asked at `asked` (n, N, 3) plus the shifts, each times the picture's feature: `features` (n, K), by
    default one that is 1 everywhere. Shifts are pulled to nothing softly: `pull` times their squared length is added to
    the mean distance of the landmarks. Every round the network is linearised in the query, by differences, and the mean
    distance minimised by reweighted least squares (Weiszfeld). `mirrored` (n, d): descriptors of the mirrored pictures,
    if landmarks are to be the mean of both. `partner` (N,): which point is each one's mirror image; left and right then
    get the same place, as if every picture were an example twice, the second time mirrored; `odd` (K,) which features
    change their sign by that.
    """
    shares = np.ones((len(target), 1)) if features is None else np.asarray(features, np.float64)
    flips = np.ones(shares.shape[1]) if odd is None else np.where(odd, -1.0, 1.0)
    sign = (flips[:, None] * MIRROR).ravel()
    shifts = np.zeros((shares.shape[1], *np.shape(asked)[1:]))
    for _ in range(rounds):
        now = asked + np.einsum("bk,knj->bnj", shares, shifts)
        at = locate_both(network, descriptors, mirrored, now)
        slopes = [
            (locate_both(network, descriptors, mirrored, now + _DIFFERENCE * axis) - at) / _DIFFERENCE
            for axis in np.eye(3)
        ]
        step = _step(target - at, np.stack(slopes, -1), shares, shifts, pull, sign, partner)
        length = np.linalg.norm(step, axis=-1, keepdims=True)
        shifts = shifts + step * np.minimum(1.0, _LONGEST / np.maximum(length, 1e-12))
    return shifts


def _step(
    left: NDArray, slopes: NDArray, shares: NDArray, shifts: NDArray, pull: float, sign: NDArray,
    partner: NDArray | None,
) -> NDArray[np.float64]:  # fmt: skip
    """Steps (K, N, 3) that minimise mean |left - shares slopes step| + pull |shifts + step|^2, left (n, N, 2), slopes
    (n, N, 2, 3), shares (n, K); sign (3 K,) of what mirroring does to a step."""
    kinds, count, _ = shifts.shape
    held = 2 * pull * len(left) * np.eye(3 * kinds)
    before = shifts.transpose(1, 0, 2).reshape(count, -1)
    step = np.zeros_like(before)
    for _ in range(_REWEIGHTINGS):
        here = np.einsum("bk,nkj->bnj", shares, step.reshape(count, kinds, 3))
        residual = left - np.einsum("bnij,bnj->bni", slopes, here)
        weight = 1 / np.sqrt((residual**2).sum(-1) + _NEAR**2)
        squares = np.einsum("bn,bnij,bnim->bnjm", weight, slopes, slopes)
        matrix = np.einsum("bnjm,bk,bl->nkjlm", squares, shares, shares, optimize=True)
        matrix = matrix.reshape(count, 3 * kinds, 3 * kinds)
        vector = np.einsum("bn,bnij,bni,bk->nkj", weight, slopes, left, shares, optimize=True).reshape(count, -1)
        if partner is not None:
            matrix = 0.5 * (matrix + sign[:, None] * matrix[partner] * sign)
            vector = 0.5 * (vector + sign * vector[partner])
        step = np.linalg.solve(matrix + held, (vector - before @ held)[..., None])[..., 0]
    return step.reshape(count, kinds, 3).transpose(1, 0, 2)


@dataclass(frozen=True)
class Placed:
    """Where a layout's N points are asked for in the pictures `rows` (m,) of a set: `positions` (N, 3), metres, with a
    head that looks straight ahead, and how they `slide` as it turns."""

    rows: NDArray[np.int64]
    positions: NDArray[np.float32]
    slide: Slide | None

    @staticmethod
    def everywhere(chosen: AnnotatedSet, positions: NDArray, slide: Slide | None) -> "list[Placed]":
        """The same in all pictures."""
        return [Placed(np.arange(len(chosen.paths)), np.asarray(positions, np.float32), slide)]


def calibrated(
    network: LandmarkNet, chosen: AnnotatedSet, clean: QuerySet, mirror: bool = False, follow: bool = True
) -> list[Placed]:
    """The 68 points of `clean` as optimised on `real_dev/lfpw`. `mirror`: for landmarks that are the mean with the
    mirrored picture's. Left and right get the same place. `follow`: places depend on the head's pose, see
    `Guide.fitted`. The faces of that set itself are split in two folds, so that none is scored with points placed on
    it. Raises UserError for a set of another layout than ibug68.
    """
    if chosen.layout != "ibug68":
        raise UserError(
            f'Queries are calibrated for "ibug68" alone, not "{chosen.layout}".', "Drop --calibrate.", "FQ265"
        )
    guide = Guide.of(network, clean, mirror, follow)
    if chosen.name != guide.name:
        return Placed.everywhere(chosen, *guide.fitted(np.ones(len(guide.paths), bool)))
    fold = two_folds(len(guide.paths))
    place = {path.name: number for path, number in zip(guide.paths, fold, strict=True)}
    own = np.array([place[path.name] for path in chosen.paths])
    return [Placed(np.flatnonzero(own == part), *guide.fitted(fold != part)) for part in (0, 1)]


@dataclass(frozen=True)
class Guide:
    """The pictures that a layout is optimised on: their names, descriptors (n, d), also of the mirrored pictures if
    those count, annotation in their crops (n, N, 2), where each is asked for the points of `clean` (n, N, 3), and
    yaw and pitch of the heads (n,), degrees, as the first answer shows them; None where places shall not follow it."""

    name: str
    paths: tuple[Path, ...]
    network: LandmarkNet
    clean: QuerySet
    descriptors: Tensor
    mirrored: Tensor | None
    target: NDArray[np.float64]
    asked: NDArray[np.float32]
    pose: tuple[NDArray, NDArray] | None

    @staticmethod
    def of(network: LandmarkNet, clean: QuerySet, mirror: bool = False, follow: bool = True) -> "Guide":
        """The calibration set. Raises UserError where it is absent."""
        chosen = load_annotated(source_data(CALIBRATION_SET))
        crops = chosen.crops()
        images = chosen.images(crops, network.config.input_size)
        descriptors = describe(network, images)
        mirrored = describe(network, images[:, :, ::-1]) if mirror else None
        scale = np.float32(HeadModel.load().scale)
        asked = np.repeat(clean.positions[None], len(images), axis=0)
        pose = None
        if follow:
            first = locate_both(network, descriptors, mirrored, asked * scale)
            asked = asked if clean.slide is None else clean.slide.followed(clean.positions, first)
            told = np.arange(len(clean)) if clean.slide is None else clean.slide.still(len(clean))
            pose = pose_of(clean.positions[told], first[:, told])
        target = to_crop(chosen.points, crops)
        return Guide(chosen.name, chosen.paths, network, clean, descriptors, mirrored, target, asked * scale, pose)

    def fitted(self, used: NDArray[np.bool_], rounds: int = 2) -> tuple[NDArray[np.float32], Slide | None]:
        """Positions (N, 3), metres, optimised on the pictures that are `used` (n,), and how they slide.

        Annotators see a picture, not a head: where they put a point depends on the pose, and so do a network's habits.
        Every point gets a shift, one that grows with the yaw, one with its square, and one with the pitch, beside
        whatever slides in `clean` already.
        """
        keep = torch.from_numpy(used)
        mirrored = None if self.mirrored is None else self.mirrored[keep]
        features = None if self.pose is None else pose_features(*self.pose)
        shifts = optimise_shifts(
            self.network, self.descriptors[keep], self.target[used], self.asked[used],
            None if features is None else features[used], np.array(_ODD[: 1 if features is None else None]), rounds,
            mirrored=mirrored, partner=load_layout("ibug68").mirror_index(),
        )  # fmt: skip
        shifts = shifts / HeadModel.load().scale
        positions = (self.clean.positions + shifts[0]).astype(np.float32)
        return positions, None if self.pose is None else _slide(self.clean, shifts)


_ODD = (False, True, False, False)  # of pose_features: what changes its sign when a picture is mirrored


def pose_features(yaw: NDArray, pitch: NDArray) -> NDArray[np.float64]:
    """(n, 4): 1, the yaw, its square, and the pitch, of heads in degrees; all about 1 at their most."""
    turned, raised = np.clip(yaw, -_MOST, _MOST) / _UNIT, np.clip(pitch, -STEEPEST, STEEPEST) / _UNIT
    return np.stack([np.ones_like(turned), turned, turned**2, raised], -1)


def _slide(clean: QuerySet, shifts: NDArray) -> Slide:
    """How points slide that are shifted by `shifts` (4, N, 3), metres, times `pose_features`."""
    yaws = np.linspace(-60.0, 60.0, 9) if clean.slide is None else clean.slide.yaws
    rows = np.repeat(clean.positions[None].astype(np.float64), len(yaws), axis=0)
    tilts = shifts[3] / _UNIT
    if clean.slide is not None:
        rows[:, clean.slide.indices] = clean.slide.positions
        if clean.slide.tilts is not None:
            tilts[clean.slide.indices] += clean.slide.tilts
    rows += np.einsum("yk,knj->ynj", pose_features(yaws, np.zeros(len(yaws))), shifts)
    return Slide(np.arange(len(clean)), yaws, rows.astype(np.float32), tilts.astype(np.float32))


def two_folds(count: int) -> NDArray[np.int64]:
    """Which of two folds each of `count` pictures is in: every other one."""
    return np.arange(count) % 2
