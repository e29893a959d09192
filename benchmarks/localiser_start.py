"""A quick start of the spatial transformer: its localiser learns, from 2D landmarks alone, to lay the resting head's
landmarks over a face.

The landmark loss reaches the localiser through the inverse of its crop. While the predictor answers about the mean face
whatever the crop shows, that is all there is to learn, and it needs no encoder: the resting head's landmarks, seen from
the front, stand for the predictor. Nobody says which crop is right.
"""

import cv2
import numpy as np
import torch
from facequery.geometry.crops import apply_affine, crop_from_points, invert_affine
from facequery.head.model import HeadModel
from facequery.models.landmarks import images_to_input
from facequery.models.spatial_transformer import Localiser, carry_back
from facequery.training.losses import wing
from facequery.training.regions import LARGEST, SMALLEST
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.stored_draws import LABELS, Arrays

_FACE = 0.62  # height of a face over that of its normalised crop
_STORED = 96  # pixels of the pictures that are turned and shifted
_PIXELS = 64.0  # half a crop, pixels: the unit of the loss


def resting_landmarks(positions: NDArray) -> NDArray[np.float32]:
    """Where the resting head's points (N, 3), metres, lie in its normalised crop, seen from the front: (N, 2)."""
    model = HeadModel.load()
    flat = 1000 * np.array([1.0, -1.0])  # millimetres, y down: crops are for pixels
    corners = model.rest[model.normalisation_vertices].astype(np.float64)
    four = np.concatenate([0.5 * (corners[[0, 2]] + corners[[1, 3]]), corners[4:]])[:, :2] * flat
    crop = crop_from_points(four)
    return apply_affine(invert_affine(crop), positions[:, :2] * flat).astype(np.float32)


def learn_to_place(localiser: Localiser, arrays: Arrays, steps: int, batch: int = 32, seed: int = 6) -> None:
    """Train a localiser on stored regions (`stored_draws.renders`), turned, scaled, shifted and mirrored at random."""
    rng = np.random.default_rng(seed)
    small = np.stack([cv2.resize(i, (_STORED, _STORED), interpolation=cv2.INTER_AREA) for i in arrays["image"]])
    xy, weight, unit = arrays["xy"][:, LABELS:], arrays["weight"][:, LABELS:], arrays["unit"]
    resting = resting_landmarks(arrays["positions"][-xy.shape[1] :])
    rate = 1.5e-3
    optimiser = torch.optim.AdamW(localiser.parameters(), rate, weight_decay=0.02)
    localiser.train()
    for step in range(steps):
        for group in optimiser.param_groups:
            group["lr"] = rate * min(1.0, 20 * (step + 1) / steps) * (0.5 * (1 + np.cos(np.pi * step / steps)) + 0.005)
        rows = rng.integers(len(small), size=batch)
        drawn = [_moved(rng, small[i], xy[i], float(unit[i]), localiser.side) for i in rows]
        images = images_to_input(torch.from_numpy(np.stack([image for image, *_ in drawn])))
        target, mirrored, scale = (
            torch.from_numpy(np.array([each[k] for each in drawn], np.float32)) for k in (1, 2, 3)
        )
        start = torch.from_numpy(resting)[None] * torch.stack([mirrored, torch.ones_like(mirrored)], -1)[:, None]
        loss = _loss(localiser(images), start, target, torch.from_numpy(weight[rows]), scale)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(localiser.parameters(), 100.0)
        optimiser.step()
        if step % 200 == 199:
            print(f"  {(step + 1) * batch:8d} samples  loss {float(loss.detach()):.1f}", flush=True)
    localiser.eval()


def _loss(similarity: Tensor, start: Tensor, target: Tensor, weight: Tensor, unit: Tensor) -> Tensor:
    """Wing loss of landmarks `start` (B, N, 2) carried back by the similarities (B, 4)."""
    carried, _ = carry_back(similarity, start, torch.zeros(start.shape[:2]))
    # between pixels of the crop, in which small faces would be all that counts, and those of the picture
    values = wing((carried - target) * (_PIXELS / unit.sqrt())[:, None, None]).sum(-1)
    return (values * weight).sum() / weight.sum()


def _moved(
    rng: np.random.Generator, image: NDArray, xy: NDArray, unit: float, side: int
) -> tuple[NDArray[np.uint8], NDArray[np.float64], float, float]:
    """A region seen anew: picture (side, side, 3), landmarks (N, 2), -1 if mirrored else 1, and its unit."""
    lowest, highest = max(SMALLEST / _FACE, 0.6 * unit), min(LARGEST / _FACE, 1.7 * unit)
    wanted = np.exp(rng.uniform(np.log(lowest), np.log(max(highest, lowest))))
    turn = rng.uniform(-np.pi, np.pi) if rng.random() < 0.5 else np.radians(rng.normal(0, 20))
    scale = unit / wanted  # of the new picture over the old one
    linear = scale * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    room = max(1 - 0.9 * wanted * _FACE, 0.03)
    middle = 0.5 * (xy.min(0) + xy.max(0))
    new_to_old = np.hstack([linear, (middle - linear @ rng.uniform(-room, room, 2))[:, None]])
    points = apply_affine(invert_affine(new_to_old), xy)
    to_old = np.array([[_STORED / 2, 0, _STORED / 2 - 0.5], [0, _STORED / 2, _STORED / 2 - 0.5]])
    to_new = np.array([[2 / side, 0, 1 / side - 1], [0, 2 / side, 1 / side - 1], [0, 0, 1]])
    pixels = to_old @ np.vstack([new_to_old @ to_new, [0, 0, 1]])
    seen = cv2.warpAffine(image, pixels, (side, side), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
                          borderMode=cv2.BORDER_REPLICATE)  # fmt: skip
    gain, offset = np.exp(rng.normal(0, 0.25, 3)), rng.normal(0, 20)
    seen = np.clip(seen * gain + offset, 0, 255).astype(np.uint8)
    if rng.random() < 0.5:
        return np.ascontiguousarray(seen[:, ::-1]), points * [-1, 1], -1.0, wanted
    return seen, points, 1.0, wanted
