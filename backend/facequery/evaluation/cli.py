"""Command `facequery eval` (mounted by facequery.cli)."""

import json
from pathlib import Path
from typing import Annotated

import typer

from facequery.errors import UserError


def evaluate(
    folders: Annotated[list[Path], typer.Argument(help="Folders of annotated pictures with landmarks.json.")],
    weights: Annotated[str, typer.Option(help="A weights file, or the name of weights that ship.")] = "landmarks",
    crop: Annotated[str, typer.Option(help="points: from the annotation's box; auto: found by the pipeline.")] = "auto",
    layout: Annotated[str | None, typer.Option(help="Query positions; by default the set's own layout.")] = None,
    calibrate: Annotated[bool, typer.Option("--calibrate", help="Optimise the 68 queries on lfpw first.")] = False,
    fixed: Annotated[bool, typer.Option("--fixed", help="No point slides with the head's pose.")] = False,
    first_centre: Annotated[
        float | None,
        typer.Option(help="Where the files put the first pixel's centre: 0, or 1 as 300-W. [default: by set]"),
    ] = None,
    curves: Annotated[Path | None, typer.Option(metavar="PNG", help="Plot cumulative errors by yaw.")] = None,
    finder: Annotated[str, typer.Option(help="Weights of the face finder, for --crop auto.")] = "finder",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "cpu",
    as_json: Annotated[bool, typer.Option("--json", help="Print one line of JSON per folder.")] = False,
) -> None:
    """Measure a detector on annotated photographs, on pictures that Cycles rendered, or its steadiness on clips."""
    from facequery.detection.detector import Detector
    from facequery.detection.finder import FaceFinder
    from facequery.evaluation.curves import plot_curves
    from facequery.evaluation.films import has_clips
    from facequery.evaluation.folders import Evaluation
    from facequery.evaluation.folders import evaluate as measure
    from facequery.evaluation.stability import clip_figures

    if crop not in ("auto", "points"):
        raise UserError(f'There is no crop "{crop}".', 'Use "auto" or "points".', "FQ266")
    detector = Detector.from_pretrained(weights, device)
    faces = FaceFinder.from_pretrained(finder, str(detector.device)) if crop == "auto" else None
    done: dict[str, Evaluation] = {}
    for folder in folders:
        if has_clips(folder):
            figures = clip_figures(folder, weights)
        else:
            found = measure(
                folder, detector, crop, layout, calibrate, faces, not fixed, first_centre,  # type: ignore[arg-type]
            )  # fmt: skip
            figures = found.figures
            done[str(figures["set"])] = found
        if as_json:
            print(json.dumps(figures), flush=True)
        else:
            print("  ".join(f"{name} {value}" for name, value in figures.items()), flush=True)
    if curves and done:
        plot_curves(curves, {name: (found.box_errors, found.yaw) for name, found in done.items()})
