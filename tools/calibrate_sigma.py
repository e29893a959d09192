"""Fit the map of sigma on held-out renders and write it into the card of a weights file.

    python -m tools.calibrate_sigma WEIGHTS.safetensors [--faces 400] [--photographs] [--dry]

The detector's sigma becomes scale * sigma ** power (crop units): monotone, so which landmark is the surer one does not
change. It is fitted on one half of the faces and measured on the other, before and after. The tensors stay as they are.

`--photographs` fits a second map instead, on the annotated faces of `real_dev/lfpw`, with the 68 queries calibrated in
two folds, and measures it on `real_dev/afw`. The card keeps it beside the first, as `sigma_photographs`; it is no
default, for what it adds is mostly how far annotators differ from each other, which no track needs, and because the
annotations are for research only. `detector.sigma_map = (scale, power)` switches it on.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from facequery.assets import source_data
from facequery.detection.detector import Detector
from facequery.errors import UserError
from facequery.evaluation.annotated import load_annotated
from facequery.evaluation.calibration import CALIBRATION_SET
from facequery.evaluation.errors import inter_ocular
from facequery.evaluation.heldout import HeldOut, groups, look
from facequery.evaluation.predict import plain_and_calibrated, predict_points
from facequery.evaluation.sigma import fit_sigma_map, inside, negative_log_likelihood, sigma_figures
from facequery.models.weights import load_weights, save_weights
from numpy.typing import NDArray

_SEED = 1000  # other faces than benchmarks.heldout draws


def on_renders(detector: Detector, faces: int) -> dict[str, Any]:
    """The map of held-out renders, fitted on every other face and measured on the rest."""
    rendered = HeldOut(detector.size).render(groups()[0], faces, _SEED)
    xy, sigma = look(detector, rendered)
    residual = xy - rendered.truth
    fold = np.arange(len(xy)) % 2 == 0
    scale, power = fit_sigma_map(residual[fold], sigma[fold])
    report("held-out renders", residual[~fold], sigma[~fold], scale, power)
    return {"scale": scale, "power": power, "faces": int(fold.sum())}


def on_photographs(detector: Detector) -> dict[str, Any]:
    """The map of photographs, fitted on the calibration set and measured on `afw`, and what sigma is worth there."""
    found = {}
    for name in (CALIBRATION_SET, "real_dev/afw"):
        chosen = load_annotated(source_data(name))
        both = predict_points(detector, chosen, plain_and_calibrated(detector, chosen))
        own = both.columns(both.xy.shape[1] // 2, both.xy.shape[1])
        half = np.sqrt(np.abs(np.linalg.det(chosen.crops()[..., :2])))  # of the crop, pixels
        found[name] = (own.xy - own.truth) / half[:, None, None], own.sigma / half[:, None], own
    residual, sigma, _ = found[CALIBRATION_SET]
    scale, power = fit_sigma_map(residual, sigma)
    residual, sigma, own = found["real_dev/afw"]
    report("afw, calibrated queries", residual, sigma, scale, power)
    rank = sigma_figures(own, inter_ocular(own.truth, "ibug68"))["sigma_rank"]
    print(f"rank correlation of error and sigma per landmark, averaged: {rank}")
    return {"scale": scale, "power": power, "afw": {**inside(residual, scale * sigma**power), "sigma_rank": rank}}


def report(title: str, residual: NDArray, sigma: NDArray, scale: float, power: float) -> None:
    """Print what a map does to sigma (n, N) beside residuals (n, N, 2), crop units."""
    for when, own in (("before", sigma), ("after", scale * sigma**power)):
        shares = ", ".join(f"{v} %" for v in inside(residual, own).values())
        print(f"{title}, {when}: inside 1 and 2 sigma {shares}; -log p {negative_log_likelihood(residual, own):.3f}")
    print(f"scale {scale:.4f}, power {power:.4f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights", type=Path)
    parser.add_argument("--faces", type=int, default=400)
    parser.add_argument("--photographs", action="store_true", help="fit the map of photographs instead")
    parser.add_argument("--dry", action="store_true", help="write nothing")
    arguments = parser.parse_args()
    try:
        detector = Detector.from_pretrained(str(arguments.weights))
        if arguments.photographs:
            name, found = "sigma_photographs", on_photographs(_plain(detector))
        else:
            name, found = "sigma", on_renders(_plain(detector), arguments.faces)
    except UserError as error:
        raise SystemExit(str(error)) from None
    if not arguments.dry:
        state, card = load_weights(arguments.weights)
        card[name] = found
        save_weights(arguments.weights, state, card)


def _plain(detector: Detector) -> Detector:
    detector.sigma_map = (1.0, 1.0)  # the network's own sigma
    return detector


if __name__ == "__main__":
    main()
