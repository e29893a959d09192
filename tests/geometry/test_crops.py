"""Crops: their definition, their invariances, and that sampling puts picture content where the matrices say."""

import numpy as np
import pytest
from facequery.geometry.crops import (
    apply_affine,
    compose,
    crop_from_box,
    crop_from_points,
    crop_from_similarity,
    crop_parameters,
    invert_affine,
    sample_crop,
)

UPRIGHT = np.array([[90.0, 100.0], [110.0, 100.0], [92.0, 124.0], [108.0, 124.0]])


def _blob(height: int, width: int, x: float, y: float, radius: float) -> np.ndarray:
    columns, rows = np.arange(width) + 0.5, np.arange(height) + 0.5
    picture = np.exp(-0.5 * ((columns - x) ** 2 + (rows[:, None] - y) ** 2) / radius**2)
    return np.repeat(picture[..., None], 3, axis=2).astype(np.float32)


def _centroid(picture: np.ndarray) -> np.ndarray:
    weight = picture[..., 0].astype(float)
    rows, columns = np.mgrid[: weight.shape[0], : weight.shape[1]] + 0.5
    return np.array([np.sum(columns * weight), np.sum(rows * weight)]) / weight.sum()


def test_crop_of_an_upright_face_has_the_size_and_centre_of_its_definition():
    centre, half, roll = crop_parameters(crop_from_points(UPRIGHT))
    assert centre == pytest.approx([100, 100 + 0.4 * 24])
    assert half == pytest.approx(1.75 * 24)
    assert roll == pytest.approx(0)


def test_a_profile_keeps_its_size_from_the_vertical_and_a_wide_face_from_the_eyes():
    profile, wide = UPRIGHT.copy(), UPRIGHT.copy()
    profile[:, 0] = 100
    wide[:2, 0] = [60, 140]
    assert crop_parameters(crop_from_points(profile))[1] == pytest.approx(1.75 * 24)
    assert crop_parameters(crop_from_points(wide))[1] == pytest.approx(1.75 * 0.95 * 80)


def test_crops_follow_a_similarity_of_the_picture(rng):
    angles, scales, shifts = rng.uniform(-3, 3, 20), rng.uniform(0.2, 5, 20), rng.uniform(-100, 100, (20, 2))
    motion = crop_from_similarity(shifts, scales, angles)
    moved = crop_from_points(apply_affine(motion, UPRIGHT))
    np.testing.assert_allclose(moved, compose(motion, crop_from_points(UPRIGHT)), atol=1e-9)


def test_eyes_over_the_mouth_take_the_roll_from_the_eye_line():
    four = np.array([[0.0, 0.0], [0.0, 20.0], [1.0, 5.0], [1.0, 15.0]])  # turned by 90 degrees, seen from far above
    assert crop_parameters(crop_from_points(four))[2] == pytest.approx(np.pi / 2)


def test_points_that_coincide_give_a_small_upright_crop():
    centre, half, roll = crop_parameters(crop_from_points(np.full((4, 2), 7.0)))
    assert (centre == 7).all() and half == 0.5 and roll == 0


def test_box_crop_is_close_to_the_point_crop_of_the_same_face():
    box = crop_parameters(crop_from_box(10, 20, 100, 120))
    assert box[0] == pytest.approx([60, 80 - 0.06 * 120]) and box[1] == pytest.approx(0.72 * 120)


def test_inverse_and_composition_undo_each_other(rng):
    matrices, points = rng.normal(size=(5, 2, 3)), rng.normal(size=(5, 7, 2))
    np.testing.assert_allclose(apply_affine(invert_affine(matrices), apply_affine(matrices, points)), points)
    np.testing.assert_allclose(compose(invert_affine(matrices), matrices)[..., :2], np.eye(2) + np.zeros((5, 2, 2)),
                               atol=1e-12)  # fmt: skip


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32, np.float16])
@pytest.mark.parametrize("channels", [None, 1, 3, 4])
def test_the_identity_crop_returns_the_picture_exactly(dtype, channels, rng):
    shape = (48, 48) if channels is None else (48, 48, channels)
    picture = (rng.random(shape) * 200).astype(dtype)
    whole = crop_from_similarity([24, 24], 24)
    np.testing.assert_array_equal(sample_crop(picture, whole, 48), picture)


def test_a_crop_of_whole_pixels_is_a_slice(rng):
    picture = (rng.random((60, 90, 3)) * 255).astype(np.uint8)
    np.testing.assert_array_equal(sample_crop(picture, crop_from_similarity([50, 30], 16), 32), picture[14:46, 34:66])


@pytest.mark.parametrize("half", [17.3, 41.0, 90.0, 205.0, 800.0])
@pytest.mark.parametrize("roll", [0.0, 0.5, -2.2])
def test_a_blob_lands_where_the_matrix_says(half, roll):
    size = 64
    crop = crop_from_similarity([203.7, 180.2], half, roll)
    x, y = 203.7 + 0.1 * min(half, 300), 180.2 - 0.13 * min(half, 300)
    target = apply_affine(invert_affine(crop), [[x, y]])[0]
    picture = _blob(400, 500, x, y, max(2.0, half / 25))
    found = _centroid(sample_crop(picture, crop, size, border="black"))
    assert found == pytest.approx((target + 1) / 2 * size, abs=0.02)


def test_fine_texture_does_not_alias():
    board = np.zeros((512, 512, 3), dtype=np.uint8)
    board[::2, ::2] = board[1::2, 1::2] = 255
    small = sample_crop(board, crop_from_similarity([256, 256], 200, 0.1), 64)
    assert np.abs(small.astype(int) - 127).max() <= 16  # bilinear sampling alone swings over the whole range


def test_border_is_repeated_or_black_and_crops_outside_the_picture_are_allowed():
    white = np.full((20, 20, 3), 255, dtype=np.uint8)
    crop = crop_from_similarity([0, 0], 20)
    assert (sample_crop(white, crop, 40) == 255).all()
    black = sample_crop(white, crop, 40, border="black")
    assert (black[:19] == 0).all() and (black[21:, 21:] == 255).all()
    assert (sample_crop(white, crop_from_similarity([500, 500], 20), 8) == 255).all()
    assert (sample_crop(white, crop_from_similarity([500, 500], 20), 8, border="black") == 0).all()
