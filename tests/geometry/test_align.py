"""Alignment recovers exact motions, honours weights, and never mirrors."""

import numpy as np
import pytest
from facequery.geometry.align import apply_similarity, similarity_transform
from facequery.geometry.rotations import axis_angle_to_matrix, project_to_so3


@pytest.mark.parametrize("dimensions", [2, 3])
@pytest.mark.parametrize("with_scale", [True, False])
def test_an_exact_motion_is_recovered_in_a_batch(dimensions, with_scale, rng):
    src = rng.normal(size=(4, 20, dimensions))
    rotation = project_to_so3(rng.normal(size=(4, dimensions, dimensions)))
    scale = rng.uniform(0.1, 9, 4) if with_scale else np.ones(4)
    shift = rng.normal(size=(4, dimensions))
    s, r, t = similarity_transform(src, apply_similarity(scale, rotation, shift, src), with_scale=with_scale)
    np.testing.assert_allclose(s, scale)
    np.testing.assert_allclose(r, rotation, atol=1e-12)
    np.testing.assert_allclose(t, shift, atol=1e-12)


def test_a_weight_of_zero_ignores_a_point_and_a_mirror_is_not_followed(rng):
    src, rotation = rng.normal(size=(12, 3)), axis_angle_to_matrix([0.2, 0.4, -1.0])
    dst = src @ rotation.T + [1, 2, 3]
    dst[0] += 100
    weights = np.ones(12)
    weights[0] = 0
    _, r, t = similarity_transform(src, dst, weights, with_scale=False)
    np.testing.assert_allclose(r, rotation, atol=1e-12)
    np.testing.assert_allclose(t, [1, 2, 3], atol=1e-12)
    assert np.linalg.det(similarity_transform(src, src * [-1, 1, 1])[1]) == pytest.approx(1)


def test_the_solution_is_a_minimum(rng):
    src, dst, weights = rng.normal(size=(15, 3)), rng.normal(size=(15, 3)), rng.random(15)
    s, r, t = similarity_transform(src, dst, weights)

    def cost(scale, rotation, shift):
        return np.sum(weights[:, None] * (apply_similarity(scale, rotation, shift, src) - dst) ** 2)

    for _ in range(30):
        turned = axis_angle_to_matrix(rng.normal(size=3) * 1e-3) @ r
        assert cost(s * (1 + rng.normal() * 1e-3), turned, t + rng.normal(size=3) * 1e-3) > cost(s, r, t)


def test_coinciding_points_give_a_pure_translation():
    s, r, t = similarity_transform(np.zeros((5, 3)), np.full((5, 3), 2.0))
    assert s == 1 and (r == np.eye(3)).all() and (t == 2).all()


def test_collinear_points_give_a_rotation(rng):
    line = np.outer(np.linspace(-1, 1, 9), [1.0, 2.0, 3.0])
    rotation = axis_angle_to_matrix([0.3, 0.1, 0.9])
    _, r, _ = similarity_transform(line, line @ rotation.T)
    np.testing.assert_allclose(line @ r.T, line @ rotation.T, atol=1e-12)
    assert np.linalg.det(r) == pytest.approx(1)
