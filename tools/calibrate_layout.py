"""Place the 68 points of 300-W where its annotators put them: query optimisation through the frozen detector.

    python -m tools.calibrate_layout [--weights landmarks] [--out assets/layouts/ibug68_300w.json]

The positions of `ibug68` are optimised on the annotated faces of `real_dev/lfpw` (crops from the annotation's box) and
written as a layout of its own, whose name and description say so. The network's weights do not change. Left and right
get the same place, so that a mirrored face gets mirrored landmarks. All points slide with the head's yaw and pitch,
because annotators put them where they see them (`facequery.evaluation.calibration`).
"""

import argparse
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
from facequery.assets import asset, source_data
from facequery.detection.detector import Detector
from facequery.errors import UserError
from facequery.evaluation import calibration
from facequery.evaluation.folders import evaluate_folder
from facequery.head.layouts import load_layout
from facequery.head.model import HeadModel
from facequery.head.queries import QuerySet

NAME = "ibug68_300w"
_FARTHEST = 0.02  # metres a point may move from its clean place: farther, it describes the network, not the face


def calibrated_layout(weights: Path | str) -> QuerySet:
    """`ibug68` with its positions optimised on the calibration set."""
    detector = Detector.from_pretrained(str(weights))
    model, clean = HeadModel.load(), load_layout("ibug68")
    if (clean.mirror_index() < 0).any():
        raise UserError("The layout ibug68 is not symmetric.", "Make it again with tools/learn_head.py.", "FQ530")
    guide = calibration.Guide.of(detector.network, clean, detector.mirror)
    fitted, slide = guide.fitted(np.ones(len(guide.paths), bool), rounds=3)
    moved = fitted - clean.positions
    length = np.linalg.norm(moved, axis=-1, keepdims=True)
    positions = clean.positions + moved * np.minimum(1.0, _FARTHEST / np.maximum(length, 1e-9))
    layout = QuerySet.from_positions(
        model, positions.astype(np.float32), names=clean.names, groups=clean.groups, name=NAME
    )  # fmt: skip
    if slide is not None:  # beside the places at rest, wherever these had to stay
        slide = replace(slide, positions=(slide.positions + layout.positions - fitted).astype(np.float32))
    samples = detector.card.get("metrics", {}).get("samples", "unknown")
    return replace(
        layout,
        slide=slide,
        description=f"The 68 points of 300-W, calibrated on {len(guide.paths)} annotated pictures (LFPW part of 300-W) "
        f"through the detector's weights ({samples} samples); mean move {1000 * length.mean():.1f} mm",
        origin="query optimisation (CLD, section 3.4) from ibug68; uses research-only annotations, so for comparisons",
        licence="Apache-2.0 positions; the 300-W annotations that they were fitted to are for research only",
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", default="landmarks", help="a weights file, or the name of weights that ship")
    parser.add_argument("--out", type=Path, help="layout file to write")
    arguments = parser.parse_args()
    try:
        layout = calibrated_layout(arguments.weights)
        out = arguments.out or asset("layouts") / f"{NAME}.json"
        layout.save(out)
        print(layout.description)
        for name, calibrate in (("lfpw", True), ("afw", False)):
            figures = evaluate_folder(
                source_data(f"real_dev/{name}"), arguments.weights, "points", None if calibrate else str(out), calibrate
            )
            print(json.dumps(figures))
    except UserError as error:
        raise SystemExit(str(error)) from None


if __name__ == "__main__":
    main()
