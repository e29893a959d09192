"""Inf3D's three additions shown at work: python -m benchmarks.parts transformer|head3d|correction [--minutes M]

- transformer: a picture of the crops that the spatial transformer takes, before and after training by landmarks alone,
  and how far from the true crop they are;
- head3d: the head pose of held-out renders, learned from 2D landmarks alone;
- correction: a second data set whose landmarks lie a known distance beside the first one's; the shift that is found.

Small runs on renders at 96 px, resumable; pictures and figures go to runs/parts, and the figures are printed.
"""

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from facequery.errors import UserError
from facequery.head.layouts import load_layout
from facequery.head.model import HeadModel
from facequery.models.landmarks import LandmarkConfig, LandmarkNet, images_to_input
from facequery.models.spatial_transformer import resample
from facequery.training import landmark_task
from facequery.training.configs import DataConfig, TrainConfig
from facequery.training.examples import Example, Mix
from facequery.training.learner import Learner
from facequery.training.renders import RenderSource

from benchmarks.small_runs import Clock, OutOfTime, finished, held_out

ROOT = Path(__file__).resolve().parents[1]
OFFSET = 0.06  # network units (6 mm) by which the second data set's landmarks lie to the subject's left and up


def config_of(name: str, samples: int) -> TrainConfig:
    """The run that shows a part."""
    model = LandmarkConfig(encoder="resnet_dense", input_size=96, region=192)
    config = TrainConfig(
        name=f"part_{name}", model=model,
        data=DataConfig(renders=1.0, portraits=0.0, portrait_skins=0.0, reuse=3.0, slots=2048, queries=128),
        imagenet=False, frozen_stages=0, encoder_rate=1.0, steps=max(1, samples // 32), evaluate_minutes=0, epoch=0,
        ema=0.99, warmup=0.05, seed=4, checkpoint_minutes=1.0, correction=name == "correction",
    )  # fmt: skip
    if name == "transformer":
        return replace(config, model=replace(model, spatial=True))
    if name == "head3d":
        return replace(config, model=replace(model, space="3d"))
    # half of each batch is the second data set; it takes the place of the portraits
    return replace(config, data=replace(config.data, renders=0.5, portraits=0.5))


class Displaced:
    """Renders whose annotators place every landmark beside where its query says: the same people, another data set."""

    def __init__(self, source: RenderSource) -> None:
        self.source = source

    def sample(self, rng: np.random.Generator) -> Example:
        example = self.source.sample(rng)
        # a landmark that is labelled q lies at q + OFFSET: so the query that is named is q = place - OFFSET
        query = example.query - np.array([OFFSET, OFFSET, 0], np.float32)
        return replace(example, query=query, dataset=1)


def two_conventions(data: DataConfig, size: int, dims: int = 3, region: bool = False, alone: bool = False) -> Mix:
    """Sources of the correction's demonstration; called in every process that makes images."""
    source = RenderSource(size, data, dims, region, **({"together": 1} if alone else {}))
    return Mix([source, Displaced(source)], [data.renders, data.portraits])


def crop_sheet(network: LandmarkNet, count: int = 12) -> tuple[np.ndarray, dict[str, float]]:
    """Held-out regions above the crops that are taken from them (RGB), and how far off the crops are: their centre over
    the true crop's half side, the spread of size (a ratio) and turn, medians."""
    config = network.config
    truth = held_out(config.input_size, config.region)
    images = images_to_input(torch.from_numpy(truth.regions))
    with torch.no_grad():
        similarity = torch.cat([network.crop(network.encode(part)) for part in images.split(32)])
        crops = resample(images[:count], similarity[:count], config.region)
    shown = ((crops.permute(0, 2, 3, 1).numpy() + 1) * 127.5).clip(0, 255).astype(np.uint8)
    sheet = np.concatenate([np.hstack(list(truth.regions[:count])), np.hstack(list(shown))])
    # the true crop of a region: the similarity that takes crop landmarks to region landmarks
    ones = np.ones((len(truth.xy), truth.xy.shape[1], 1))
    both = np.concatenate([truth.xy, ones], -1).astype(np.float64)
    true = np.stack([np.linalg.lstsq(a, b, rcond=None)[0].T for a, b in zip(both, truth.region_xy, strict=True)])
    found = similarity.double().numpy()
    size = np.sqrt(np.abs(np.linalg.det(true[:, :, :2])))
    turn = np.arctan2(true[:, 1, 0], true[:, 0, 0])
    off = np.linalg.norm(found[:, 2:] - true[:, :, 2], axis=-1) / size
    # what counts is that crops are alike, not which crop the network likes: size and turn up to a common one
    turned = np.exp(1j * (found[:, 1] - turn))
    turned = np.abs(np.angle(turned / turned.mean()))
    ratio = np.exp(np.abs(np.log(found[:, 0] / size) - np.median(np.log(found[:, 0] / size))))
    return sheet, {
        "centre_off": round(float(np.median(off)), 3),
        "size_ratio_spread": round(float(np.median(ratio)), 3),
        "turn_spread_degrees": round(float(np.degrees(np.median(turned))), 1),
    }


def pose_errors(network: LandmarkNet) -> dict[str, float]:
    """Degrees between the predicted and the true head rotation on held-out renders, median and 90 %, and for heads
    turned by less than 60 degrees. A crop's own camera is turned a little against the picture's: that is part of it."""
    truth = held_out(network.config.input_size, network.config.region)
    queries = torch.from_numpy(load_layout("ibug68").positions * np.float32(HeadModel.load().scale))
    with torch.no_grad():
        pieces = [
            network.lift(network.encode(images_to_input(torch.from_numpy(part))), queries)[2].camera.rotation
            for part in np.array_split(truth.crops, 8)
        ]
    found = torch.cat(pieces).double().numpy()
    trace = np.einsum("nij,nij->n", found, truth.rotation.astype(np.float64))
    angle = np.degrees(np.arccos(np.clip((trace - 1) / 2, -1, 1)))
    frontal = truth.rotation[:, 2, 2] < -0.5  # canonical z points out of the face, the camera's into the picture
    return {
        "pose_median": round(float(np.median(angle)), 2),
        "pose_90": round(float(np.percentile(angle, 90)), 2),
        "pose_median_within_60": round(float(np.median(angle[frontal])), 2),
    }


def shift_found(learner: Learner) -> dict[str, float]:
    """The shift that the correction gives the second data set's queries, and the true one, millimetres."""
    assert learner.correction is not None
    scale = HeadModel.load().scale
    queries = torch.from_numpy(load_layout("dense520").positions * np.float32(scale))[None]
    with torch.no_grad():
        shift = learner.correction(queries.expand(2, -1, -1), torch.tensor([0, 1])).numpy() * 1000 / scale
    true = np.array([OFFSET, OFFSET, 0]) * 1000 / scale
    return {
        "true_mm": round(float(np.linalg.norm(true)), 2),
        "found_mm": round(float(np.linalg.norm(shift[1].mean(0))), 2),
        "left_over_mm": round(float(np.linalg.norm(shift[1] - true, axis=-1).mean()), 2),
        "reference_mm": round(float(np.abs(shift[0]).max()), 2),
    }


def show(name: str, folder: Path, samples: int, clock: Clock) -> dict[str, Any]:
    """Train the part's run, as far as time allows, and measure it. Raises OutOfTime."""
    config = config_of(name, samples)
    folder.mkdir(parents=True, exist_ok=True)
    if name == "correction":
        landmark_task.make_mix = two_conventions  # type: ignore[assignment]

    def measure(task: landmark_task.LandmarkTask, state: dict) -> dict[str, Any]:
        network = task.network(state)
        if name == "transformer":
            torch.manual_seed(config.seed)
            before, untrained = crop_sheet(LandmarkNet(config.model).eval())
            after, trained = crop_sheet(network)
            rows = np.concatenate([before, after[len(after) // 2 :]])
            cv2.imwrite(str(folder / "crops.png"), rows[..., ::-1])
            return {**{f"before_{k}": v for k, v in untrained.items()}, **trained}
        if name == "head3d":
            return pose_errors(network)
        learner = Learner(config)
        learner.load_state_dict({key: value.cpu() for key, value in state.items()})
        return shift_found(learner)

    return finished(config, folder, clock, measure)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=("transformer", "head3d", "correction"))
    parser.add_argument("--minutes", type=float, default=10.0, help="spend about this long now")
    parser.add_argument("--samples", type=int, default=60_000, help="length of the whole run")
    parser.add_argument("--folder", type=Path, help="where the run lives; runs/parts/PART by default")
    options = parser.parse_args()
    folder = options.folder or ROOT / "runs" / "parts" / options.part
    try:
        print(json.dumps(show(options.part, folder, options.samples, Clock(options.minutes))))
    except OutOfTime:
        raise SystemExit("Not finished; the same command goes on.") from None
    except UserError as error:
        raise SystemExit(str(error)) from None


if __name__ == "__main__":
    main()
