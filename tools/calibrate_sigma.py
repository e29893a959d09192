"""Fit the map of sigma on held-out renders and write it into the card of a weights file.

    python -m tools.calibrate_sigma WEIGHTS.safetensors [--faces 400] [--dry]

The detector's sigma becomes scale * sigma ** power (crop units): monotone, so which landmark is the surer one does not
change. It is fitted on one half of the faces and measured on the other, before and after. The tensors stay as they are.
"""

import argparse
from pathlib import Path

import numpy as np
from facequery.detection.detector import Detector
from facequery.errors import UserError
from facequery.evaluation.heldout import HeldOut, groups, look
from facequery.evaluation.sigma import fit_sigma_map, inside, negative_log_likelihood
from facequery.models.weights import load_weights, save_weights

_SEED = 1000  # other faces than benchmarks.heldout draws


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights", type=Path)
    parser.add_argument("--faces", type=int, default=400)
    parser.add_argument("--dry", action="store_true", help="write nothing")
    arguments = parser.parse_args()
    try:
        detector = Detector.from_pretrained(str(arguments.weights))
    except UserError as error:
        raise SystemExit(str(error)) from None
    detector.sigma_map = (1.0, 1.0)
    rendered = HeldOut(detector.size).render(groups()[0], arguments.faces, _SEED)
    xy, sigma = look(detector, rendered)
    residual = xy - rendered.truth
    fold = np.arange(len(xy)) % 2 == 0
    scale, power = fit_sigma_map(residual[fold], sigma[fold])
    for title, own in (("before", sigma[~fold]), ("after", scale * sigma[~fold] ** power)):
        shares = inside(residual[~fold], own)
        likelihood = negative_log_likelihood(residual[~fold], own)
        print(f"{title}: inside 1 and 2 sigma {', '.join(f'{v} %' for v in shares.values())}; -log p {likelihood:.3f}")
    print(f"scale {scale:.4f}, power {power:.4f}")
    if not arguments.dry:
        state, card = load_weights(arguments.weights)
        card["sigma"] = {"scale": scale, "power": power, "faces": int(fold.sum())}
        save_weights(arguments.weights, state, card)


if __name__ == "__main__":
    main()
