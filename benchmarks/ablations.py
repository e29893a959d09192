"""The papers' ablation tables, ours at small equal budgets: python -m benchmarks.ablations [--minutes 60] [--only T]

Every row is a training run of the same number of samples from the same seed; only what the row names differs, and rows
draw from the same stored renders in the same order. Runs are resumable: call the command again, with any number of
minutes, until it says that all rows are there. `--rehearse` runs every row with a handful of steps into a folder of its
own. Writes benchmarks/results/ablations.md after every row.
"""

import argparse
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from facequery.assets import source_data
from facequery.errors import UserError
from facequery.models.landmarks import LandmarkConfig
from facequery.models.mobilenet_v2 import MobileNetV2
from facequery.models.weights import save_weights
from facequery.synthesis.position_maps import write_position_maps
from facequery.synthesis.samples import FaceSampler
from facequery.training.configs import LossConfig, SetConfig, TrainConfig
from facequery.training.examples import Mix, Source
from facequery.training.landmark_task import IMAGENET
from facequery.training.renders import render_settings
from facequery.training.sources import make_mix

from benchmarks import localiser_start, stored_draws
from benchmarks.ablation_papers import PAPERS, SOURCES
from benchmarks.small_runs import ROOT, SHARED, Clock, OutOfTime, chunk_difference, finished, measured, measured_dense

RESULT = ROOT / "benchmarks" / "results" / "ablations.md"
SIZE, REGION, BATCH, QUERIES = 128, 192, 16, 128  # pixels of crops and regions; pictures a step, queries a picture
LOSS = LossConfig(kind="wing", wing_width=10.0, wing_curvature=3.0, sigma_weight=0.25)
LANDMARK_COLUMNS = ("lfpw_nme51", "lfpw_nme68", "afw_nme51", "afw_nme68", "render68", "render_dense", "nmf")
DENSE_COLUMNS = ("render68_box_mean", "render68_nme", "render21_nme", "render520_nme", "render520_depth", "lfpw_nme51",
                 "afw_nme51")  # fmt: skip
COSTLY = ("convnext_tiny", "resnet50", "ResNet-50, Wing + MSE")  # rows that run last

Figures = dict[str, dict[str, dict[str, Any]]]  # by table, row and column


@dataclass(frozen=True)
class Budget:
    """What every row may spend, and on what it is measured."""

    samples: int = 3_200
    draws: int = 3_000  # stored renders, and fixed ones of the augmentation table
    portraits: int = 1_600  # stored draws of portraits
    renders: int = 200  # held-out renders
    start: int = localiser_start.STEPS  # of the spatial transformer's localiser


def base(budget: Budget) -> TrainConfig:
    """The row that all tables share: MobileNetV2 from ImageNet with its first stages frozen, MLP, 2D, renders alone.

    What training's own defaults may change some day is said here, so that rows of different days stay comparable.
    """
    return TrainConfig(
        name="ablation",
        model=LandmarkConfig(encoder="mobilenet_v2", input_size=SIZE, region=REGION),
        data=replace(stored_draws.DATA, queries=QUERIES), loss=LOSS,
        imagenet=True, frozen_stages=3, encoder_rate=1.0, correction=False, batch=BATCH, ema=0.99, warmup=0.05,
        learning_rate=8e-4, clip=200.0, weight_decay=0.02, final_rate=0.01,
        steps=max(1, budget.samples // BATCH), evaluate_minutes=0, epoch=0, checkpoint_minutes=1.0, seed=3,
    )  # fmt: skip


def tables(budget: Budget, fixed: Path) -> dict[str, dict[str, TrainConfig]]:
    """Configurations by table and row. `fixed`: folder of the fixed set of renders."""
    plain = base(budget)
    scratch = replace(plain, imagenet=False, frozen_stages=0)

    def model(**changes: Any) -> TrainConfig:
        return replace(plain, model=replace(plain.model, **changes))

    def data(**changes: Any) -> TrainConfig:
        return replace(plain, data=replace(plain.data, **changes))

    def encoder(name: str, **changes: Any) -> TrainConfig:
        return replace(scratch, model=replace(plain.model, encoder=name, **changes))

    def regressor(name: str, kind: str) -> TrainConfig:
        return replace(encoder(name), network="dense520", loss=replace(LOSS, kind=kind), clip=1e4)

    on_fixed = {"renders": 0.0, "sets": (SetConfig(str(fixed)),), "cutout": 0.0, "second_face": 0.0, "flip": False}
    two_sets = data(renders=0.6, portraits=0.4)

    def inf3d(correction: bool = False, **changes: Any) -> TrainConfig:
        return replace(two_sets, correction=correction, model=replace(plain.model, **changes))

    return {
        "predictor": {"MLP": plain, "transformer": model(predictor="transformer")},
        "likelihood": {
            "Wing, sigma detached": plain,
            "L2, sigma detached": replace(plain, loss=replace(LOSS, kind="l2")),
            "joint": replace(plain, loss=replace(LOSS, kind="joint")),
        },
        "space": {"3D": plain, "UV": model(query_dims=2)},
        "data": {"sparse": data(render_queries="ibug68"), "dense": data(render_queries="dense"), "both": plain},
        "refine": {"off": plain, "one step": model(refine=1), "two steps": model(refine=2)},
        "inf3d": {
            "off": inf3d(), "3D head": inf3d(space="3d"), "correction": inf3d(True),
            "spatial transformer": inf3d(spatial=True), "all": inf3d(True, spatial=True, space="3d"),
        },
        "augmentation": {
            name: data(colour=colour, affine=affine, **on_fixed) for name, colour, affine in (
                ("none", False, False), ("colour", True, False), ("affine", False, True), ("both", True, True))
        },
        "dense520": {
            "MobileNetV2, Wing + MSE": regressor("mobilenet_v2", "hybrid"),
            "MobileNetV2, Wing": regressor("mobilenet_v2", "wing"),
            "MobileNetV2, MSE": regressor("mobilenet_v2", "l2"),
            "ResNet-18, Wing + MSE": regressor("resnet18", "hybrid"),
            "ResNet-50, Wing + MSE": regressor("resnet50", "hybrid"),
        },
        "encoder": {
            "mobilenet_v2, from ImageNet": plain,
            **{name: encoder(name) for name in ("mobilenet_v2", "resnet_dense", "convnext_atto", "resnet18",
                                                "mobilenet_v3_large", "resnet50", "convnext_tiny")},
            "resnet_dense, pooled": encoder("resnet_dense", head="pool"),
        },
    }  # fmt: skip


def mix_of(config: TrainConfig, budget: Budget) -> Mix:
    """What a row is trained on: stored renders and portraits, or the fixed set with its augmentation."""
    data, model = config.data, config.model
    if config.network == "dense520":
        return Mix([stored_draws.StoredExamples(stored_draws.dense_renders(SHARED, budget.draws, SIZE))], [1.0])
    if data.sets:
        fixed_renders(Path(data.sets[0].folder), budget)
        return make_mix(data, SIZE)
    arrays = stored_draws.renders(SHARED, budget.draws, model.picture, model.spatial)
    sources: list[Source] = [stored_draws.StoredRenders(arrays, data.queries, model.query_dims, data.render_queries)]
    shares = [data.renders]
    if data.portraits:
        arrays = stored_draws.portraits(SHARED, budget.portraits, model.picture, data.queries, model.spatial)
        sources.append(stored_draws.StoredExamples(arrays))
        shares.append(data.portraits)
    return Mix(sources, shares)


def localiser_file(draws: int, steps: int) -> Path:
    """Where a localiser that has made its start is kept: every run that begins with it shares it."""
    return SHARED / f"localiser_{draws}_{steps}.pt"


def beginning(config: TrainConfig, budget: Budget, folder: Path) -> Path | None:
    """The weights that a row begins with, if they are others than its configuration says: with the spatial transformer
    a localiser that has made a quick start, beside an encoder that knows ImageNet."""
    if not config.model.spatial:
        return None
    path = folder / "beginning.safetensors"
    if not path.exists():
        tensors = localiser_start.started(
            mix_of(config, budget), budget.start, localiser_file(budget.draws, budget.start)
        )
        encoder = MobileNetV2()
        encoder.load_imagenet(source_data(IMAGENET))
        tensors |= {f"encoder.{name}": value for name, value in encoder.state_dict().items()}
        save_weights(path, tensors, {"kind": "landmarks", "architecture": config.model.to_dict()})
    return path


def fixed_renders(folder: Path, budget: Budget) -> None:
    """The fixed set of the augmentation table: exact crops without camera faults, as position maps."""
    settings = render_settings(replace(stored_draws.DATA, colour=False, affine=False))
    write_position_maps(folder, FaceSampler(settings), budget.draws, SIZE, 96, seed=5)


def measure(task: Any, state: dict, renders: int) -> dict[str, Any]:
    """Figures of a row's run."""
    if task.config.network == "dense520":
        return measured_dense(task, state)
    network = task.network(state)
    attends = network.predictor.attends
    return {**measured(network, renders), **(chunk_difference(network) if attends else {})}


def run(folder: Path, budget: Budget, clock: Clock, only: str | None) -> Iterator[Figures]:
    """Train what is missing while there is time; after every row, the figures of all that are finished."""
    found: Figures = {}
    known: dict[str, dict[str, Any]] = {}  # a run that stands in several tables
    rows = [(table, row, config) for table, all_ in tables(budget, SHARED / f"fixed_{budget.draws}").items()
            for row, config in all_.items()]  # fmt: skip
    for table, row, config in sorted(rows, key=lambda each: each[1] in COSTLY):
        key = json.dumps(config.to_dict(), sort_keys=True)
        place = folder / table / row.replace(" ", "_").replace(",", "").replace("+", "and")
        if key not in known:
            if not (place / "result.json").exists():
                if clock.left() <= 0 or (only and only != table):
                    continue
                print(f"{PAPERS[table].title}: {row}", flush=True)
            try:
                known[key] = finished(
                    config, place, clock, lambda config=config: mix_of(config, budget),  # type: ignore[misc]
                    lambda task, state: measure(task, state, budget.renders), beginning(config, budget, place),
                )  # fmt: skip
            except OutOfTime:
                continue
        found.setdefault(table, {})[row] = known[key]
        yield found


def written(found: Figures, budget: Budget) -> str:
    """The tables as Markdown."""
    lines = [
        "# Ablation tables",
        "",
        f"Made by `python -m benchmarks.ablations`. Every row: {budget.samples:,} samples at {SIZE} px (batch {BATCH}, "
        f"{QUERIES} queries a picture, one seed) drawn from {budget.draws:,} stored renders, the same ones in the same "
        "order for every row. That is far too little for an accuracy worth using, and differences of a few per cent "
        "between rows are within what another seed would give: the tables show directions. Unless the row says "
        "otherwise: MobileNetV2 from ImageNet with its first three stages frozen, flattened head, MLP predictor, Wing "
        "loss with detached sigma, renders alone.",
        "",
        "- `lfpw_*`, `afw_*`: real photographs, annotation boxes, percent of the outer eye corners' distance (68 "
        "points, or the inner 51), clean layout, no mirrored mean, contour at rest.",
        f"- `render68`, `render_dense`: {budget.renders} **renders** of held-out people, percent of the true distance "
        "of the outer eye corners; all over the face for `render_dense`.",
        "- `nmf`: **rendered** held-out clips, RMS change of the residual between frames over the box's size, percent.",
        "- Dense520's `render*`: percent of sqrt(h w) of the box, on **renders**; `box_mean`: the mean of the yaw bins "
        "0-30, 30-60, 60-90 degrees; 68: 3D contour.",
        "- `cpu_minutes`: training and measuring, on one core.",
        "",
        SOURCES,
        "",
    ]
    for name, rows in tables(budget, Path()).items():
        paper, figures = PAPERS[name], found.get(name, {})
        columns = DENSE_COLUMNS if name == "dense520" else LANDMARK_COLUMNS
        lines += [f"## {paper.title}", "", "Ours:", ""]
        lines += ["| row | " + " | ".join((*columns, "cpu_minutes")) + " |", "|---" * (2 + len(columns)) + "|"]
        for row in rows:
            own = figures.get(row)
            values = [_shown(own.get(column)) for column in (*columns, "cpu_minutes")] if own else ["not run yet"]
            lines.append(f"| {row} | " + " | ".join(values + [""] * (len(columns) + 1 - len(values))) + " |")
        lines.append("")
        for row, own in figures.items():
            if "chunk_px" in own:
                lines += [
                    f"The {row}, asked for 2,048 points at once within chunks of 512 and as one whole: landmarks move "
                    f"by {own['chunk_px']} px of the {SIZE}-px crop on average, {own['chunk_px_max']} px at most.",
                    "",
                ]
        lines += [f"Theirs ({paper.source}): {paper.says}", "", f"Not comparable: {paper.apart}", ""]
    return "\n".join(lines)


def _shown(value: Any) -> str:
    return "" if value is None else f"{value:.2f}" if isinstance(value, float) else str(value)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60.0, help="spend about this long now")
    parser.add_argument("--only", choices=tuple(PAPERS), help="one table")
    parser.add_argument("--folder", type=Path, help="where the runs live; runs/ablations by default")
    parser.add_argument("--rehearse", action="store_true", help="every row with a tiny budget, written beside its runs")
    options = parser.parse_args()
    budget = Budget(2 * BATCH, 24, 16, 4, 2) if options.rehearse else Budget()
    folder = options.folder or ROOT / "runs" / ("rehearsal" if options.rehearse else "ablations")
    result = folder / "ablations.md" if options.rehearse else RESULT
    found: Figures = {}
    try:
        for found in run(folder, budget, Clock(options.minutes), options.only):
            result.write_text(written(found, budget))
    except UserError as error:
        raise SystemExit(str(error)) from None
    missing = sum(row not in found.get(name, {}) for name, rows in tables(budget, folder).items() for row in rows)
    print(f"{result.name} written; {missing} rows still to run." if missing else f"{result.name}: all rows are there.")


if __name__ == "__main__":
    main()
