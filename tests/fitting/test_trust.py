"""Errors that landmarks and frames have in common: a fit must know that they do not average out."""

import numpy as np
import pytest
from facequery.fitting.common import common_errors, features, likeness, perspective
from facequery.fitting.fit import fit_shot
from facequery.fitting.results import ShotFit
from facequery.fitting.settings import FitSettings
from facequery.geometry.rotations import euler_to_matrix
from facequery.head.actor import Actor
from scenes import Truth, make_tracks, make_truth
from toy_head import ToyHead, ToyTracks

SIGMA = 3.0


def wrong_tracks(truth: Truth, shared: bool, seed: int) -> ToyTracks:
    """Tracks whose landmarks are wrong by SIGMA, each on its own or all in one smooth way that stays."""
    tracks, rng = make_tracks(truth), np.random.default_rng(seed)
    shape = np.asarray(tracks.xy).shape
    if shared:
        places = np.asarray(tracks.queries.positions, np.float64)
        waves = np.sin(places @ rng.normal(size=(3, 6)) * 15.0 + rng.uniform(0, 6.0, 6))
        wrong = np.broadcast_to(waves @ rng.normal(size=(6, 2)) * (SIGMA / np.sqrt(3.0)), shape)
    else:
        wrong = rng.normal(size=shape) * SIGMA
    return type(tracks)(tracks.xy + wrong, np.full(shape[:2], SIGMA), tracks.visible, tracks.frames, tracks.queries)


def fitted(head: ToyHead, shared: bool, seed: int) -> tuple[ShotFit, float]:
    """A fit of such tracks; the true focal length."""
    truth = make_truth(head, frames=8)
    return fit_shot(head, [wrong_tracks(truth, shared, seed)], [None]), float(truth.camera.fx[0])


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


@pytest.mark.parametrize("seed", range(2))
def test_errors_in_common_are_not_taken_for_an_expression(head: ToyHead, seed: int) -> None:
    truth = make_truth(head, frames=8)
    actor = Actor("known", truth.identity.astype(np.float32))
    settings = FitSettings(common_errors=1)
    fit = fit_shot(head, [wrong_tracks(truth, True, seed)], [truth.camera], settings, actor)
    assert np.abs(fit.face.expression - truth.expression).mean() < 0.03


def test_a_face_drawn_as_from_afar_does_not_make_a_wrong_focal_length_sure(head: ToyHead) -> None:
    truth = make_truth(head, frames=8, yaw=0.2)
    middle = truth.points[..., 2].mean(1, keepdims=True)
    depth = middle + (truth.points[..., 2] - middle) / 1.6  # as from 1.6 times the distance
    flat = np.array([640.0, 360.0]) + truth.camera.fx[0] * truth.points[..., :2] / depth[..., None]
    tracks, full = make_tracks(truth), np.ones(depth.shape)
    fit = fit_shot(head, [ToyTracks(flat, SIGMA * full, full, tracks.frames, tracks.queries)], [None])
    low, high = fit.quality.focal_interval[0]
    assert low < truth.camera.fx[0] < high
    sure = fit_shot(head, [ToyTracks(flat, 0.3 * full, full, tracks.frames, tracks.queries)], [None])
    assert width(sure) < 0.7 * width(fit)  # who says so little error is believed


def test_looking_nearer_is_what_a_camera_makes_of_it() -> None:
    places = np.random.default_rng(2).uniform(-0.08, 0.08, (40, 3))
    turn = euler_to_matrix(0.4, 0.2, 0.1)
    seen = (places - places.mean(0)) @ turn.T
    nearer = seen[:, :2] / (1.0 / 0.70 + seen[:, 2:]) * (1.0 / 0.70) - seen[:, :2]
    found = perspective(places, turn)
    assert np.abs(np.corrcoef(found.ravel(), nearer.ravel())[0, 1]) > 0.99


def test_features_are_as_alike_as_errors_are() -> None:
    points = np.random.default_rng(0).uniform(-0.08, 0.08, (90, 3))
    own = features(points, 90)
    apart = np.linalg.norm(points[:, None] - points[None], axis=2)
    np.testing.assert_allclose(own @ own.T, likeness(apart), atol=1e-6)
    assert features(points[:5]).shape == (5, 5)


def test_errors_in_common_grow_with_the_face_and_with_sigma() -> None:
    rng = np.random.default_rng(1)
    places, xy = rng.uniform(-0.08, 0.08, (30, 3)), rng.uniform(0, 100, (4, 30, 2))
    sigma, there = np.ones((4, 30)), np.ones((4, 30), bool)
    alike, size = common_errors(places, xy, sigma, there, np.eye(3), True)
    twice, larger = common_errors(places, 2 * xy, 2 * sigma, there, np.eye(3), True)
    np.testing.assert_allclose(larger, 2 * size)
    np.testing.assert_allclose(twice, alike)
    there[:, 7] = False
    assert not common_errors(places, xy, sigma, there, np.eye(3), True)[0][7].any()
