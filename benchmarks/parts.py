"""Inf3D's three additions shown at work: python -m benchmarks.parts transformer|head3d|correction [--minutes M]

- transformer: the crops that the spatial transformer takes, before and after training by landmarks alone, and how far
  they are from the true ones;
- head3d: the head pose of held-out renders, learned from 2D landmarks alone;
- correction: a second data set whose landmarks lie a known distance beside the first one's; the shift that is found.

Small runs on stored renders (the same as those of benchmarks.ablations), resumable, in runs/parts, that begin with the
weights that ship, which know 2D landmarks in exact crops and nothing of the part. What is found goes to
benchmarks/results/parts.md, with a picture each.
"""

import argparse
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from facequery.assets import asset
from facequery.errors import UserError
from facequery.geometry.crops import crop_from_points, crop_parameters
from facequery.geometry.rotations import angle_between
from facequery.head.layouts import load_layout
from facequery.head.model import HeadModel
from facequery.models.landmarks import LandmarkConfig, LandmarkNet, images_to_input
from facequery.models.spatial_transformer import Localiser, carry_back, matrices, resample
from facequery.models.weights import load_weights, save_weights
from facequery.training.configs import TrainConfig
from facequery.training.examples import Example, Mix, Source
from facequery.training.landmark_task import LandmarkTask
from facequery.training.learner import Learner
from numpy.typing import NDArray
from torch import Tensor

from benchmarks import localiser_start, stored_draws
from benchmarks.ablations import LOSS, REGION, SIZE, localiser_file
from benchmarks.localiser_start import started, untrained
from benchmarks.small_runs import ROOT, SHARED, Clock, OutOfTime, finished, held_out, queries_of

RESULTS = ROOT / "benchmarks" / "results"
BATCH, DRAWS, PORTRAITS = 16, 3_000, 1_600
OFFSET = (0.06, 0.06, 0.0)  # network units (6 mm each) by which the second data set's landmarks lie beside the first's
SAMPLES = {"transformer": 6_400, "head3d": 16_000, "correction": 3_200}
WEIGHTS = "weights/landmarks.safetensors"
SHOWN, TILE = 8, 104  # pictures in a row, and their side in pixels
Figures = dict[str, Any]


def config_of(name: str, samples: int) -> TrainConfig:
    """The run that shows a part: the network that ships, with the part."""
    _, card = load_weights(asset(WEIGHTS))
    model = replace(
        LandmarkConfig(**card["architecture"]), input_size=SIZE, region=REGION, spatial=name == "transformer",
        space="3d" if name == "head3d" else "2d",
    )  # fmt: skip
    if name == "head3d":  # what corrects landmarks afterwards would hide the pose's errors from the loss
        model = replace(model, refine=0, anchors=0)
    # the second data set takes the place of the portraits; the transformer sees portraits, too
    shares = {"correction": (0.5, 0.5), "transformer": (0.6, 0.4), "head3d": (1.0, 0.0)}[name]
    return TrainConfig(
        name=f"part_{name}", model=model, loss=LOSS, correction=name == "correction",
        data=replace(stored_draws.DATA, renders=shares[0], portraits=shares[1], queries=128),
        imagenet=False, frozen_stages=10 if name == "head3d" else 3, encoder_rate=0.3, batch=BATCH, ema=0.99,
        steps=max(1, samples // BATCH), learning_rate=1e-4 if name == "transformer" else 8e-4, clip=200.0, warmup=0.05,
        evaluate_minutes=0, epoch=0, checkpoint_minutes=1.0, seed=4,
    )  # fmt: skip


def beginning(config: TrainConfig, folder: Path, draws: int, steps: int) -> Path:
    """The weights that a run begins with: those that ship; for the 3D head their encoder and descriptor alone, because
    its predictor answers in space; for the spatial transformer with a localiser that has made a quick start."""
    tensors, card = load_weights(asset(WEIGHTS))
    path = folder / "beginning.safetensors"
    if path.exists():
        return path
    if config.model.space == "3d":
        tensors = {k: v for k, v in tensors.items() if k.startswith(("encoder.", "descriptor."))}
    if config.model.spatial:
        tensors |= started(mix_of(config, draws), steps, localiser_file(draws, steps))
    save_weights(path, tensors, card)
    return path


class Displaced:
    """Renders whose annotators place every landmark beside where its query says: the same people, another data set."""

    def __init__(self, source: Source) -> None:
        self.source = source

    def sample(self, rng: np.random.Generator) -> Example:
        example = self.source.sample(rng)
        # a landmark that is named q lies at q + OFFSET
        return replace(example, query=example.query - np.array(OFFSET, np.float32), dataset=1)


def mix_of(config: TrainConfig, draws: int) -> Mix:
    """What a part is trained on."""
    model = config.model
    data = config.data
    arrays = stored_draws.renders(SHARED, draws, model.picture, model.spatial)
    source: Source = stored_draws.StoredRenders(arrays, data.queries)
    if not data.portraits:
        return Mix([stored_draws.Mirrored(source)], [1.0])
    if config.correction:
        return Mix([source, Displaced(source)], [data.renders, data.portraits])
    faces = stored_draws.portraits(SHARED, PORTRAITS, model.picture, data.queries, model.spatial)
    return Mix([source, stored_draws.StoredExamples(faces)], [data.renders, data.portraits])


def true_crops() -> Tensor:
    """The similarities (n, 4) of the normalised crops of held-out regions, by their true landmarks."""
    points = held_out(SIZE, REGION).region_xy[:, :68].astype(np.float64)
    eyes = [0.5 * (points[:, a] + points[:, b]) for a, b in ((36, 39), (42, 45))]
    pixels = 1000.0  # half a region: crops are for pixels
    centre, half, roll = crop_parameters(crop_from_points(np.stack([*eyes, points[:, 48], points[:, 54]], 1) * pixels))
    return torch.from_numpy(np.column_stack([half / pixels, roll, centre / pixels]).astype(np.float32))


@torch.no_grad()
def found_crops(localiser: Localiser) -> tuple[Tensor, Figures]:
    """The similarities (n, 4) that a localiser finds in held-out regions, and how far they are from the true ones:
    their centre over the crop's half side, their size (a ratio) up to a common one, their turn in degrees; medians,
    and the worst tenth in brackets."""
    images, true = images_to_input(torch.from_numpy(held_out(SIZE, REGION).regions)), true_crops()
    found = torch.cat([localiser(part) for part in images.split(32)])
    off = (found[:, 2:] - true[:, 2:]).norm(dim=-1) / true[:, 0]
    ratio = (found[:, 0] / true[:, 0]).log()
    ratio = (ratio - ratio.median()).abs().exp()  # which size of crop the network likes is its own choice
    turn = found[:, 1] - true[:, 1]
    turn = torch.atan2(turn.sin(), turn.cos()).abs().rad2deg()
    tilted = turn[true[:, 1].abs() > np.radians(45)]
    measured = {"centre": (off, 2), "size": (ratio, 2), "turn": (turn, 1), "tilted": (tilted, 1)}
    return found, {
        name: f"{values.median():.{digits}f} ({values.quantile(0.9):.{digits}f})"
        for name, (values, digits) in measured.items()
    }


@torch.no_grad()
def error_in(network: LandmarkNet, similarity: Tensor) -> float:
    """Error of the 68 landmarks in held-out regions, percent of the outer eye corners' distance in space, when the
    network is given crops by the similarities (n, 4)."""
    truth = held_out(SIZE, REGION)
    given = LandmarkNet(replace(network.config, spatial=False)).eval()
    given.load_state_dict({k: v for k, v in network.state_dict().items() if not k.startswith("localiser.")})
    queries = torch.from_numpy(queries_of(network, truth.positions[:68])[0])
    pieces = []
    for images, own in zip(torch.from_numpy(truth.regions).split(32), similarity.split(32), strict=True):
        found = given(resample(images_to_input(images), own, SIZE), queries)
        pieces.append(carry_back(own, *found)[0])
    errors = np.linalg.norm(torch.cat(pieces).numpy() - truth.region_xy[:, :68], axis=-1)
    return round(100 * float((errors / (truth.ocular * truth.unit)[:, None]).mean()), 2)


def show_transformer(task: LandmarkTask, state: dict, picture: Path) -> Figures:
    """Held-out regions with the crops before (red) and after training (green); these crops below."""
    network = task.network(state)
    assert network.localiser is not None
    truth = held_out(SIZE, REGION)
    tiles = [cv2.resize(image, (TILE, TILE), interpolation=cv2.INTER_AREA) for image in truth.regions[:SHOWN]]
    rows = [tiles]
    figures: Figures = {}
    both = (("before", untrained().eval(), (230, 60, 60)), ("after", network.localiser, (60, 230, 60)))
    for name, localiser, tint in both:
        similarity, own = found_crops(localiser)
        figures |= {f"{name}_{key}": value for key, value in own.items()}
        figures[f"{name}_error"] = error_in(network, similarity)
        chosen = similarity[:SHOWN]
        with torch.no_grad():
            crops = resample(images_to_input(torch.from_numpy(truth.regions[:SHOWN])), chosen, TILE)
        rows.append(list(((crops.permute(0, 2, 3, 1).numpy() + 1) * 127.5).clip(0, 255).astype(np.uint8)))
        corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) @ matrices(chosen)[..., :2].transpose(1, 2).numpy()
        for tile, outline in zip(tiles, corners + chosen[:, None, 2:].numpy(), strict=True):
            line = ((outline + 1) * TILE / 2 * 16).round().astype(np.int32)
            cv2.polylines(tile, [line], True, tint, 1, cv2.LINE_AA, 4)
    _write(picture, rows)
    figures["true_error"] = error_in(network, true_crops())
    return figures


def show_head3d(task: LandmarkTask, state: dict, picture: Path) -> Figures:
    """Degrees between the predicted and the true head rotation on held-out renders, and axes of both; `resting`: what
    laying the resting head over the true landmarks gives, which knows no person's proportions either."""
    network, truth = task.network(state), held_out(SIZE, REGION)
    queries = torch.from_numpy(load_layout("ibug68").positions * np.float32(HeadModel.load().scale))
    with torch.no_grad():
        pieces = [
            network.lift(network.encode(images_to_input(torch.from_numpy(part))), queries)[2].camera.rotation
            for part in np.array_split(truth.crops, 8)
        ]
    found = torch.cat(pieces).double().numpy()
    angle = np.degrees(angle_between(found, truth.rotation))
    laid = np.stack([_laid_over(queries.numpy(), xy) for xy in truth.xy[:, :68]])
    frontal = truth.rotation[:, 2, 2] < -0.5  # canonical z points out of the face, the camera's into the picture
    tiles = []
    for image, mine, true, xy in zip(truth.crops[:SHOWN], found, truth.rotation, truth.xy, strict=False):
        tile = cv2.resize(image, (TILE, TILE), interpolation=cv2.INTER_AREA)
        nose = (xy[30] + 1) * TILE / 2
        for rotation, width, tints in ((true, 3, [(255, 255, 255)] * 3),
                                       (mine, 1, [(230, 60, 60), (60, 200, 60), (60, 90, 255)])):  # fmt: skip
            for axis, tint in enumerate(tints):
                tip = nose + 0.3 * TILE * rotation[:2, axis]
                ends = [(round(float(end[0]) * 16), round(float(end[1]) * 16)) for end in (nose, tip)]
                cv2.line(tile, ends[0], ends[1], tint, width, cv2.LINE_AA, 4)
        tiles.append(tile)
    _write(picture, [tiles])
    return {
        "median": round(float(np.median(angle)), 2),
        "worst_tenth": round(float(np.percentile(angle, 90)), 2),
        "median_within_60": round(float(np.median(angle[frontal])), 2),
        "resting": round(float(np.median(np.degrees(angle_between(laid, truth.rotation)))), 2),
        "pictures": len(angle),
    }


def _laid_over(points: NDArray, xy: NDArray) -> NDArray[np.float64]:
    """The rotation (3, 3) that brings points (N, 3) nearest to their places (N, 2) in a crop, through a usual lens."""
    lens = np.diag([10.0, 10.0, 1.0])
    turn = cv2.solvePnP(points.astype(np.float64), xy.astype(np.float64), lens, None, flags=cv2.SOLVEPNP_SQPNP)[1]
    return np.asarray(cv2.Rodrigues(turn)[0], np.float64)


def show_correction(task: LandmarkTask, state: dict, picture: Path) -> Figures:
    """The shift that the correction gives the second data set's queries, over the face, and the true one."""
    learner = Learner(task.config)
    learner.load_state_dict({key: value.cpu() for key, value in state.items()})
    assert learner.correction is not None
    millimetres = 1000 / HeadModel.load().scale
    positions = load_layout("dense520").positions
    queries = torch.from_numpy(positions * np.float32(1000 / millimetres))[None]
    with torch.no_grad():
        shift = learner.correction(queries.expand(2, -1, -1), torch.tensor([0, 1])).numpy() * millimetres
    true = np.array(OFFSET) * millimetres
    low, high = positions.min(0)[:2] - 0.01, positions.max(0)[:2] + 0.01
    scale = 3 * TILE / (high - low).max()
    canvas = np.full((*np.ceil((high - low)[::-1] * scale).astype(int), 3), 255, np.uint8)

    def pixel(xy: NDArray) -> tuple[int, int]:
        x, y = (xy - low) * scale
        return round(float(x) * 16), round(float(canvas.shape[0] - y) * 16)

    for place, step in zip(positions[:, :2], shift[1, :, :2], strict=True):
        cv2.line(canvas, pixel(place), pixel(place + true[:2] / 1000), (170, 170, 170), 2, cv2.LINE_AA, 4)
        cv2.line(canvas, pixel(place), pixel(place + step / 1000), (230, 110, 30), 1, cv2.LINE_AA, 4)
        cv2.circle(canvas, pixel(place), 20, (20, 20, 20), -1, cv2.LINE_AA, 4)
    cv2.imwrite(str(picture), canvas[..., ::-1])
    return {
        "true_mm": round(float(np.linalg.norm(true)), 2),
        "found_mm": round(float(np.linalg.norm(shift[1].mean(0))), 2),
        "left_over_mm": round(float(np.linalg.norm(shift[1] - true, axis=-1).mean()), 2),
        "across_mm": round(float(np.linalg.norm((shift[1] - true)[:, :2], axis=-1).mean()), 2),
        "reference_mm": round(float(np.abs(shift[0]).max()), 2),
    }


SHOW: dict[str, Callable[[LandmarkTask, dict, Path], Figures]] = {
    "transformer": show_transformer, "head3d": show_head3d, "correction": show_correction,
}  # fmt: skip
TEXTS = {
    "transformer": """## Spatial transformer

Trained by landmarks alone on regions with the face anywhere in them, 15 % to 100 % of their height, half of them at any
roll: first the localiser by itself, which lays the resting head's landmarks over the labelled ones ({start:,} samples
of 96 px, `benchmarks/localiser_start.py`; its backbone begins with ImageNet), then all of the network, which begins
with the weights that ship, by its landmark loss ({samples:,} samples). The first eight of 200 held-out renders with the
crop before (red) and after training (green); the crops before; the crops after.

![crops](parts_transformer.png)

| over 200 held-out renders: median (worst tenth) | before | after |
|---|---|---|
| centre's distance from that of the true landmarks' crop, over its half side | {before_centre} | {after_centre} |
| size, ratio to the usual one | {before_size} | {after_size} |
| turn, degrees | {before_turn} | {after_turn} |
| turn of faces that are turned by more than 45 degrees | {before_tilted} | {after_tilted} |
| mean error of the 68 landmarks in such crops, percent | {before_error} | {after_error} |

The last row is the trained network's, over the outer eye corners' distance; in the true landmarks' crops of the same
regions, whose smallest faces are 29 pixels high, its error is {true_error}. The time below is without the localiser's
start.
""",
    "head3d": """## 3D head

Head pose learned from 2D landmarks alone ({samples:,} samples), on {pictures} held-out renders: rotation off by
{median} degrees (median), {worst_tenth} degrees in the worst tenth; {median_within_60} (median) for heads turned by
less than 60 degrees. (The resting head, laid over the true landmarks, is off by {resting}.) Axes of the head: white
the true ones, in colours the predicted ones.

![poses](parts_head3d.png)
""",
    "correction": """## Semantic correction

Two data sets of the same renders; the second one's landmarks lie {true_mm} mm beside where its queries say
({samples:,} samples). The correction shifts its queries by {found_mm} mm (mean shift); what is left over is
{left_over_mm} mm a point in space, {across_mm} mm of it across the face. Queries of the reference are shifted by
{reference_mm} mm. 520 points seen from the front: the true shift grey, the found one orange.

![shifts](parts_correction.png)
""",
}


def _write(path: Path, rows: list[list[NDArray]]) -> None:
    cv2.imwrite(str(path), np.vstack([np.hstack(row) for row in rows])[..., ::-1])


def write_report(folder: Path, results: Path) -> None:
    """benchmarks/results/parts.md from the runs that are finished."""
    lines = [
        "# Inf3D's parts at work",
        "",
        "Made by `python -m benchmarks.parts transformer` (`head3d`, `correction`): small runs on stored renders at "
        f"{SIZE} px that begin with the weights that ship (which know 2D landmarks in crops and nothing of the part; "
        "the 3D head takes their encoder alone), measured on **renders** of held-out people.",
        "",
    ]
    for name, text in TEXTS.items():
        result = folder / name / "result.json"
        if result.exists():
            known = json.loads(result.read_text())
            samples = known["config"]["steps"] * BATCH
            lines.append(
                text.format(**known["figures"], samples=samples, start=localiser_start.BATCH * localiser_start.STEPS)
            )
            lines.append(f"{known['figures']['cpu_minutes']} minutes of one core.\n")
    (results / "parts.md").write_text("\n".join(lines))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=tuple(SHOW))
    parser.add_argument("--minutes", type=float, default=30.0, help="spend about this long now")
    parser.add_argument("--samples", type=int, help="length of the whole run")
    parser.add_argument("--start", type=int, default=localiser_start.STEPS, help="steps of the localiser's quick start")
    parser.add_argument("--draws", type=int, default=DRAWS, help="stored renders")
    parser.add_argument("--folder", type=Path, default=ROOT / "runs" / "parts", help="where the runs live")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of parts.md and the pictures")
    options = parser.parse_args()
    config = config_of(options.part, options.samples or SAMPLES[options.part])
    place = options.folder / options.part
    options.out.mkdir(parents=True, exist_ok=True)
    picture = options.out / f"parts_{options.part}.png"
    try:
        first = beginning(config, place, options.draws, options.start)
        figures = finished(
            config, place, Clock(options.minutes), lambda: mix_of(config, options.draws),
            lambda task, state: SHOW[options.part](task, state, picture), first,
        )  # fmt: skip
    except OutOfTime:
        raise SystemExit("Not finished; the same command goes on.") from None
    except UserError as error:
        raise SystemExit(str(error)) from None
    write_report(options.folder, options.out)
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
