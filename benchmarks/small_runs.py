"""Small training runs of equal budgets, and what they are measured by, for benchmarks.ablations and benchmarks.parts.

A run lives in a folder and is resumable: killed or out of time, it goes on from its checkpoint.
"""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from facequery.assets import source_data
from facequery.errors import UserError
from facequery.evaluation.annotated import load_annotated
from facequery.head.layouts import load_layout
from facequery.head.model import HeadModel
from facequery.models.landmarks import LandmarkNet, images_to_input
from facequery.synthesis.clips import sample_clip
from facequery.synthesis.samples import FaceSampler
from facequery.training.cli import pick_device, start
from facequery.training.configs import DataConfig, TrainConfig
from facequery.training.dense_sources import members
from facequery.training.dense_task import DenseTask, predict
from facequery.training.landmark_task import LandmarkTask
from facequery.training.progress import Lines
from facequery.training.query_space import QuerySpace
from facequery.training.regions import draw_region, unit_of, view_of_region
from facequery.training.renders import on_surface, render_settings

SEED = 20  # of what runs are measured on


class OutOfTime(Exception):
    """The minutes that were given are over; the run goes on next time."""


@dataclass
class Clock:
    """Minutes that may be spent, from now."""

    minutes: float

    def __post_init__(self) -> None:
        self.begin = time.monotonic()

    def left(self) -> float:
        return self.minutes - (time.monotonic() - self.begin) / 60


def finished(config: TrainConfig, folder: Path, clock: Clock, measure: Callable[[Any, dict], dict]) -> dict[str, Any]:
    """Figures of a run: trained to the end of its schedule now, in earlier slices, or both. Raises OutOfTime.

    `measure(task, state)` is called with the averaged weights when training has ended.
    """
    result = folder / "result.json"
    described = json.loads(json.dumps(config.to_dict()))
    if result.exists():
        known = json.loads(result.read_text())
        if known["config"] == described:
            return known["figures"]
        raise UserError(f'"{folder}" holds a run of another configuration.', "Choose another folder.", "FQ540")
    if clock.left() <= 0:
        raise OutOfTime
    resume = (folder / "checkpoint.pt").exists()
    trainer = start(config, folder, resume, pick_device(None))
    if trainer.progress() < 1:
        trainer.run(clock.left(), Lines(lambda text: print(f"  {text}", flush=True)))
    else:
        trainer.task.close()
    if trainer.progress() < 1:
        raise OutOfTime
    figures = measure(trainer.task, trainer.average.state)
    figures["minutes"] = round(trainer.seconds / 60, 1)
    result.write_text(json.dumps({"config": described, "figures": figures}, indent=1))
    return figures


@dataclass(frozen=True)
class HeldOut:
    """Renders of held-out people with exact labels: `crops` and `regions` (n, S, S, 3) show the same scenes, cropped as
    a face finder would and with the face anywhere; `xy` and `region_xy` (n, N, 2) the landmarks in [-1, 1]; `visible`
    (n, N); `rotation` (n, 3, 3) of the crops; `ocular` (n,) distance of the outer eye corners in 3D, half crops, which
    does not shrink in profile; `unit` (n,). Queries are `ibug68` first, then points all over the face."""

    crops: np.ndarray
    regions: np.ndarray
    xy: np.ndarray
    region_xy: np.ndarray
    visible: np.ndarray
    rotation: np.ndarray
    ocular: np.ndarray
    unit: np.ndarray
    positions: np.ndarray


_HELD_OUT: dict[tuple[int, int, int], HeldOut] = {}


def sampler_of(split: str) -> FaceSampler:
    """A sampler without portrait skins, whose people are those of the split alone."""
    settings = replace(render_settings(DataConfig()), portrait_skins=0.0)
    return FaceSampler(settings, split)


def held_out(size: int, region: int, count: int = 200) -> HeldOut:
    """Held-out renders, the same in every call."""
    key = (size, region, count)
    if key in _HELD_OUT:
        return _HELD_OUT[key]
    from facequery.synthesis.labels import labels

    sampler = sampler_of("heldout")
    model = sampler.model
    part = model.parts["skin"]
    triangles = model.triangles[part.triangles]
    face = np.zeros(len(model.rest), bool)
    face[part.vertices] = model.region_mask("face")
    dense = on_surface(model.rest, triangles[face[triangles].all(1)], 1000, np.random.default_rng(SEED))
    positions = np.concatenate([load_layout("ibug68").positions, dense]).astype(np.float32)
    binding = model.bind(positions)
    rows: list[tuple[Any, ...]] = []
    for number in range(count):
        rng = np.random.default_rng([SEED, number])
        scene = sampler.draw_scene(rng)
        vertices = sampler.shapes([scene])[0]
        image, render = sampler.draw(rng, scene, size, vertices)
        found = labels(render, binding, model)
        moved = draw_region(rng)
        wide_scene = replace(scene, view=view_of_region(scene.view, moved))
        wide, wide_render = sampler.draw(rng, wide_scene, region, vertices)
        wide_xy = labels(wide_render, binding, model).xy
        eyes = binding.subset(np.array([36, 45])).moved(vertices, model.rest)
        ocular = np.linalg.norm(eyes[0] - eyes[1]) * 2 * scene.view.focal / scene.view.translation[2]
        rows.append((image, wide, found.xy, wide_xy, found.visible, scene.view.rotation, ocular, unit_of(moved)))
    arrays = [np.stack(column) for column in zip(*rows, strict=True)]
    _HELD_OUT[key] = HeldOut(*arrays, positions)
    return _HELD_OUT[key]


@torch.no_grad()
def landmarks_of(network: LandmarkNet, images: np.ndarray, queries: np.ndarray, batch: int = 32) -> np.ndarray:
    """Landmarks (n, N, 2) in [-1, 1] of pictures (n, S, S, 3), queries (N, dims)."""
    asked = torch.from_numpy(queries[:, : network.config.query_dims])
    pieces = [
        network(images_to_input(torch.from_numpy(part)), asked)[0]
        for part in np.array_split(images, -(-len(images) // batch))
    ]
    return torch.cat(pieces).double().numpy()


def on_renders(network: LandmarkNet, count: int = 200) -> dict[str, float]:
    """Errors on held-out renders, percent of the true distance of the outer eye corners: the 68 and points all over the
    face (`dense`). Networks with a spatial transformer see whole regions, the others crops of the same scenes."""
    config = network.config
    truth = held_out(config.input_size, config.region, count)
    queries, valid = QuerySpace(HeadModel.load(), config.query_dims)(truth.positions)
    if config.spatial:
        found = landmarks_of(network, truth.regions, queries)
        errors = np.linalg.norm(found - truth.region_xy, axis=-1) / (truth.ocular * truth.unit)[:, None]
    else:
        found = landmarks_of(network, truth.crops, queries)
        errors = np.linalg.norm(found - truth.xy, axis=-1) / truth.ocular[:, None]
    core, dense = valid.copy(), valid.copy()
    core[68:], dense[:68] = False, False
    return {
        "render68": round(100 * float(errors[:, core].mean()), 3),
        "render_dense": round(100 * float(errors[:, dense].mean()), 3),
    }


def steadiness(network: LandmarkNet, clips: int = 12, frames: int = 8) -> dict[str, float]:
    """NMF on held-out clips: root mean square change of the residual between frames, percent of the box's size."""
    config = network.config
    sampler = sampler_of("heldout")
    positions = load_layout("ibug68").positions
    binding = sampler.model.bind(positions)
    queries = QuerySpace(sampler.model, config.query_dims)(positions)[0]
    changes = []
    for number in range(clips):
        rng = np.random.default_rng([SEED, 1, number])
        clip = sample_clip(sampler, rng, frames, config.picture, binding)
        residual = landmarks_of(network, clip.images, queries) - clip.xy
        box = np.sqrt(np.prod(clip.xy.max(1) - clip.xy.min(1), axis=-1))
        changes.append(np.diff(residual, axis=0) / box[1:, None, None])
    return {"nmf": round(100 * float(np.sqrt(np.square(np.concatenate(changes)).sum(-1).mean())), 3)}


def measured(task: LandmarkTask, state: dict, renders: int = 200) -> dict[str, Any]:
    """Figures of a landmark run: real photographs (annotation boxes), held-out renders, steadiness."""
    network = task.network(state)
    real = {k: v for k, v in task.evaluate(state).items() if k.endswith(("nme68", "nme51"))}
    return {**real, **on_renders(network, renders), **steadiness(network)}


def measured_dense(task: DenseTask, state: dict) -> dict[str, Any]:
    """Figures of a 520-point run: held-out renders by yaw, and the inner 51 of its named 68 on real photographs, whose
    contour is another one (the outline, not the 3D jaw)."""
    figures: dict[str, Any] = dict(task.evaluate(state))
    network, size = task.network(state), task.config.model.input_size
    inner = members("face68_3d")[17:]
    for name in ("lfpw", "afw"):
        try:
            chosen = load_annotated(source_data(f"real_dev/{name}"))
        except UserError:
            continue
        crops = chosen.crops()
        found = predict(network, chosen.images(crops, size))[:, inner, :2] * (2 / size) - 1
        pixels = found @ np.swapaxes(crops[..., :2], -1, -2) + crops[:, None, :, 2]
        errors = np.linalg.norm(pixels - chosen.points[:, 17:], axis=-1) / chosen.ocular[:, None]
        figures[f"{name}_nme51"] = round(100 * float(errors.mean()), 3)
    return figures


def chunk_difference(network: LandmarkNet, count: int = 2048) -> float:
    """How far, in pixels of the crop, landmarks of a transformer move when it attends to `count` queries at once and
    not within chunks of 512: mean over queries and pictures."""
    truth = held_out(network.config.input_size, network.config.region)
    images = images_to_input(torch.from_numpy(truth.crops[:16]))
    model = HeadModel.load()
    positions = on_surface(
        model.rest, model.triangles[model.parts["skin"].triangles], count, np.random.default_rng(SEED)
    )
    queries = torch.from_numpy(QuerySpace(model, network.config.query_dims)(positions)[0])
    queries = queries[:, : network.config.query_dims]
    with torch.no_grad():
        descriptor = network.encode(images)
        chunked = network.decode(descriptor, queries)[0]
        network.attention_chunk = count
        whole = network.decode(descriptor, queries)[0]
    del network.attention_chunk  # back to the class's own
    return float((chunked - whole).norm(dim=-1).mean()) * network.config.input_size / 2
