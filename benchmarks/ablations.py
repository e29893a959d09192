"""The papers' ablation tables, ours at small equal budgets: python -m benchmarks.ablations [--minutes 60] [--only T]

Every row is a training run of the same number of samples from the same seed; only what the row names differs. Runs are
resumable: call the command again, with any number of minutes, until it says that all rows are there. `--rehearse` runs
every row with a handful of steps into a folder of its own. Writes benchmarks/results/ablations.md.
"""

import argparse
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from facequery.errors import UserError
from facequery.head.model import HeadModel
from facequery.models.landmarks import LandmarkConfig
from facequery.synthesis.position_maps import write_position_maps
from facequery.synthesis.samples import FaceSampler
from facequery.training.configs import DataConfig, LossConfig, SetConfig, TrainConfig
from facequery.training.renders import render_settings

from benchmarks.small_runs import Clock, OutOfTime, chunk_difference, finished, measured, measured_dense

ROOT = Path(__file__).resolve().parents[1]
RESULT = ROOT / "benchmarks" / "results" / "ablations.md"
SAMPLES, SIZE, BATCH = 20_000, 128, 32  # the budget of a row
FIXED = 3_000  # renders of the augmentation table: endless ones would hide the effect
LANDMARK_COLUMNS = ("lfpw_nme51", "lfpw_nme68", "afw_nme51", "afw_nme68", "render68", "render_dense", "nmf")
DENSE_COLUMNS = ("render68_box_mean", "render68_nme", "render21_nme", "render520_nme", "render520_depth", "lfpw_nme51",
                 "afw_nme51")  # fmt: skip


@dataclass(frozen=True)
class Table:
    """Rows of one table: name -> configuration; `says`, what the paper has; `apart`, what cannot be compared."""

    title: str
    paper: str
    says: str
    apart: str
    rows: dict[str, TrainConfig]
    columns: tuple[str, ...] = LANDMARK_COLUMNS


@dataclass(frozen=True)
class Budget:
    """What every row may spend, and on what it is measured."""

    samples: int = SAMPLES
    size: int = SIZE
    fixed: int = FIXED
    renders: int = 200


def base(budget: Budget) -> TrainConfig:
    """The row that all tables share: the small dense ResNet, MLP, 2D, renders alone."""
    return TrainConfig(
        name="ablation",
        model=LandmarkConfig(encoder="resnet_dense", input_size=budget.size, region=2 * budget.size),
        data=DataConfig(renders=1.0, portraits=0.0, portrait_skins=0.0, reuse=2.0, slots=2048),
        imagenet=False, frozen_stages=0, encoder_rate=1.0, batch=BATCH, ema=0.99, warmup=0.05,
        steps=max(1, budget.samples // BATCH), evaluate_minutes=0, epoch=0, checkpoint_minutes=1.0, seed=3,
    )  # fmt: skip


def tables(budget: Budget, fixed: Path) -> dict[str, Table]:
    """All tables by name. `fixed`: folder of the fixed set of renders."""
    plain = base(budget)

    def model(**changes: Any) -> TrainConfig:
        return replace(plain, model=replace(plain.model, **changes))

    def data(**changes: Any) -> TrainConfig:
        return replace(plain, data=replace(plain.data, **changes))

    on_fixed = {"renders": 0.0, "sets": (SetConfig(str(fixed)),), "cutout": 0.0, "flip": False}
    two_sets = data(renders=0.6, portraits=0.4)
    all_three = replace(two_sets, model=replace(plain.model, space="3d", spatial=True))
    dense = replace(
        plain, network="dense520", loss=LossConfig(kind="hybrid"), clip=1e4,
        model=LandmarkConfig(encoder="mobilenet_v2", input_size=budget.size), data=replace(plain.data, slots=1024),
    )  # fmt: skip

    def regressor(encoder: str, kind: str) -> TrainConfig:
        return replace(dense, model=replace(dense.model, encoder=encoder), loss=LossConfig(kind=kind))

    return {
        "predictor": Table(
            "Predictor", "CLD, section 4.3",
            "offers both; the transformer sees the whole set of queries, the MLP each alone",
            "theirs trains for days on annotated photographs with ConvNeXt",
            {"MLP": plain, "transformer": model(predictor="transformer")},
        ),
        "encoder": Table(
            "Image encoder and its head", "CLD, section 4.1",
            "uses ConvNeXt and MobileNetV3",
            "theirs start from ImageNet; here all begin from random weights, which favours small networks, and equal "
            "samples are no equal time",
            {name: model(encoder=name) for name in ("resnet_dense", "mobilenet_v2", "mobilenet_v3_large",
                                                    "convnext_atto", "convnext_tiny", "resnet18", "resnet50")}
            | {"resnet_dense, pooled": model(head="pool")},
        ),
        "likelihood": Table(
            "Loss", "CLD, section 3.3",
            "trains mean and sigma jointly by the Gaussian likelihood",
            "the paper has no such table; the detached forms are ours",
            {kind: replace(plain, loss=LossConfig(kind=kind)) for kind in ("joint", "l2", "wing")},
        ),
        "space": Table(
            "Canonical space", "CLD, section 3.2",
            "queries may be 3D positions or UV coordinates",
            "UV holds the skin alone, so its dense error leaves out what is not skin",
            {"3D": plain, "UV": model(query_dims=2)},
        ),
        "augmentation": Table(
            "Augmentation", "CLD, table 4",
            "compares none, colour, affine and both",
            f"theirs augments photographs; ours {budget.fixed} fixed renders without camera faults, and the test "
            "photographs are another domain altogether",
            {name: data(colour=colour, affine=affine, **on_fixed) for name, colour, affine in (
                ("none", False, False), ("colour", True, False), ("affine", False, True), ("both", True, True))},
        ),
        "data": Table(
            "Queries of the training data", "CLD, figure 6",
            "interpolation between sparse landmarks works, extrapolation from them to the dense face does not",
            "theirs mixes real sparse sets with synthetic dense ones; here the same renders are labelled sparsely "
            "(ibug68), densely (no layout's points), or both",
            {"sparse": data(render_queries="ibug68"), "dense": data(render_queries="dense"), "both": plain},
        ),
        "inf3d": Table(
            "Spatial transformer, 3D head, semantic correction", "Inf3D, section 4",
            "reports better accuracy and steadiness with them",
            "rows with the transformer see regions with the face anywhere, any roll; the others see crops by the true "
            "points with a finder's jitter, which is easier; photographs are measured by annotation boxes, and so not "
            "for rows with the transformer",
            {"off": replace(two_sets, correction=False),
             "transformer": replace(two_sets, correction=False, model=replace(plain.model, spatial=True)),
             "3D head": replace(two_sets, correction=False, model=replace(plain.model, space="3d")),
             "correction": two_sets, "all": all_three},
        ),
        "dense520": Table(
            "Dense520: loss and backbone", "Dense520, section 4",
            "trains with 1.5 Wing + 0.5 MSE, on MobileNetV2, ResNet-18 and ResNet-50",
            "theirs trains on 300W-LP and is scored on AFLW2000-3D; ours trains on renders and its box-normalised "
            "errors are on **renders** of held-out people; inner 51 of the 68 on photographs",
            {"MobileNetV2, Wing + MSE": regressor("mobilenet_v2", "hybrid"),
             "MobileNetV2, Wing": regressor("mobilenet_v2", "wing"),
             "MobileNetV2, MSE": regressor("mobilenet_v2", "l2"),
             "ResNet-18, Wing + MSE": regressor("resnet18", "hybrid"),
             "ResNet-50, Wing + MSE": regressor("resnet50", "hybrid")},
            DENSE_COLUMNS,
        ),
    }  # fmt: skip


def measure(config: TrainConfig, renders: int) -> Callable[[Any, dict], dict[str, Any]]:
    """What a row's run is measured by."""
    if config.network == "dense520":
        return measured_dense

    def landmarks(task: Any, state: dict) -> dict[str, Any]:
        figures = measured(task, state, renders)
        if config.model.predictor == "transformer":
            figures["chunk_px"] = round(chunk_difference(task.network(state)), 4)
        return figures

    return landmarks


def fixed_renders(folder: Path, budget: Budget) -> None:
    """The fixed set of the augmentation table: exact crops without camera faults, as position maps."""
    settings = render_settings(DataConfig(colour=False, affine=False, portrait_skins=0.0))
    write_position_maps(folder, FaceSampler(settings), budget.fixed, budget.size, 96, seed=5)


def run(folder: Path, budget: Budget, clock: Clock, only: str | None) -> dict[str, dict[str, dict[str, Any]]]:
    """Train what is missing while there is time; figures of the finished rows by table and row."""
    found: dict[str, dict[str, dict[str, Any]]] = {}
    shared: dict[str, dict[str, Any]] = {}  # rows that are the same run in several tables
    for name, table in tables(budget, folder / "fixed").items():
        found[name] = {}
        for row, config in table.rows.items():
            key = json.dumps(config.to_dict(), sort_keys=True)
            if key in shared:
                found[name][row] = shared[key]
                continue
            place = folder / name / row.replace(" ", "_").replace(",", "").replace("+", "and")
            if not (place / "result.json").exists():
                if clock.left() <= 0 or (only and only != name):
                    continue
                if name == "augmentation":
                    fixed_renders(folder / "fixed", budget)
                print(f"{table.title}: {row}", flush=True)
            try:
                found[name][row] = finished(config, place, clock, measure(config, budget.renders))
                shared[key] = found[name][row]
            except OutOfTime:
                continue
    return found


def written(found: dict[str, dict[str, dict[str, Any]]], budget: Budget, fixed: Path) -> str:
    """The tables as Markdown."""
    lines = [
        "# Ablation tables",
        "",
        f"Made by `python -m benchmarks.ablations`. Every row: {budget.samples:,} samples at {budget.size} px, batch "
        f"{BATCH}, one seed, random initial weights. At this budget differences of a few per cent between rows are "
        "within what another seed would give. No pretrained weights, and renders alone unless the row says otherwise.",
        "",
        "- `lfpw_*`, `afw_*`: real photographs, annotation boxes, percent of the outer eye corners' distance (68 "
        "points, or the inner 51), clean layout.",
        f"- `render68`, `render_dense`: {budget.renders} **renders** of held-out people, percent of the true distance "
        "of the outer eye corners; all over the face for `render_dense`.",
        "- `nmf`: **rendered** held-out clips, RMS change of the residual between frames over the box's size, percent.",
        "- Dense520's `render*`: percent of sqrt(h w) of the box, on **renders**; `box_mean`: the mean of the yaw bins "
        "0-30, 30-60, 60-90 degrees; 68: 3D contour.",
        "",
    ]
    for name, table in tables(budget, fixed).items():
        rows = found.get(name, {})
        extra = tuple(c for c in ("chunk_px",) if any(c in figures for figures in rows.values()))
        columns = (*table.columns, *extra, "minutes")
        lines += [f"## {table.title}", "", f"{table.paper}: {table.says}.", "", f"Not comparable: {table.apart}.", ""]
        lines += ["| row | " + " | ".join(columns) + " |", "|---" * (1 + len(columns)) + "|"]
        for row in table.rows:
            figures = rows.get(row)
            values = ["not run yet"] if figures is None else [_shown(figures.get(column)) for column in columns]
            lines.append(f"| {row} | " + " | ".join(values + [""] * (len(columns) - len(values))) + " |")
        if extra:
            lines += ["", "`chunk_px`: how far landmarks move, in pixels of the crop, when the transformer attends to "
                      "2,048 queries at once and not within chunks of 512."]  # fmt: skip
        lines.append("")
    return "\n".join(lines)


def _shown(value: Any) -> str:
    return "" if value is None else f"{value:.2f}" if isinstance(value, float) else str(value)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60.0, help="spend about this long now")
    parser.add_argument("--only", help="one table: predictor, encoder, likelihood, space, augmentation, ...")
    parser.add_argument("--folder", type=Path, help="where the runs live; runs/ablations by default")
    parser.add_argument("--rehearse", action="store_true", help="every row with a tiny budget, written beside its runs")
    arguments = parser.parse_args()
    budget = Budget(samples=2 * BATCH, size=64, fixed=16, renders=4) if arguments.rehearse else Budget()
    folder = arguments.folder or ROOT / "runs" / ("rehearsal" if arguments.rehearse else "ablations")
    known = tables(budget, folder / "fixed")
    if arguments.only and arguments.only not in known:
        raise SystemExit(f'There is no table "{arguments.only}". Known: {", ".join(known)}.')
    HeadModel.load()
    try:
        found = run(folder, budget, Clock(arguments.minutes), arguments.only)
    except UserError as error:
        raise SystemExit(str(error)) from None
    result = folder / "ablations.md" if arguments.rehearse else RESULT
    result.write_text(written(found, budget, folder / "fixed"))
    missing = sum(row not in found[name] for name, table in known.items() for row in table.rows)
    print(f"{result.name} written; {missing} rows still to run." if missing else f"{result.name}: all rows are there.")


if __name__ == "__main__":
    main()
