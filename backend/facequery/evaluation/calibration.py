"""Query optimisation of a layout: where on the canonical head the points of somebody else's annotation lie.

CLD, section 3.4: the network is frozen, the 3D queries are optimised on annotated pictures.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from facequery.assets import source_data
from facequery.errors import UserError
from facequery.evaluation.annotated import AnnotatedSet, load_annotated, to_crop
from facequery.head.model import HeadModel
from facequery.head.slide import Slide
from facequery.models.landmarks import LandmarkNet, images_to_input

CALIBRATION_SET = "real_dev/lfpw"  # the only set that queries may be optimised on


@torch.no_grad()
def describe(network: LandmarkNet, images: NDArray[np.uint8], batch: int = 32) -> Tensor:
    """Descriptors (n, d) of crops (n, S, S, 3) uint8."""
    pieces = [
        network.encode(images_to_input(torch.from_numpy(p))) for p in np.array_split(images, -(-len(images) // batch))
    ]
    return torch.cat(pieces).float()


def optimise_queries(
    network: LandmarkNet, descriptors: Tensor, target: NDArray, start: NDArray, steps: int = 200, batch: int = 48,
    rate: float = 0.01, pull: float = 0.02, seed: int = 0, placed: NDArray | None = None,
) -> NDArray[np.float32]:  # fmt: skip
    """Queries (N, 3), network units, whose landmarks come nearest to `target` (n, N, 2), crop coordinates.

    `descriptors` (n, d) of the pictures, `start` (N, 3) the first guess, to which the result is pulled softly. The mean
    distance is minimised over random batches of pictures with Adam. `placed` (n, N, 3): where `start` is asked for in
    each picture, for layouts that slide; what is optimised is then a shift that they all have in common.
    """
    rng = np.random.default_rng(seed)
    first = torch.from_numpy(np.asarray(start, np.float32))
    goal = torch.from_numpy(np.asarray(target, np.float32))
    queries = first.clone().requires_grad_(True)
    shifts = None if placed is None else torch.from_numpy(np.asarray(placed, np.float32)) - first
    optimiser = torch.optim.Adam([queries], lr=rate)
    for step in range(steps):
        for group in optimiser.param_groups:
            group["lr"] = rate * (1 - step / steps)
        chosen = torch.from_numpy(rng.choice(len(goal), min(batch, len(goal)), replace=False))
        asked = queries if shifts is None else queries + shifts[chosen]
        xy, _ = network.decode(descriptors[chosen], asked)
        distance = (xy - goal[chosen]).square().sum(-1).add(1e-8).sqrt().mean()
        loss = distance + pull * (queries - first).square().sum(-1).mean()
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
    return queries.detach().numpy()


@torch.no_grad()
def locate(network: LandmarkNet, descriptors: Tensor, queries: NDArray) -> tuple[NDArray, NDArray]:
    """Landmarks (n, N, 2) and sigma (n, N), crop coordinates, of queries (N, 3) in network units."""
    xy, log_sigma = network.decode(descriptors, torch.from_numpy(np.asarray(queries, np.float32)))
    return xy.double().numpy(), log_sigma.exp().double().numpy()


def calibrated_queries(
    network: LandmarkNet, chosen: AnnotatedSet, start: NDArray, slide: Slide | None = None
) -> NDArray[np.float32]:
    """Queries (n, 68, 3), network units, of every picture, optimised on `real_dev/lfpw` from `start` (68, 3).

    `slide`: of the layout that `start` is; the queries are those of a head that looks straight ahead. The faces of that
    set itself are split in two folds, so that none is scored with points placed on it.
    Raises UserError for another layout than ibug68.
    """
    if chosen.layout != "ibug68":
        raise UserError(
            f'Queries are calibrated for "ibug68" alone, not "{chosen.layout}".', "Drop --calibrate.", "FQ525"
        )
    guide = load_annotated(source_data(CALIBRATION_SET))
    crops = guide.crops()
    descriptors = describe(network, guide.images(crops, network.config.input_size))
    target = to_crop(guide.points, crops)
    placed = slid(network, descriptors, start, slide)
    if chosen.name != guide.name:
        fitted = optimise_queries(network, descriptors, target, start, placed=placed)
        return np.broadcast_to(fitted, (len(chosen.paths), *fitted.shape))
    fold = two_folds(len(guide.paths))
    each = np.empty((2, *start.shape), np.float32)
    for part in (0, 1):
        others = fold != part
        kept = descriptors[torch.from_numpy(others)]
        each[part] = optimise_queries(network, kept, target[others], start, placed=placed[others])
    place = {path.name: number for path, number in zip(guide.paths, fold, strict=True)}
    return each[[place[path.name] for path in chosen.paths]]


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
