"""Errors that landmarks and frames have in common: a fit must know that they do not average out."""

import numpy as np
from facequery.fitting.fit import fit_shot
from facequery.fitting.results import ShotFit
from scenes import make_tracks, make_truth
from toy_head import ToyHead

SIGMA = 3.0


def fitted(head: ToyHead, shared: bool, seed: int) -> tuple[ShotFit, float]:
    """A fit of tracks whose landmarks are wrong by SIGMA, each on its own or all in one smooth way; the true focal."""
    truth = make_truth(head, frames=8)
    tracks = make_tracks(truth)
    rng = np.random.default_rng(seed)
    shape = np.asarray(tracks.xy).shape
    if shared:
        places = np.asarray(tracks.queries.positions, np.float64)
        waves = np.sin(places @ rng.normal(size=(3, 6)) * 15.0 + rng.uniform(0, 6.0, 6))
        wrong = np.broadcast_to(waves @ rng.normal(size=(6, 2)) * (SIGMA / np.sqrt(3.0)), shape)
    else:
        wrong = rng.normal(size=shape) * SIGMA
    noisy = type(tracks)(tracks.xy + wrong, np.full(shape[:2], SIGMA), tracks.visible, tracks.frames, tracks.queries)
    return fit_shot(head, [noisy], [None]), float(truth.camera.fx[0])


def width(fit: ShotFit) -> float:
    low, high = fit.quality.focal_interval[0]
    return float(np.log(high / low))


def test_intervals_widen_where_landmarks_are_wrong_together(head: ToyHead) -> None:
    alone, focal = fitted(head, shared=False, seed=1)
    together, _ = fitted(head, shared=True, seed=1)
    assert width(together) > 1.3 * width(alone)
    assert np.median(together.quality.rotation_sigma) > 1.5 * np.median(alone.quality.rotation_sigma)
    for fit in (alone, together):
        low, high = fit.quality.focal_interval[0]
        assert low < focal < high
