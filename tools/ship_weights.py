"""Measure weights, write the figures into their card, and put them among the assets with a readable copy of the card.

    python -m tools.ship_weights runs/default/landmarks.safetensors landmarks [--quick]
    python -m tools.ship_weights assets/weights/landmarks.safetensors landmarks --keep-figures   # words alone changed

The figures come from the annotated photographs of the source data (never used for weights): `points` crops from the
annotation's box, `auto` the whole pipeline on canvases.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import torch
from facequery.assets import source_data
from facequery.errors import UserError
from facequery.evaluation.folders import evaluate_folder
from facequery.models.cost import multiply_accumulates, parameter_count
from facequery.models.landmarks import LandmarkNet
from facequery.models.weights import load_network, load_weights, save_weights

_ASSETS = Path(__file__).resolve().parents[1] / "assets" / "weights"
SETS = (  # folder, crop, calibrated
    ("lfpw", "points", False), ("lfpw", "points", True), ("afw", "points", False), ("afw", "points", True),
    ("london", "points", False), ("canada", "points", False),
    ("afw", "auto", False), ("afw", "auto", True),
)  # fmt: skip
COLUMNS = ("nme68", "nme51", "contour", "brows", "nose", "eyes", "mouth", "fail10", "nme_core", "missed",
           "inside_1_sigma", "sigma_rank")  # fmt: skip
FAILURES = {
    "landmarks": "The worst faces of the annotated sets: a hand, a cigarette or food before the mouth, half a face in "
    "black, raised brows, heads bent down, mouths wide open, eyes behind dark glasses, a second face in the crop. On "
    "photographs sigma is too small: 68.3 % of the errors should lie inside 1 sigma (column inside_1_sigma). Faces "
    "turned by more than 60 degrees are clearly worse than the mean (benchmarks/results/heldout.md).",
    "finder": "Faces that touch each other (posters) may merge into one; faces below 9 % of a wide picture's height "
    "and faces half covered by a hand may be missed. It is made to be generous: alone it sees about seven faces in 100 "
    "pictures of landscapes and textures; the landmarks' second look leaves one or none (benchmarks/results/peers.md).",
}
NOTES = {  # what the command alone does not tell of how the shipped weights came about
    "landmarks": "Trained in slices, so the command does not give the same weights again; each began with the "
    "weights of the one before (`--init`), on one busy core: 299,000 images in 76 min and 577,000 in "
    "129 min at 160 px without local refinement, 81,000 in 24 min at 192 px with refinement by one map, "
    "300,000 in 75 min with two maps and, from a third on, three looks, 284,000 in 90 min with a second "
    "look of the whole picture at anchor points, and the last, whose `samples` and `minutes` stand above, "
    "after dead units had been revived (tools/revive.py --last-stage) and with a peak rate of 2e-4 "
    "(`--set learning_rate=2e-4`); its last 26 minutes had 0.55 renders and 0.45 portraits. In the "
    "second half of the second slice skins taken from generated portraits (tools/portrait_skins.py), "
    "second faces and clips came in; from the third on, shapes beside the identity basis (1 mm RMS; "
    "held-out renders have others of their own, but of the same kind), brows and lips that vary as in "
    "photographs, and more queries at lids and lips; in the last two, brows of every length. The annotated "
    "sets were measured every ten minutes to follow the run; the weights are its last, not the best of "
    "them. How tight the crop is was chosen by looking at LFPW and AFW.\n\n"
    "London is no independent test of `frl189` or of brows: `frl189`, and the brows of `ibug68`, are "
    "placed after the mean of its annotations. Canada had no part in that. No point of `ibug68` was "
    "fitted to LFPW or AFW, but both were looked at while it was placed by hand, so they are no blind "
    "test of it.",
    "finder": "Trained in two schedules, so the command does not give the same weights again: 25,200 images in 14 min, "
    "then from those weights (`--init`) 43,456 images in 35 min: `samples` and `minutes` above are the second's.",
}


def figures(path: Path, quick: bool) -> list[dict[str, Any]]:
    """Rows of the table: one per set, crop and layout."""
    rows = []
    for name, crop, calibrate in SETS:
        if quick and crop == "auto":
            continue
        try:
            rows.append(evaluate_folder(source_data(f"real_dev/{name}"), path, crop, None, calibrate))  # type: ignore[arg-type]
        except UserError as error:
            print(f"{name}: {error}")
            continue
        print(json.dumps(rows[-1]), flush=True)
    return rows


def readable(name: str, card: dict[str, Any]) -> str:
    """The card as Markdown."""
    lines = [f"# {name}.safetensors", ""]
    for title, key in (("Kind", "kind"), ("Licence", "licence"), ("Preprocessing", "preprocessing")):
        lines.append(f"- {title}: {card[key]}")
    lines += [f"- Trained with: `{card['command']}`", f"- Parameters: {card['parameters']:,}"]
    lines.append(f"- Multiply-accumulates: {card['gmacs']:.2f} G ({card['gmacs_for']})")
    lines += ["", "## Architecture", ""]
    lines += [f"- {key}: {value}" for key, value in card["architecture"].items()]
    lines += ["", "## Trained on", "", *(f"- {item}" for item in card["data"])]
    lines += ["", "No photograph of a real person was used to fit the weights of this file, but for the ImageNet"]
    lines += ["pictures behind the initial weights.", "", "## Figures", ""]
    training = {k: v for k, v in card["metrics"].items() if not isinstance(v, list)}
    lines += [f"- {key}: {round(value, 3) if isinstance(value, float) else value}" for key, value in training.items()
              if key in ("samples", "minutes", "afw_found", "afw_error", "afw_score")]  # fmt: skip
    rows = card["metrics"].get("real", [])
    if rows:
        lines += ["", "Annotated photographs, errors in percent of the distance of the outer eye corners. `points`:",
                  "crop from the annotation's box; `auto`: found by the pipeline on a canvas. `+calibrated`: the 68",
                  "queries optimised on LFPW through the frozen network, by pose (on LFPW itself in two folds).", "",
                  "| set | crop | layout | faces | " + " | ".join(COLUMNS) + " |",
                  "|---" * (4 + len(COLUMNS)) + "|"]  # fmt: skip
        for row in rows:
            values = [row["set"], row["crop"], row["layout"], row["faces"], *(row.get(c, "") for c in COLUMNS)]
            lines.append("| " + " | ".join(f"{v:.2f}" if isinstance(v, float) else str(v) for v in values) + " |")
    lines += ["", "## Known failures", "", card["failures"], ""]
    if "notes" in card:
        lines += ["## How this run went, and what the figures can tell", "", card["notes"], ""]
    return "\n".join(lines)


def ship(path: Path, name: str, quick: bool, keep_figures: bool = False) -> None:
    """Measure `path`, or keep its figures, and write assets/weights/NAME.safetensors and NAME.md."""
    network, card = load_network(path)
    state, _ = load_weights(path)
    card["parameters"] = parameter_count(network)
    if isinstance(network, LandmarkNet):
        size = network.config.input_size
        macs = multiply_accumulates(network, torch.zeros(1, 3, size, size), torch.zeros(68, 3))
        card["gmacs_for"] = f"one {size}-px crop and 68 queries"
        if not keep_figures:
            training = {k: v for k, v in card["metrics"].items() if k in ("samples", "minutes")}
            card["metrics"] = {**training, "real": figures(path, quick)}
    else:
        macs = multiply_accumulates(network, torch.zeros(1, 3, 224, 384))
        card["gmacs_for"] = "one picture of 384 x 224 px"
    card["gmacs"] = macs / 1e9
    card["failures"] = FAILURES[card["kind"]]
    if name in NOTES:
        card["notes"] = NOTES[name]
    save_weights(_ASSETS / f"{name}.safetensors", state, card)
    (_ASSETS / f"{name}.md").write_text(readable(name, card))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights", type=Path)
    parser.add_argument("name", help="landmarks, finder, ...")
    parser.add_argument("--quick", action="store_true", help="without the whole pipeline")
    parser.add_argument("--keep-figures", action="store_true", help="measure nothing, write the card's words anew")
    arguments = parser.parse_args()
    try:
        ship(arguments.weights, arguments.name, arguments.quick, arguments.keep_figures)
    except UserError as error:
        raise SystemExit(str(error)) from None


if __name__ == "__main__":
    main()
