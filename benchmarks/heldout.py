"""Errors by attribute on renders that training never sees, with exact truth; what sigma is worth there.

    python -m benchmarks.heldout [--weights landmarks] [--count 60] [--out benchmarks/results/heldout.md]

Held-out skins, hair, environments and people, each with a smooth shape of 1.5 mm RMS that no basis holds. Crops are
jittered as training's are. 68 points of ibug68. "box": error over sqrt(h w) of the box, all points, percent (the
measure for faces turned far, whose eye corners fall together), "ratio": that over the row "all", "median": its median
over faces; "seen": the visible points alone, "seen_ratio": that over the row "all"; "nme": over the distance of the
outer eye corners, faces turned by less than 60 degrees; "hidden": share of points that something covers. The bins of
yaw are those of AFLW2000-3D; the mean of the bins is its measure; the picture of the same name has the cumulative
curves. Figures on renders say nothing about photographs: `peers.md` stands beside them, and the tables below.

Sigma on photographs: "sigma_rank" is the rank correlation of error and sigma, both over the eyes' distance, per
landmark across faces, averaged; "known": the same of who knows the true mean error of every face, beside which there is
little to be known. Tried instead of the network's own sigma, alone or joined with it: how far the mirrored picture's
answer is off, how far that of another crop is, a face's mean of either or of sigma, more for turned heads. None ranked
errors better by more than 0.005.

Stills by Cycles, where there are any in .cache/cycles/heldout: error of points spread over the face's skin in percent
of the eyes' distance as it would look from the front (`dense_nme_3d` of `facequery eval`), and what it consists of:
what would be left if every head were moved, turned and scaled rightly, or without the mean offset that each point has
on the other half of the faces, a bias that a calibration could take off; "basis": the error of who knows everybody's
coefficients, pose and camera, but not the shape of 1.5 mm that no basis holds; "landmarks": of who knows pose, camera
and the true places of 68 points, of that shape what they show, and concludes the rest by the head's bases.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from facequery.assets import source_data
from facequery.detection.detector import Detector
from facequery.errors import UserError
from facequery.evaluation.annotated import load_annotated
from facequery.evaluation.curves import plot_curves
from facequery.evaluation.dense import dense_queries, look_dense
from facequery.evaluation.dense_parts import parts as dense_parts
from facequery.evaluation.errors import box_size, inter_ocular, normalised_errors
from facequery.evaluation.hard import hard_faces, reason_masks
from facequery.evaluation.heldout import HeldOut, attribute_row, groups, look
from facequery.evaluation.predict import Prediction, plain_and_calibrated, predict_points
from facequery.evaluation.sigma import mean_rank, sigma_figures
from facequery.head.model import HeadModel
from facequery.synthesis.cycles.dataset import CyclesSet
from numpy.typing import NDArray

from benchmarks.peers import table

STILLS, DENSE = Path(".cache/cycles/heldout"), 1500
SIGMA = ("inside_1_sigma", "inside_2_sigma")
COLUMNS = ("group", "faces", "box", "ratio", "median", "seen", "seen_ratio", "nme", "hidden", *SIGMA)


def attribute_rows(detector: Detector, count: int) -> tuple[list[dict[str, Any]], tuple[NDArray, NDArray]]:
    """A row for every group, the first of which is the mean of all kinds of faces; and the box-normalised error and the
    yaw of every face of the groups by yaw, (n,) each."""
    stage = HeldOut(detector.size)
    rows: list[dict[str, Any]] = []
    turned: list[NDArray] = []
    for group in groups():
        rendered = stage.render(group, count * 4 if not rows else count)
        xy, sigma = look(detector, rendered)
        row = {"group": group.name, **attribute_row(xy, rendered)}
        found = sigma_figures(Prediction(xy, sigma, rendered.truth, 0.0), np.ones(len(xy)))
        if group.name.startswith("yaw"):
            size = box_size(rendered.truth)
            turned.append(np.stack([normalised_errors(xy, rendered.truth, size).mean(1), rendered.yaw]))
        rows.append(row | {name: found[name] for name in (*SIGMA, "sigma_rank", "nll")})
    for row in rows:
        row |= {"ratio": row["box"] / rows[0]["box"], "seen_ratio": row["seen"] / rows[0]["seen"]}
    errors, yaw = np.concatenate(turned, axis=1)
    return rows, (errors, yaw)


def mean_of_bins(rows: list[dict[str, Any]]) -> float:
    """AFLW2000-3D's mean of the three bins of yaw."""
    return float(np.mean([row["box"] for row in rows if str(row["group"]).startswith("yaw")]))


def photograph_rows(detector: Detector) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The annotated photographs by why they are hard, NME over 68 points, and what sigma is worth on them; crops from
    the annotation's boxes."""
    rows, trust = [], []
    for name in ("lfpw", "afw"):
        chosen = load_annotated(source_data(f"real_dev/{name}"))
        found = predict_points(detector, chosen, plain_and_calibrated(detector, chosen))
        size = inter_ocular(found.truth, "ibug68")
        kinds = {"nme68": found.columns(0, 68), "calibrated": found.columns(68, 136)}
        errors = {kind: normalised_errors(own.xy, found.truth, size) for kind, own in kinds.items()}
        for kind, error in errors.items():
            figures = sigma_figures(kinds[kind], size)
            known = mean_rank(error, np.repeat(error.mean(1, keepdims=True), error.shape[1], 1))
            trust.append({"set": name, "points": "plain" if kind == "nme68" else kind, **figures, "known": known})
        hard = hard_faces(chosen)
        masks = {"all": np.ones(len(size), bool), **reason_masks(chosen)}
        if hard is not None:
            masks |= {"hard, any reason": hard, "the rest": ~hard}
        for reason, mask in masks.items():
            row: dict[str, Any] = {"set": name, "faces of": reason, "faces": int(mask.sum())}
            rows.append(row | {kind: 100 * float(error[mask].mean()) for kind, error in errors.items()})
    return rows, trust


def still_rows(detector: Detector) -> list[dict[str, Any]]:
    """What the error on the stills by Cycles consists of; empty where there are none."""
    if not STILLS.exists():
        return []
    model = HeadModel.load()
    asked = model.bind(dense_queries(model, DENSE).positions)
    found = dense_parts(look_dense(detector, CyclesSet.open(STILLS), DENSE), asked, model)
    return [{"what": name, "percent": value} for name, value in found.items()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", default="landmarks", help="a weights file, or the name of weights that ship")
    parser.add_argument(
        "--count", type=int, default=60, help="faces of a group; the group of all has four times as many"
    )
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "heldout.md")
    arguments = parser.parse_args()
    try:
        detector = Detector.from_pretrained(arguments.weights)
        rows, turned = attribute_rows(detector, arguments.count)
        worst = max(rows[1:], key=lambda row: row["ratio"])
        first = rows[0]
        parts = [
            table(rows, COLUMNS),
            f"Mean of the bins of yaw: {mean_of_bins(rows):.2f}. Worst group: {worst['group']}, {worst['ratio']:.2f} "
            f"times the mean. Sigma of all: {first['inside_1_sigma']} % inside 1 sigma (68.3 would be right), "
            f"{first['inside_2_sigma']} % inside 2 (95.4), rank correlation with the error {first['sigma_rank']}, "
            f"negative log-likelihood {first['nll']} (of crop units).",
        ]
        try:
            photographs, trust = photograph_rows(detector)
            parts += ["Photographs, by why they are hard (names in backend/facequery/evaluation/hard_faces.json)",
                      table(photographs, ("set", "faces of", "faces", "nme68", "calibrated")),
                      "Sigma on photographs",
                      table(trust, ("set", "points", *SIGMA, "sigma_rank", "known"))]  # fmt: skip
        except UserError as error:
            parts.append(str(error))
        if stills := still_rows(detector):
            parts += [f"Stills by Cycles, {DENSE} points", table(stills, ("what", "percent"))]
    except UserError as error:
        raise SystemExit(str(error)) from None
    text = "\n\n".join(parts)
    print(text)
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    plot_curves(arguments.out.with_suffix(".png"), {"held-out renders": turned})
    arguments.out.write_text(f"# Held-out renders\n\n{(__doc__ or '').strip()}\n\n{text}\n")


if __name__ == "__main__":
    main()
