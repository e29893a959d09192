"""Query optimisation: where somebody else's points lie on the head, found through a network that stays as it is."""

import numpy as np
import pytest
import torch
from facequery.evaluation.calibration import MIRROR, describe, locate, locate_both, optimise_queries, optimise_shifts
from facequery.head.layouts import load_layout
from facequery.models.landmarks import LandmarkConfig, LandmarkNet


@pytest.fixture(scope="module")
def described():
    torch.manual_seed(3)
    network = LandmarkNet(LandmarkConfig(input_size=64, descriptor=64, hidden=64)).eval()
    with torch.no_grad():
        network.predictor.last.weight.mul_(100)  # an untrained network hardly moves its landmarks
    images = np.random.default_rng(0).integers(0, 255, (12, 64, 64, 3), dtype=np.uint8)
    return network, describe(network, images), describe(network, images[:, :, ::-1])


@pytest.fixture(scope="module")
def layout():
    chosen = load_layout("ibug68")
    return np.asarray(chosen.positions * 10.0, np.float64), chosen.mirror_index()


def test_queries_go_where_the_points_are(described, layout):
    network, descriptors, _ = described
    start, _ = layout
    true = start + np.random.default_rng(1).normal(0, 0.03, start.shape)
    target = locate(network, descriptors, true)[0]
    found = optimise_queries(network, descriptors, target, start, rounds=3, pull=1e-6)
    before = np.abs(locate(network, descriptors, start)[0] - target).mean()
    assert np.abs(locate(network, descriptors, found)[0] - target).mean() < 0.1 * before
    # a strong pull holds them where they were
    held = optimise_queries(network, descriptors, target, start, pull=1e4)
    assert np.abs(held - start).max() < 1e-3
    # a blunder in one picture hardly matters, for distances count, not their squares
    spoiled = target.copy()
    spoiled[0] += 5.0
    other = optimise_queries(network, descriptors, spoiled, start, rounds=3, pull=1e-6)
    assert np.abs(locate(network, descriptors[1:], other)[0] - target[1:]).mean() < 0.3 * before


def test_left_and_right_get_the_same_place(described, layout):
    network, descriptors, mirrored = described
    start, partner = layout
    true = start + np.random.default_rng(2).normal(0, 0.03, start.shape)
    true = 0.5 * (true + true[partner] * MIRROR)
    target = locate_both(network, descriptors, mirrored, true)
    found = optimise_queries(
        network, descriptors, target, start, rounds=3, pull=1e-6, mirrored=mirrored, partner=partner
    )
    np.testing.assert_allclose(found, found[partner] * MIRROR, atol=1e-4)
    before = np.abs(locate_both(network, descriptors, mirrored, start) - target).mean()
    assert np.abs(locate_both(network, descriptors, mirrored, found) - target).mean() < 0.2 * before


def test_layouts_that_slide_get_one_shift_for_all_places(described, layout):
    network, descriptors, _ = described
    start, _ = layout
    placed = start + np.random.default_rng(4).normal(0, 0.02, (12, 1, 3))
    shift = np.array([0.02, -0.01, 0.015])
    target = locate(network, descriptors, placed + shift)[0]
    found = optimise_queries(network, descriptors, target, start, rounds=3, pull=1e-6, placed=placed)
    before = np.abs(locate(network, descriptors, placed)[0] - target).mean()
    assert np.abs(locate(network, descriptors, placed + (found - start))[0] - target).mean() < 0.1 * before


def test_what_depends_on_the_pose_is_found(described, layout):
    """Points that move with a feature of the pictures are followed, and mirrored pictures say the same."""
    network, descriptors, mirrored = described
    start, partner = layout
    asked = np.repeat(start[None], len(descriptors), axis=0)
    turn = np.linspace(-1, 1, len(descriptors))
    features = np.stack([np.ones_like(turn), turn], -1)
    true = np.random.default_rng(5).normal(0, 0.03, (2, *start.shape))
    # at the left what is at the right, where the head turns the other way
    true = 0.5 * (true + true[:, partner] * MIRROR * [[[1.0]], [[-1.0]]])
    target = locate_both(network, descriptors, mirrored, asked + np.einsum("bk,knj->bnj", features, true))
    found = optimise_shifts(
        network, descriptors, target, asked, features, np.array([False, True]), 3, 1e-6, mirrored, partner
    )
    np.testing.assert_allclose(found[1], -found[1][partner] * MIRROR, atol=1e-6)
    np.testing.assert_allclose(found[0], found[0][partner] * MIRROR, atol=1e-6)

    def distance(shifts: np.ndarray) -> float:
        return float(np.abs(locate_both(network, descriptors, mirrored, asked + shifts) - target).mean())

    best = distance(np.einsum("bk,knj->bnj", features, found))
    assert best < 0.1 * distance(np.zeros((1, 1, 3))) and best < 0.3 * distance(found[:1])
