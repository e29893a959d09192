"""Small training runs of equal budgets, and what they are measured by, for benchmarks.ablations and benchmarks.parts.

A run lives in a folder and is resumable: killed or out of time, it goes on from its checkpoint. What it sees is stored
(`benchmarks.stored_draws`), so that it needs one core and the same run always sees the same pictures.
"""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from facequery.assets import source_data
from facequery.errors import UserError
from facequery.evaluation.annotated import AnnotatedSet, load_annotated
from facequery.geometry.crops import apply_affine, compose
from facequery.head.layouts import load_layout
from facequery.head.model import HeadModel
from facequery.head.query_space import QuerySpace
from facequery.models.landmarks import LandmarkNet, images_to_input
from facequery.synthesis.clips import sample_clip
from facequery.synthesis.samples import FaceSampler
from facequery.synthesis.scene import View
from facequery.training import dense_task, landmark_task
from facequery.training.cli import start
from facequery.training.configs import TrainConfig
from facequery.training.dense_sources import members
from facequery.training.examples import Mix
from facequery.training.progress import Lines
from facequery.training.regions import draw_region, unit_of, view_of_region
from facequery.training.renders import on_surface, render_settings
from facequery.training.trainer import Trainer
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from benchmarks.stored_draws import DATA, Arrays, kept

SEED = 20  # of what runs are measured on
ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT / "runs" / "shared"  # pictures that runs share
DENSE = 400  # points of the face that a network is asked for on held-out renders
AROUND = 1.6  # side of the region that a spatial transformer is given, over that of the crop that others see


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


def small_trainer(config: TrainConfig, folder: Path, resume: bool, mix: Mix, initial: Path | None = None) -> Trainer:
    """A trainer on the CPU whose examples come from `mix`, made in this process from seed and step alone. `initial`:
    weights to begin with."""
    landmark_task.make_mix = lambda *_: mix
    dense_task.make_dense_mix = lambda *_: mix
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]  # costs time, shows nothing
    return start(replace(config, deterministic=True), folder, resume, "cpu", initial)


def finished(
    config: TrainConfig, folder: Path, clock: Clock, mix: Callable[[], Mix], measure: Callable[[Any, dict], dict],
    initial: Path | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Figures of a run: trained to the end of its schedule now, in earlier slices, or both. Raises OutOfTime, and
    SystemExit after Ctrl-C or SIGTERM.

    `mix()` gives what it is trained on, `initial` weights to begin with; `measure(task, state)` is called with the
    averaged weights in the end.
    """
    result = folder / "result.json"
    described = json.loads(json.dumps(config.to_dict()))
    if result.exists():
        known = json.loads(result.read_text())
        if same_run(known["config"], described, json.loads(json.dumps(TrainConfig().to_dict()))):
            return known["figures"]
        raise UserError(f'"{folder}" holds a run of another configuration.', "Choose another folder.", "FQ540")
    if clock.left() <= 0:
        raise OutOfTime
    spent = Spent(folder / "cpu_seconds")
    trainer = small_trainer(config, folder, (folder / "checkpoint.pt").exists(), mix(), initial)
    if trainer.progress() < 1:
        trainer.run(clock.left(), Lines(lambda text: print(f"  {text}", flush=True)))
    else:
        trainer.task.close()
    spent.note()
    if trainer.stop:
        raise SystemExit("Stopped; the same command goes on.")
    if trainer.progress() < 1:
        raise OutOfTime
    figures = measure(trainer.task, trainer.average.state)
    figures["minutes"] = round(trainer.seconds / 60, 1)
    figures["cpu_minutes"] = round(spent.note() / 60, 1)
    result.write_text(json.dumps({"config": described, "figures": figures}, indent=1))
    return figures


class Spent:
    """Processor time of a run, over all the times that it went on, kept in a file."""

    def __init__(self, path: Path) -> None:
        self.path, self.begin = path, time.process_time()

    def note(self) -> float:
        """Add what was spent since the last time; the sum, seconds."""
        now = time.process_time()
        total = (float(self.path.read_text()) if self.path.exists() else 0.0) + now - self.begin
        self.begin = now
        self.path.write_text(f"{total:.1f}")
        return total


def same_run(known: Any, now: Any, default: Any) -> bool:
    """Whether two descriptions of a configuration mean the same run; fields that are new since then have to stand at
    their defaults."""
    if not isinstance(known, dict) or not isinstance(now, dict):
        return known == now
    return known.keys() <= now.keys() and all(
        same_run(known[key], now[key], default.get(key) if isinstance(default, dict) else None)
        if key in known
        else isinstance(default, dict) and now[key] == default.get(key)
        for key in now
    )


@dataclass(frozen=True)
class HeldOut:
    """Renders of held-out people with exact labels: `crops` and `regions` (n, S, S, 3) show the same scenes, cropped as
    a face finder would and with the face anywhere; `xy` and `region_xy` (n, N, 2) the landmarks in [-1, 1];
    `rotation` (n, 3, 3) of the heads as a camera sees them that looks at the crop's middle: where the crop lay in a
    larger picture it does not show; `ocular` (n,) distance of the outer eye corners in 3D, half crops, which
    does not shrink in profile; `unit` (n,). Queries are at `positions` (N, 3): `ibug68` first, then points all over
    the face."""

    crops: NDArray[np.uint8]
    regions: NDArray[np.uint8]
    xy: NDArray[np.float32]
    region_xy: NDArray[np.float32]
    rotation: NDArray[np.float64]
    ocular: NDArray[np.float64]
    unit: NDArray[np.float64]
    positions: NDArray[np.float32]


def sampler_of(split: str) -> FaceSampler:
    """A sampler of the stored renders' kind, whose people are those of the split alone."""
    return FaceSampler(render_settings(DATA), split)


@lru_cache
def held_out(size: int, region: int, count: int = 200) -> HeldOut:
    """Held-out renders, the same in every call."""
    path = SHARED / f"heldout_{size}_{region}_{count}.npz"
    return HeldOut(**kept(path, lambda: _draw_held_out(size, region, count)))


def _draw_held_out(size: int, region: int, count: int) -> Arrays:
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
    rows: list[dict[str, Any]] = []
    for number in range(count):
        rng = np.random.default_rng([SEED, number])
        scene = sampler.draw_scene(rng)
        vertices = sampler.shapes([scene])[0]
        image, render = sampler.draw(rng, scene, size, vertices)
        moved = draw_region(rng)
        wide_scene = replace(scene, view=view_of_region(scene.view, moved))
        wide, wide_render = sampler.draw(rng, wide_scene, region, vertices)
        eyes = binding.subset(np.array([36, 45])).moved(vertices, model.rest)
        ocular = np.linalg.norm(eyes[0] - eyes[1]) * 2 * scene.view.focal / scene.view.translation[2]
        rows.append({
            "crops": image, "regions": wide, "xy": labels(render, binding, model).xy,
            "region_xy": labels(wide_render, binding, model).xy, "ocular": ocular, "unit": unit_of(moved),
            "rotation": towards_crop(scene.view) @ scene.view.rotation,
        })  # fmt: skip
    return {**{name: np.stack([row[name] for row in rows]) for name in rows[0]}, "positions": positions}


def towards_crop(view: View) -> NDArray[np.float64]:
    """The rotation (3, 3) that turns a camera towards the middle of the crop that it shows."""
    ray = np.array([(0.5 - view.cx) / view.focal, (0.5 - view.cy) / view.focal, 1.0])
    return Rotation.align_vectors([[0.0, 0.0, 1.0]], [ray])[0].as_matrix()


def queries_of(network: LandmarkNet, positions: NDArray) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """What a network is asked for at canonical positions (N, 3), metres; which of them (N,) it knows."""
    query, valid = QuerySpace(HeadModel.load(), network.config.query_dims)(positions)
    return query[:, : network.config.query_dims], valid


@torch.no_grad()
def landmarks_of(network: LandmarkNet, images: NDArray, queries: NDArray, batch: int = 32) -> NDArray[np.float64]:
    """Landmarks (n, N, 2) in [-1, 1] of pictures (n, S, S, 3), queries (N, dims)."""
    asked = torch.from_numpy(queries)
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
    asked = 68 + DENSE
    queries, valid = queries_of(network, truth.positions[:asked])
    if config.spatial:
        found = landmarks_of(network, truth.regions, queries)
        errors = np.linalg.norm(found - truth.region_xy[:, :asked], axis=-1) / (truth.ocular * truth.unit)[:, None]
    else:
        found = landmarks_of(network, truth.crops, queries)
        errors = np.linalg.norm(found - truth.xy[:, :asked], axis=-1) / truth.ocular[:, None]
    core, dense = valid.copy(), valid.copy()
    core[68:], dense[:68] = False, False
    return {
        "render68": round(100 * float(errors[:, core].mean()), 3),
        "render_dense": round(100 * float(errors[:, dense].mean()), 3),
    }


def steadiness(network: LandmarkNet, clips: int = 12, frames: int = 8) -> dict[str, float]:
    """NMF on held-out clips: root mean square change of the residual between frames, percent of the box's size."""
    path = SHARED / f"clips_{network.config.picture}_{clips}_{frames}.npz"
    stored = kept(path, lambda: _draw_clips(network.config.picture, clips, frames))
    queries, _ = queries_of(network, load_layout("ibug68").positions)
    changes = []
    for images, xy in zip(stored["images"], stored["xy"], strict=True):
        residual = landmarks_of(network, images, queries) - xy
        box = np.sqrt(np.prod(xy.max(1) - xy.min(1), axis=-1))
        changes.append(np.diff(residual, axis=0) / box[1:, None, None])
    return {"nmf": round(100 * float(np.sqrt(np.square(np.concatenate(changes)).sum(-1).mean())), 3)}


def _draw_clips(size: int, clips: int, frames: int) -> Arrays:
    sampler = sampler_of("heldout")
    binding = sampler.model.bind(load_layout("ibug68").positions)
    drawn = [sample_clip(sampler, np.random.default_rng([SEED, 1, n]), frames, size, binding) for n in range(clips)]
    return {"images": np.stack([clip.images for clip in drawn]), "xy": np.stack([clip.xy for clip in drawn])}


@lru_cache
def photographs(name: str, size: int, around: float) -> tuple[AnnotatedSet, NDArray, NDArray] | None:
    """A set of annotated photographs, (n, 2, 3) squares `around` times the crops by its boxes, and the pictures in
    them; None where the source data is absent."""
    try:
        chosen = load_annotated(source_data(f"real_dev/{name}"))
    except UserError:
        return None
    crops = compose(chosen.crops(), np.array([[around, 0.0, 0.0], [0.0, around, 0.0]]))
    return chosen, crops, chosen.images(crops, size)


def on_photographs(network: LandmarkNet) -> dict[str, float]:
    """Errors on `lfpw` and `afw`, percent of the outer eye corners' distance; a spatial transformer sees the face in a
    square of 1.6 times the crop."""
    config = network.config
    queries, _ = queries_of(network, load_layout("ibug68").positions)
    figures = {}
    for name in ("lfpw", "afw"):
        found = photographs(name, config.picture, AROUND if config.spatial else 1.0)
        if found is None:
            continue
        chosen, crops, images = found
        errors = np.linalg.norm(
            apply_affine(crops, landmarks_of(network, images, queries)) - chosen.points, axis=-1
        ) / chosen.ocular[:, None]  # fmt: skip
        figures[f"{name}_nme68"] = round(100 * float(errors.mean()), 3)
        figures[f"{name}_nme51"] = round(100 * float(errors[:, 17:].mean()), 3)
    return figures


def measured(network: LandmarkNet, renders: int = 200) -> dict[str, Any]:
    """Figures of a landmark network: photographs, held-out renders, steadiness."""
    return {**on_photographs(network), **on_renders(network, renders), **steadiness(network)}


_DENSE_RENDERS: dict[int, Any] = {}


def measured_dense(task: dense_task.DenseTask, state: dict) -> dict[str, Any]:
    """Figures of a 520-point run: held-out renders by yaw, and the inner 51 of its named 68 on real photographs, whose
    contour is another one (the outline, not the 3D jaw)."""
    size = task.config.model.input_size
    task.held_out = _DENSE_RENDERS.get(size)
    figures: dict[str, Any] = dict(task.evaluate(state))
    _DENSE_RENDERS[size] = task.held_out
    network = task.network(state)
    inner = members("face68_3d")[17:]
    for name in ("lfpw", "afw"):
        found = photographs(name, size, 1.0)
        if found is None:
            continue
        chosen, crops, images = found
        xy = dense_task.predict(network, images)[:, inner, :2] * (2 / size) - 1
        errors = np.linalg.norm(apply_affine(crops, xy) - chosen.points[:, 17:], axis=-1) / chosen.ocular[:, None]
        figures[f"{name}_nme51"] = round(100 * float(errors.mean()), 3)
    return figures


@torch.no_grad()
def chunk_difference(network: LandmarkNet, count: int = 2048) -> dict[str, float]:
    """How far, in pixels of the crop, landmarks of a transformer move when it attends to `count` queries at once and
    not within chunks of 512: the mean over queries and 8 pictures, and the largest."""
    truth = held_out(network.config.input_size, network.config.region)
    images = images_to_input(torch.from_numpy(truth.crops[:8]))
    model = HeadModel.load()
    positions = on_surface(
        model.rest, model.triangles[model.parts["skin"].triangles], count, np.random.default_rng(SEED)
    )
    queries = torch.from_numpy(queries_of(network, positions)[0])
    descriptor = network.encode(images)
    chunked = network.decode(descriptor, queries)[0]
    network.attention_chunk = count
    whole = network.decode(descriptor, queries)[0]
    del network.attention_chunk  # back to the class's own
    moved = (chunked - whole).norm(dim=-1) * network.config.input_size / 2
    return {"chunk_px": round(float(moved.mean()), 4), "chunk_px_max": round(float(moved.max()), 4)}
