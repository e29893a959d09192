"""Corrections by hand hold at their frame, fade out around it, and leave the rest alone."""

from dataclasses import replace

import numpy as np
import pytest
from facequery.errors import UserError
from facequery.fitting.corrections import Corrections, Ignored, KeyedPose, Pin, fade_weights
from facequery.fitting.fit import fit_shot, refit_range
from facequery.fitting.results import ShotFit
from facequery.fitting.settings import FitSettings
from facequery.geometry.rotations import axis_angle_to_matrix
from scenes import degrees_between, make_tracks, make_truth
from toy_head import ToyHead

PLAIN = FitSettings(shape_spread=0.0)


def landmark_pixels(head: ToyHead, fit: ShotFit, positions: np.ndarray, index: int) -> np.ndarray:
    """(F, 2) where the fitted head shows a landmark of the skin."""
    vertex = head.bind(positions[index : index + 1]).indices[0, 0]
    return fit.cameras[0].project(fit.face.vertices[:, vertex : vertex + 1].astype(np.float64))[:, 0]


def test_fading_is_one_at_the_key_and_gone_at_its_neighbours() -> None:
    share = fade_weights(np.arange(20), np.array([5, 9]), 4)
    assert share[5, 0] == 1 and share[9, 1] == 1 and share[9, 0] == 0 and share[5, 1] == 0
    assert (share[:1] == 0).all() and (share[14:] == 0).all()
    assert (np.diff(share[1:6, 0]) > 0).all()


def test_a_pinned_landmark_is_met_and_far_frames_do_not_change(head: ToyHead) -> None:
    truth = make_truth(head, frames=24, count=120)
    tracks = make_tracks(truth, noise=0.5, sigma=0.5)
    index = 10  # on the skin, which comes first
    plain = fit_shot(head, [tracks], [truth.camera], PLAIN)
    wanted = landmark_pixels(head, plain, tracks.queries.positions, index)[12] + [6.0, -4.0]
    pin = Pin(int(tracks.frames[12]), index, (float(wanted[0]), float(wanted[1])))
    fit = fit_shot(head, [tracks], [truth.camera], PLAIN, corrections=Corrections(pins=(pin,), fade=5))
    found = landmark_pixels(head, fit, tracks.queries.positions, index)
    assert np.abs(found[12] - wanted).max() < 0.3
    before = landmark_pixels(head, plain, tracks.queries.positions, index)
    moved = np.linalg.norm(found - before, axis=1)
    assert moved[12] > moved[14] > moved[17]
    assert moved[[0, 1, 2, 22, 23]].max() < 0.5


def test_a_keyed_pose_is_met_exactly_and_fades(head: ToyHead) -> None:
    truth = make_truth(head, frames=20, count=120)
    tracks = make_tracks(truth, noise=0.3, sigma=0.3)
    plain = fit_shot(head, [tracks], [truth.camera], PLAIN)
    rotation = axis_angle_to_matrix(np.array([0.0, 0.06, 0.02])) @ plain.face.rotation[10]
    translation = plain.face.translation[10] + [0.004, 0.0, 0.01]
    key = KeyedPose(int(tracks.frames[10]), rotation, translation)
    fit = fit_shot(head, [tracks], [truth.camera], PLAIN, corrections=Corrections(poses=(key,), fade=4))
    assert degrees_between(fit.skull.rotation[10:11], rotation[None])[0] < 0.05
    np.testing.assert_allclose(fit.skull.translation[10], translation, atol=1e-4)
    turned = degrees_between(fit.skull.rotation, plain.skull.rotation)
    assert turned[10] > turned[12] > turned[15]
    assert turned[:4].max() < 0.1


def test_an_ignored_landmark_says_nothing(head: ToyHead) -> None:
    truth = make_truth(head, frames=8, count=80)
    tracks = make_tracks(truth)
    xy = tracks.xy.copy()
    xy[:, 7] += 3.0  # too little for the robust kernel to drop it
    wrong = replace(tracks, xy=xy, sigma=np.full_like(tracks.sigma, 2.0))
    ignored = Corrections(ignored=(Ignored(7, int(tracks.frames[0]), int(tracks.frames[-1])),))
    right = replace(wrong, sigma=wrong.sigma.copy())
    right.sigma[:, 7] = np.nan
    one = fit_shot(head, [wrong], [truth.camera], PLAIN, corrections=ignored)
    two = fit_shot(head, [right], [truth.camera], PLAIN)
    np.testing.assert_allclose(one.face.translation, two.face.translation, atol=2e-4)


def test_a_range_is_fitted_again_and_the_rest_is_untouched(head: ToyHead) -> None:
    truth = make_truth(head, frames=30, count=100)
    tracks = make_tracks(truth, noise=0.3, sigma=0.3)
    bad = tracks.xy.copy()
    bad[10:14] += 25.0
    before = fit_shot(head, [replace(tracks, xy=bad)], [truth.camera], PLAIN)
    first, last = int(tracks.frames[9]), int(tracks.frames[15])
    after = refit_range(head, [tracks], before, first, last, PLAIN)
    np.testing.assert_array_equal(after.face.vertices[:9], before.face.vertices[:9])
    np.testing.assert_array_equal(after.jaw.rotation[16:], before.jaw.rotation[16:])
    np.testing.assert_array_equal(after.face.identity, before.face.identity)
    # What was wrong before is right again, in the place where the tracks are.
    gap = np.linalg.norm(after.face.translation - truth.translation, axis=1)
    assert gap[9:16].max() < 0.25 * np.linalg.norm(before.face.translation - truth.translation, axis=1)[11]
    with pytest.raises(UserError, match="no frame"):
        refit_range(head, [tracks], before, 5, 7, PLAIN)


def test_a_correction_that_does_not_fit_the_shot_is_refused(head: ToyHead) -> None:
    truth = make_truth(head, frames=3, count=40)
    tracks = make_tracks(truth)
    for wrong in (Corrections(pins=(Pin(5, 1, (0, 0)),)), Corrections(ignored=(Ignored(99, 1, 2),))):
        with pytest.raises(UserError, match="correction"):
            fit_shot(head, [tracks], [truth.camera], PLAIN, corrections=wrong)
