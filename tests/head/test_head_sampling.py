"""Sampling: spacing, weights, Delaunay rounds, volume."""

import numpy as np
import pytest
from facequery.errors import UserError
from facequery.head import load_layout
from facequery.head.sampling import (
    by_weight,
    delaunay_centroids,
    farthest_points,
    in_tissue,
    on_surface,
    poisson_disk,
    skin_at_uv,
    skin_uv,
    uniform,
    volume_delaunay,
)
from scipy.spatial import cKDTree


def spacing(points):
    return cKDTree(points).query(points, k=2)[0][:, 1]


def test_poisson_disks_keep_their_distance_and_leave_no_hole(model, rng):
    mask = model.region_mask("face")
    points = poisson_disk(model, 0.008, rng, mask=mask)
    assert spacing(points.positions).min() >= 0.008
    probe = uniform(model, 2000, rng, weights=mask.astype(float)).positions
    assert cKDTree(points.positions).query(probe)[0].max() < 0.0125
    again = poisson_disk(model, 0.008, np.random.default_rng(5), mask=mask)
    assert len(again.positions) == pytest.approx(len(points.positions), rel=0.1)


def test_seeds_make_sampling_repeatable(model):
    a, b = (poisson_disk(model, 0.02, np.random.default_rng(3)).positions for _ in range(2))
    np.testing.assert_array_equal(a, b)


def test_points_follow_painted_weights(model, rng):
    skin = model.rest[model.parts["skin"].vertices]
    weights = np.where(model.region_mask("face"), np.where(skin[:, 0] > 0, 1.0, 0.25), 0.0)
    points = by_weight(model, weights, 300, rng)
    assert len(points.positions) == 300
    left = (points.positions[:, 0] > 0).mean()
    assert 0.7 < left < 0.9  # four times as dense
    assert spacing(points.positions).min() > 0.3 * np.median(spacing(points.positions))


def test_nothing_painted_is_refused(model, rng):
    with pytest.raises(UserError, match="weight"):
        by_weight(model, np.zeros(len(model.region_mask("face"))), 10, rng)
    with pytest.raises(UserError, match="spacing"):
        poisson_disk(model, 0.0, rng)


@pytest.mark.parametrize("space", ["uv", "surface"])
def test_delaunay_rounds_keep_the_seeds_and_stay_on_the_skin(model, space):
    seeds = load_layout("face68_3d").positions[[0, 4, 8, 12, 16, 19, 24, 30]]
    one, three = (delaunay_centroids(model, seeds, n, space) for n in (1, 3))
    np.testing.assert_allclose(three[: len(seeds)], seeds, atol=2e-6)
    assert len(seeds) < len(one) < len(three)
    assert np.abs(on_surface(model, three).positions - three).max() < 1e-7
    with pytest.raises(UserError, match="three seed"):
        delaunay_centroids(model, seeds[:2], 1, space)


def test_the_atlas_finds_points_again(model, rng):
    points = uniform(model, 300, rng)
    back, found = skin_at_uv(model, skin_uv(model, points))
    assert found.all()
    assert np.quantile(np.linalg.norm(back.positions - points.positions, axis=1), 0.99) < 1e-4


def test_farthest_points_spread(rng):
    cloud = rng.random((400, 3))
    chosen = farthest_points(cloud, 40)
    assert len(set(chosen)) == 40
    assert spacing(cloud[chosen]).min() > 2 * spacing(cloud[:40]).min()
    with pytest.raises(UserError):
        farthest_points(cloud[:3], 5)


def test_volume_points_lie_between_skin_and_bone(model, rng):
    mask = model.region_mask("face")
    skin = poisson_disk(model, 0.012, rng, mask=mask).positions
    bone = np.concatenate([uniform(model, 250, rng, part).positions for part in ("cranium", "mandible")])
    points = volume_delaunay(model, skin, bone)
    assert len(points) > 200
    assert in_tissue(model, points).all()
    outside = skin + 0.004 * (skin / np.linalg.norm(skin, axis=1, keepdims=True))
    assert not in_tissue(model, outside[skin[:, 1] > 0.03]).any()
    assert not in_tissue(model, model.eye_centres_rest).any()
    brain = np.array([[0.0, 0.04, -0.08]])
    assert not in_tissue(model, brain).any()
    more = volume_delaunay(model, skin, bone, rounds=2)
    assert len(more) > len(points)
    with pytest.raises(UserError, match="skin and on the bone"):
        volume_delaunay(model, skin, bone[:0])
