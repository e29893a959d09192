"""Lens models: both directions undo each other, derivatives are right, signs and formulas are Blender's."""

import numpy as np
import pytest
from facequery.errors import UserError
from facequery.geometry.lens import Lens, lens_from_dict, lens_from_st_map

LENSES = {
    "none": Lens(),
    "barrel": Lens("polynomial", np.array([-0.18, 0.02, -0.001])),
    "pincushion": Lens("polynomial", np.array([0.2, 0.05, 0.01])),
    "division": Lens("division", np.array([0.15, -0.02])),
    "brown": Lens("brown", np.array([-0.2, 0.05, -0.01, 0.001, 0.004, -0.003])),
    "nuke": Lens("nuke", np.array([0.06, 0.01, 0.02, -0.01])),
}


def _points(rng, reach=0.48):
    return rng.uniform(-reach, reach, (200, 2))


@pytest.mark.parametrize("name", LENSES)
def test_both_directions_undo_each_other(name, rng):
    lens, points = LENSES[name], _points(rng)
    np.testing.assert_allclose(lens.undistort(lens.distort(points, 0.6), 0.6), points, atol=1e-9)
    np.testing.assert_allclose(lens.distort(lens.undistort(points, 0.6), 0.6), points, atol=1e-9)


def test_formulas_are_blenders():
    x, y = 0.3, -0.2
    r2 = x * x + y * y
    polynomial = LENSES["pincushion"].distort([x, y])
    assert polynomial[0] == pytest.approx(x * (1 + 0.2 * r2 + 0.05 * r2**2 + 0.01 * r2**3))
    division = LENSES["division"].distort([x, y])
    assert division[1] == pytest.approx(y / (1 + 0.15 * r2 - 0.02 * r2**2))
    radial = 1 - 0.2 * r2 + 0.05 * r2**2 - 0.01 * r2**3 + 0.001 * r2**4
    brown = LENSES["brown"].distort([x, y])
    assert brown[0] == pytest.approx(x * radial + 0.004 * (r2 + 2 * x * x) - 0.003 * 2 * x * y)
    assert brown[1] == pytest.approx(y * radial - 0.003 * (r2 + 2 * y * y) + 0.004 * 2 * x * y)
    half = 0.5
    a, b = x / half, y / half
    nuke = LENSES["nuke"].undistort([x, y], half)
    q2 = a * a + b * b
    assert nuke[0] == pytest.approx(x / (1 + 0.06 * q2 + 0.01 * q2**2 + 0.02 * b * b))
    assert nuke[1] == pytest.approx(y / (1 + 0.06 * q2 + 0.01 * q2**2 - 0.01 * a * a))


def test_a_lens_that_changes_uses_each_frames_coefficients(rng):
    points = rng.uniform(-0.5, 0.5, (3, 7, 2))
    lens = Lens("polynomial", np.array([[0.1], [0.0], [-0.2]]))
    expected = np.stack(
        [Lens("polynomial", np.array([k])).distort(p) for k, p in zip([0.1, 0, -0.2], points, strict=True)]
    )
    np.testing.assert_allclose(lens.distort(points), expected)
    np.testing.assert_allclose(lens.undistort(expected), points, atol=1e-9)
    np.testing.assert_allclose(lens.select([2]).distort(points[2:]), expected[2:])


def test_a_point_that_the_lens_cannot_show_becomes_nan():
    barrel = Lens("polynomial", np.array([-0.3]))  # its picture ends at a radius of 0.703
    found = barrel.undistort([[0.5, 0.0], [0.9, 0.0], [np.nan, 0.0]])
    assert np.isfinite(found[0]).all() and np.isnan(found[1:]).any(axis=1).all()


def test_an_st_map_of_a_model_acts_as_the_model(rng):
    width, height, fx, fy, cx, cy = 192, 108, 200.0, 210.0, 90.0, 60.0
    model = LENSES["barrel"]
    columns, rows = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    ideal = np.stack([(columns - cx) / fx, (rows - cy) / fy], axis=-1)
    plate = model.distort(ideal) * [fx, fy] + [cx, cy]
    st_map = np.stack([plate[..., 0] / width, 1 - plate[..., 1] / height], axis=-1).astype(np.float32)
    lens = lens_from_st_map(st_map, fx, fy, cx, cy, width, height, "lens/st map.exr")
    points = rng.uniform([-0.4, -0.25], [0.4, 0.2], (100, 2))
    np.testing.assert_allclose(lens.distort(points), model.distort(points), atol=2e-5)  # a hundredth of a pixel
    np.testing.assert_allclose(lens.undistort(lens.distort(points)), points, atol=1e-9)
    assert lens_from_dict(lens.to_dict(), lens) is lens


@pytest.mark.parametrize("name", [n for n in LENSES])
def test_documents_round_trip(name, rng):
    lens, points = LENSES[name], _points(rng)
    again = lens_from_dict(lens.to_dict())
    np.testing.assert_array_equal(again.distort(points), lens.distort(points))


@pytest.mark.parametrize(
    "document",
    [None, {}, {"model": "fisheye"}, {"model": "division", "coefficients": [1, 2, 3]}, {"model": "st", "file": "a.exr"},
     {"model": "division", "coefficients": ["a"]}, {"model": "division", "coefficients": [float("nan")]},
     {"model": "division", "coefficients": 3}],
)  # fmt: skip
def test_a_bad_document_is_refused_in_one_sentence(document):
    with pytest.raises(UserError):
        lens_from_dict(document)
