"""Binding: exact on surfaces, rigid where parts are rigid, continuous everywhere."""

import numpy as np
import pytest
from facequery.head import QuerySet
from facequery.head.sampling import in_tissue, uniform

PARTS = ("skin", "eye_left", "teeth_upper", "teeth_lower", "cranium", "mandible")


@pytest.fixture
def face(model, rng, weights):
    """A head with another identity and an open, crooked mouth."""
    return model.vertices(rng.normal(size=model.identity_size), weights(jawOpen=0.8, jawLeft=0.4, eyeLookUpLeft=1))


@pytest.mark.parametrize("part", PARTS)
def test_vertices_are_bound_exactly(model, face, part):
    span = model.parts[part].vertices
    index = np.arange(span.start, span.stop)[::7]
    moved = model.bind(model.rest[index]).moved(face, model.rest)
    error = np.linalg.norm(moved - face[index], axis=1)
    # A few bone vertices lie inside a tooth or an eyeball's own surface and go with that; the eye's identity offsets
    # are rounded vertex by vertex, so that they are affine only to some micrometres.
    assert np.quantile(error, 0.98) < (3e-5 if part == "eye_left" else 1e-6)
    assert error.max() < 1e-3


def test_weights_sum_to_one(model, rng):
    points = model.rest[rng.integers(0, len(model.rest), 2000)] + rng.normal(scale=0.004, size=(2000, 3))
    binding = model.bind(points)
    np.testing.assert_allclose(binding.weights.sum(1), 1, atol=1e-5)
    np.testing.assert_allclose(binding.moved(model.rest, model.rest), points, atol=1e-6)


@pytest.mark.parametrize("part", ["mandible", "teeth_lower", "cranium"])
def test_points_on_bone_and_teeth_keep_their_distances(model, rng, weights, part):
    points = uniform(model, 200, rng, part).positions
    neutral, open_mouth = model.vertices(), model.vertices(expression=weights(jawOpen=1))
    binding = model.bind(points)
    own = np.isin(
        binding.indices[np.arange(200), binding.weights.argmax(1)],
        np.arange(len(model.rest))[model.parts[part].vertices],
    )
    assert own.mean() > 0.9
    a, b = binding.moved(neutral, model.rest)[own], binding.moved(open_mouth, model.rest)[own]
    np.testing.assert_allclose(
        np.linalg.norm(a[1:] - a[:-1], axis=1), np.linalg.norm(b[1:] - b[:-1], axis=1), atol=2e-5
    )


def test_inside_the_eye_points_turn_with_it(model, rng, weights):
    centre = model.eye_centres_rest[0]
    points = centre + rng.uniform(-0.005, 0.005, (50, 3))
    look = weights(eyeLookOutLeft=1)
    moved = model.points(QuerySet.from_positions(model, points), None, look)
    np.testing.assert_allclose(moved, (points - centre) @ model.gaze(look)[0].T + centre, atol=2e-6)


def test_nothing_jumps_in_the_volume(model, face, rng):
    """Along lines from the skin to the bone behind it, eight times smaller steps make far smaller differences."""

    def largest_difference(start, end, steps):
        line = start + np.linspace(-0.1, 1.1, steps)[:, None] * (end - start)
        shift = model.bind(line).moved(face, model.rest) - line
        return np.linalg.norm(np.diff(shift, axis=0), axis=1).max()

    for _ in range(12):
        start = uniform(model, 1, rng, "skin", model.region_mask("cheek_left").astype(float)).positions[0]
        bone = model.rest[model.parts["cranium"].vertices]
        end = bone[np.linalg.norm(bone - start, axis=1).argmin()]
        coarse, fine = (largest_difference(start, end, n) for n in (400, 3200))
        assert fine < max(0.4 * coarse, 2e-5)


def test_soft_tissue_moves_between_skin_and_bone(model, rng, weights):
    """With the jaw open, what lies between cheek and cranium moves less than the skin and more than the bone."""
    chin = uniform(model, 60, rng, "skin", model.region_mask("chin").astype(float)).positions
    bone = model.rest[model.parts["mandible"].vertices]
    foot = bone[np.linalg.norm(bone[None] - chin[:, None], axis=2).argmin(1)]
    middle = 0.5 * (chin + foot)
    middle = middle[in_tissue(model, middle)]
    assert len(middle) > 20
    smile = model.vertices(expression=weights(mouthShrugLower=1, mouthSmileLeft=1, mouthSmileRight=1))
    moved = np.linalg.norm(model.bind(middle).moved(smile, model.rest) - middle, axis=1)
    outer = np.linalg.norm(model.bind(chin).moved(smile, model.rest) - chin, axis=1)
    assert 0 < moved.mean() < outer.mean()


def test_points_over_the_skin_go_with_the_skin(model, face):
    tip = model.rest[model.parts["skin"].vertices][:, 2].argmax()
    over = model.rest[tip] + np.array([0, 0, 0.01], np.float32)
    moved = model.bind(over[None]).moved(face, model.rest)[0] - over
    np.testing.assert_allclose(moved, (face - model.rest)[tip], atol=3e-4)


def test_the_mouths_inside_does_not_go_with_the_lips(model, weights):
    """A point behind the lower incisors, in the mouth, follows the jaw and not the lip in front of it."""
    teeth = model.rest[model.teeth["central_incisor_lower_left"]]
    behind = np.array([[0.0, teeth[:, 1].max() - 0.006, teeth[:, 2].mean() - 0.008]])
    pucker = model.vertices(expression=weights(mouthPucker=1, mouthLowerDownLeft=1, mouthLowerDownRight=1))
    shift = model.bind(behind).moved(pucker, model.rest) - behind
    assert np.linalg.norm(shift) < 0.0012
