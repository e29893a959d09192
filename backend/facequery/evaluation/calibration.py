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
from facequery.head.slide import Slide
from facequery.models.landmarks import LandmarkNet, images_to_input

CALIBRATION_SET = "real_dev/lfpw"  # the only set that queries may be optimised on
MIRROR = np.array([-1.0, 1.0, 1.0])  # of canonical space
_DIFFERENCE = 0.01  # network units: 1 mm
_LONGEST = 0.15  # of a round's step
_NEAR = 0.003  # crop units: residuals below it count as squared ones
_REWEIGHTINGS = 5
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

    `descriptors` (n, d) of the pictures, `start` (N, 3) the first guess, to which the result is pulled softly: `pull`
    times the squared distance is added to the mean distance of the landmarks. Every round the network is linearised in
    the query, by differences, and the mean distance minimised by reweighted least squares (Weiszfeld). `placed`
    (n, N, 3): where `start` is asked for in each picture, for layouts that slide; what is found is then a shift that
    they all have in common. `mirrored` (n, d): descriptors of the mirrored pictures, if landmarks are to be the mean of
    both. `partner` (N,): which point is each one's mirror image; left and right then get the same place, as if every
    picture were an example twice, the second time mirrored.
    """
    start = np.asarray(start, np.float64)
    asked = np.broadcast_to(start, (len(target), *start.shape)) if placed is None else np.asarray(placed, np.float64)
    shift = np.zeros_like(start)
    for _ in range(rounds):
        at = locate_both(network, descriptors, mirrored, asked + shift)
        slopes = [
            (locate_both(network, descriptors, mirrored, asked + shift + _DIFFERENCE * axis) - at) / _DIFFERENCE
            for axis in np.eye(3)
        ]
        step = _step(target - at, np.stack(slopes, -1), shift, pull, partner)
        length = np.linalg.norm(step, axis=-1, keepdims=True)
        shift = shift + step * np.minimum(1.0, _LONGEST / np.maximum(length, 1e-12))
    return np.asarray(start + shift, np.float32)


def _step(left: NDArray, slopes: NDArray, shift: NDArray, pull: float, partner: NDArray | None) -> NDArray[np.float64]:
    """Steps (N, 3) that minimise mean |left - slopes step| + pull |shift + step|^2, left (n, N, 2), slopes
    (n, N, 2, 3)."""
    held = 2 * pull * len(left) * np.eye(3)
    step = np.zeros_like(shift)
    for _ in range(_REWEIGHTINGS):
        residual = left - np.einsum("bnij,nj->bni", slopes, step)
        weight = 1 / np.sqrt((residual**2).sum(-1) + _NEAR**2)
        matrix = np.einsum("bn,bnij,bnik->njk", weight, slopes, slopes)
        vector = np.einsum("bn,bnij,bni->nj", weight, slopes, left)
        if partner is not None:
            matrix = matrix + MIRROR[:, None] * matrix[partner] * MIRROR
            vector = vector + MIRROR * vector[partner]
            matrix, vector = 0.5 * matrix, 0.5 * vector
        step = np.linalg.solve(matrix + held, (vector - shift @ held)[..., None])[..., 0]
    return step


def calibrated_queries(
    network: LandmarkNet, chosen: AnnotatedSet, start: NDArray, slide: Slide | None = None, mirror: bool = False
) -> NDArray[np.float32]:
    """Queries (n, 68, 3), network units, of every picture, optimised on `real_dev/lfpw` from `start` (68, 3).

    `slide`: of the layout that `start` is; the queries are those of a head that looks straight ahead. `mirror`: for
    landmarks that are the mean with the mirrored picture's. Left and right get the same place. The faces of that set
    itself are split in two folds, so that none is scored with points placed on it.
    Raises UserError for another layout than ibug68.
    """
    if chosen.layout != "ibug68":
        raise UserError(
            f'Queries are calibrated for "ibug68" alone, not "{chosen.layout}".', "Drop --calibrate.", "FQ265"
        )
    guide = Guide.of(network, start, slide, mirror)
    everyone = np.ones(len(guide.paths), bool)
    if chosen.name != guide.name:
        fitted = guide.fitted(network, everyone)
        return np.broadcast_to(fitted, (len(chosen.paths), *fitted.shape))
    fold = two_folds(len(guide.paths))
    each = np.stack([guide.fitted(network, fold != part) for part in (0, 1)])
    place = {path.name: number for path, number in zip(guide.paths, fold, strict=True)}
    return each[[place[path.name] for path in chosen.paths]]


@dataclass(frozen=True)
class Guide:
    """The pictures that queries are optimised on: their names, descriptors (n, d), annotation in their crops (n, 68, 2)
    and where each is asked for the 68 points of `start` (n, 68, 3)."""

    name: str
    paths: tuple[Path, ...]
    descriptors: Tensor
    mirrored: Tensor | None
    target: NDArray[np.float64]
    start: NDArray
    placed: NDArray

    @staticmethod
    def of(network: LandmarkNet, start: NDArray, slide: Slide | None = None, mirror: bool = False) -> "Guide":
        """The calibration set. Raises UserError where it is absent."""
        chosen = load_annotated(source_data(CALIBRATION_SET))
        crops = chosen.crops()
        images = chosen.images(crops, network.config.input_size)
        descriptors = describe(network, images)
        mirrored = describe(network, images[:, :, ::-1]) if mirror else None
        placed = slid(network, descriptors, start, slide)
        return Guide(chosen.name, chosen.paths, descriptors, mirrored, to_crop(chosen.points, crops), start, placed)

    def fitted(self, network: LandmarkNet, used: NDArray[np.bool_], rounds: int = 2) -> NDArray[np.float32]:
        """Queries (68, 3) optimised on the pictures that are `used` (n,)."""
        keep = torch.from_numpy(used)
        mirrored = None if self.mirrored is None else self.mirrored[keep]
        partner = load_layout("ibug68").mirror_index()
        return optimise_queries(
            network, self.descriptors[keep], self.target[used], self.start, rounds, placed=self.placed[used],
            mirrored=mirrored, partner=partner,
        )  # fmt: skip


def slid(network: LandmarkNet, descriptors: Tensor, start: NDArray, slide: Slide | None) -> NDArray[np.float32]:
    """Queries (n, N, 3), network units, of a layout `start` (N, 3) in pictures by their descriptors (n, d): where they
    slide to, or everywhere the same without a `slide`."""
    if slide is None:
        return np.repeat(np.asarray(start, np.float32)[None], len(descriptors), axis=0)
    scale = np.float32(HeadModel.load().scale)
    return slide.followed(start / scale, locate(network, descriptors, start)[0]) * scale


def two_folds(count: int) -> NDArray[np.int64]:
    """Which of two folds each of `count` pictures is in: every other one."""
    return np.arange(count) % 2
