"""How a detector is wrong: what landmarks have in common, which a fit must know (`facequery/fitting/common.py`).

    python -m benchmarks.fit_errors [--stills .cache/cycles/heldout] [--clips .cache/cycles/clips] [--weights landmarks]

On stills that Cycles rendered, of people that the fitting benchmark does not show: the variance of errors over what
sigma says, and how alike two landmarks' errors are by their distance on the head, beside what the fit assumes. On
clips: root mean square error in mm at the face, the share of its square that is the same in all frames, what remains
after the best affine map, how wide and how high the landmarks make the face (1: as it is), and how much nearer it looks
in them (one over the distance, 1 / metre).
"""

import argparse
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
from facequery.detection.detector import Detector, tightened, to_pixels
from facequery.errors import UserError
from facequery.fitting.common import likeness
from facequery.geometry.crops import crop_from_points, four_points, sample_crop
from facequery.head.layouts import load_layout
from facequery.head.model import HeadModel
from facequery.synthesis.cycles.dataset import CyclesSet
from numpy.typing import NDArray

from benchmarks.fit_detected import Watcher, filmed

Array = NDArray[np.float64]
BINS = (0.004, 0.01, 0.015, 0.02, 0.03, 0.04, 0.05, 0.06, 0.08, 0.10)  # metres


def errors_on_stills(model: HeadModel, detector: Detector, stills: CyclesSet) -> Array:
    """Errors (n, N, 2) of dense520 over their sigma, on crops from the true points."""
    queries = load_layout("dense520")
    binding, corners = model.bind(queries.positions), model.bind(model.rest[model.normalisation_vertices])
    found = []
    for index in range(len(stills)):
        at = stills.points(index, model, corners)[0]
        crop = tightened(crop_from_points(four_points(at)))
        picture = sample_crop(stills.image(index), crop, detector.size)
        inside, spread = detector.look(picture[None], queries.positions)
        xy, sigma = to_pixels(inside[0], spread[0], crop)
        found.append((xy - stills.points(index, model, binding)[0]) / sigma[:, None])
    return np.array(found)


def stills_report(errors: Array) -> Iterator[str]:
    """Variance of errors over sigma, and their likeness by distance."""
    variance = (errors**2).mean((0, 2))
    middle = np.median((errors**2).sum(-1)) / (2 * np.log(2))
    yield f"{len(errors)} stills: variance over sigma squared {variance.mean():.2f}, by the median {middle:.2f}"
    places = np.asarray(load_layout("dense520").positions, np.float64)
    covariance = np.einsum("nka,nla->kl", errors, errors) / (2 * len(errors))
    alike = covariance / np.sqrt(variance[:, None] * variance[None])
    distance = np.linalg.norm(places[:, None] - places[None], axis=2)
    yield "apart mm    alike  assumed"
    for low, high in pairwise(BINS):
        at = (distance >= low) & (distance < high)
        assumed = likeness(distance[at]).mean()
        yield f"{low * 1000:3.0f} to {high * 1000:3.0f}   {alike[at].mean():5.2f}    {assumed:5.2f}"


def clips_report(model: HeadModel, watcher: Watcher, folder: Path) -> Iterator[str]:
    """A line for each view of each clip."""
    queries = load_layout("dense520")
    binding, rest = model.bind(queries.positions), np.asarray(model.rest, np.float64)
    yield "clip            view | rms mm  constant  after affine mm | wide  high   nearer"
    singles = [one for one in filmed(folder, model, 1) if not one.name.startswith("three")]
    for one in [*singles, *filmed(folder, model, 3)]:
        points = np.stack([binding.moved(vertices, rest) for vertices in one.clip.vertices])
        for v, (plates, camera) in enumerate(zip(one.plates, one.clip.cameras, strict=True)):
            seen = camera.to_camera(points)
            mm = 1000.0 * seen[..., 2].mean() / camera.fx[0]
            truth, xy = camera.project(seen) * mm, np.asarray(watcher.track(plates, queries).xy, np.float64) * mm
            share = ((xy - truth).mean(0) ** 2).sum(-1).mean() / ((xy - truth) ** 2).sum(-1).mean()
            corners = np.concatenate([truth, np.ones((*truth.shape[:2], 1))], axis=2)
            maps_of = np.linalg.pinv(corners)
            maps = maps_of @ xy
            rms, after = (np.sqrt((gap**2).sum(-1).mean()) for gap in (xy - truth, xy - corners @ maps))
            wide, high = maps[:, 0, 0].mean(), maps[:, 1, 1].mean()
            middle = seen - seen.mean(1, keepdims=True)
            nearer = -middle[..., :2] * middle[..., 2:] * 1000.0  # mm of a metre more of one over the distance
            nearer, gap = nearer - corners @ (maps_of @ nearer), xy - corners @ maps
            near = (gap * nearer).sum() / (nearer**2).sum()
            look = f"{wide:.3f} {high:.3f}  {near:+.2f}"
            yield f"{one.name:16s} {v + 1:3d} | {rms:6.2f}  {share:8.2f}  {after:15.2f} | {look}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stills", type=Path, default=Path(".cache/cycles/heldout"))
    parser.add_argument("--clips", type=Path, default=Path(".cache/cycles/clips"))
    parser.add_argument("--weights", default="landmarks")
    options = parser.parse_args()
    try:
        model, watcher = HeadModel.load(), Watcher(options.weights)
        for line in stills_report(errors_on_stills(model, watcher.detector, CyclesSet.open(options.stills))):
            print(line, flush=True)
        for line in clips_report(model, watcher, options.clips):
            print(line, flush=True)
    except UserError as error:
        raise SystemExit(str(error)) from None


if __name__ == "__main__":
    main()
