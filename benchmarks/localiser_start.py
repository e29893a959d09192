"""A quick start of the spatial transformer: its localiser learns alone, from 2D landmarks, to lay the resting head's
landmarks over a face (`facequery.training.placing`), many times as fast as together with the rest of the network.

It sees stored regions anew: turned, scaled, shifted and mirrored at random, first nearly upright, then at any roll.
"""

import math
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import torch
from facequery.assets import source_data
from facequery.geometry.crops import apply_affine, invert_affine
from facequery.models.encoders import channels_last
from facequery.models.landmarks import images_to_input
from facequery.models.spatial_transformer import Localiser
from facequery.training.examples import Example, Mix, draw
from facequery.training.landmark_task import IMAGENET
from facequery.training.placing import placing_loss
from facequery.training.regions import LARGEST, SMALLEST
from torch import Tensor

from benchmarks.stored_draws import mirrored

STEPS, BATCH = 2_000, 32  # of the start
_FACE = 0.62  # height of a face over that of its normalised crop
_PIXELS = 128  # side of a crop: the unit of the loss
_FULL_TURN = 0.4  # share of the steps after which faces lie at any roll; before, it grows from _FIRST_TURN degrees
_FIRST_TURN = 30.0


def untrained(seed: int = 4) -> Localiser:
    """A localiser before any training: a backbone that knows ImageNet, and no faces."""
    torch.manual_seed(seed)
    localiser = channels_last(Localiser())
    localiser.backbone.load_imagenet(source_data(IMAGENET))
    return localiser


def started(mix: Mix, steps: int, kept: Path) -> dict[str, Tensor]:
    """The weights of a localiser after a quick start, named as in a LandmarkNet; trained now, as far as `kept` does not
    hold them."""
    torch.set_num_threads(1)
    localiser = untrained()
    learn_to_place(localiser, mix, steps, kept)
    return {f"localiser.{name}": value for name, value in localiser.state_dict().items()}


def learn_to_place(localiser: Localiser, mix: Mix, steps: int, kept: Path, batch: int = BATCH, seed: int = 6) -> None:
    """Train a localiser on regions, turned, scaled, shifted and mirrored at random. What `kept` holds goes on."""
    learned = [p for stage in localiser.backbone.stages()[3:] for p in stage.parameters()]
    learned += [p for name, p in localiser.named_parameters() if not name.startswith("backbone.")]
    for stage in localiser.backbone.stages()[:3]:
        stage.requires_grad_(False)
    rate = 1e-3
    optimiser = torch.optim.AdamW(learned, rate, weight_decay=0.02)
    first = 0
    if kept.exists():
        state = torch.load(kept, weights_only=True)
        first = state["step"]
        localiser.load_state_dict(state["localiser"])
        optimiser.load_state_dict(state["optimiser"])
    localiser.train()
    average = 0.0
    for step in range(first, steps):
        rng = np.random.default_rng([seed, step])
        for group in optimiser.param_groups:
            falling = 0.5 * (1 + math.cos(math.pi * step / steps)) + 0.005
            group["lr"] = rate * min(1.0, 20 * (step + 1) / steps) * falling
        widest = math.radians(_FIRST_TURN + (180 - _FIRST_TURN) * min(1.0, step / (_FULL_TURN * steps)))
        sources = rng.choice(len(mix.sources), batch, p=mix.shares)
        drawn = [_moved(rng, draw(mix.sources[i], rng)[0], localiser.side, widest) for i in sources]
        images = images_to_input(torch.from_numpy(np.stack([e.image for e in drawn])))
        labels = (
            torch.from_numpy(np.array(column, np.float32))
            for column in zip(*((e.query, e.xy, e.weight, e.unit) for e in drawn), strict=True)
        )
        with torch.autocast("cpu", torch.bfloat16):
            similarity = localiser(images)
        loss = placing_loss(similarity, *labels, _PIXELS)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(learned, 100.0)
        optimiser.step()
        average += (float(loss.detach()) - average) * max(0.02, 1 / (step - first + 1))
        if step % 100 == 99 or step == steps - 1:
            print(f"  {(step + 1) * batch:8d} samples  loss {average:.1f}", flush=True)
            state = {"step": step + 1, "localiser": localiser.state_dict(), "optimiser": optimiser.state_dict()}
            torch.save(state, kept)
    localiser.eval().requires_grad_(True)


def _moved(rng: np.random.Generator, example: Example, side: int, widest: float) -> Example:
    """A region seen anew, as a picture of `side` pixels: half of them turned by any angle up to `widest`, radians."""
    unit = example.unit
    lowest, highest = max(SMALLEST / _FACE, 0.6 * unit), min(LARGEST / _FACE, 1.7 * unit)
    wanted = np.exp(rng.uniform(np.log(lowest), np.log(max(highest, lowest))))
    turn = rng.uniform(-widest, widest) if rng.random() < 0.5 else np.radians(rng.normal(0, 20))
    scale = unit / wanted  # of the new picture over the old one
    linear = scale * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    room = max(1 - 0.9 * wanted * _FACE, 0.03)
    middle = np.median(example.xy, axis=0)
    new_to_old = np.hstack([linear, (middle - linear @ rng.uniform(-room, room, 2))[:, None]])
    old = example.image
    if scale * len(old) > 1.6 * side:
        old = np.asarray(cv2.resize(old, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA), np.uint8)  # no aliasing
    half = len(old) / 2
    to_old = np.array([[half, 0, half - 0.5], [0, half, half - 0.5]])
    to_new = np.array([[2 / side, 0, 1 / side - 1], [0, 2 / side, 1 / side - 1], [0, 0, 1]])
    pixels = to_old @ np.vstack([new_to_old @ to_new, [0, 0, 1]])
    image = cv2.warpAffine(old, pixels, (side, side), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
                           borderMode=cv2.BORDER_REPLICATE)  # fmt: skip
    gain, offset = np.exp(rng.normal(0, 0.25, 3)), rng.normal(0, 20)
    image = np.clip(image * gain + offset, 0, 255).astype(np.uint8)
    xy = apply_affine(invert_affine(new_to_old), example.xy).astype(np.float32)
    moved = replace(example, image=image, xy=xy, unit=float(wanted))
    return mirrored(moved) if rng.random() < 0.5 else moved
