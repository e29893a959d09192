"""Rotations: round trips near the singular angles, conventions, means."""

import numpy as np
import pytest
from facequery.geometry import rotations as rot

ANGLES = [0.0, 1e-12, 1e-8, 1e-5, 0.0099, 0.0101, 0.5, 2.0, np.pi - 1e-3, np.pi - 1e-7, np.pi - 1e-10]


def _axes(rng, count):
    axes = rng.normal(size=(count, 3))
    axes[:3] = np.eye(3)
    return axes / np.linalg.norm(axes, axis=1, keepdims=True)


@pytest.mark.parametrize("angle", ANGLES)
def test_axis_angle_round_trip_at_every_size(angle, rng):
    vectors = _axes(rng, 50) * angle
    matrices = rot.axis_angle_to_matrix(vectors)
    np.testing.assert_allclose(matrices @ np.swapaxes(matrices, -1, -2), np.eye(3) + np.zeros((50, 3, 3)), atol=1e-14)
    np.testing.assert_allclose(rot.matrix_to_axis_angle(matrices), vectors, atol=1e-9)


def test_half_turns_keep_their_axis_up_to_sign(rng):
    axes = _axes(rng, 50)
    found = rot.matrix_to_axis_angle(rot.axis_angle_to_matrix(axes * np.pi))
    np.testing.assert_allclose(np.abs(np.sum(found * axes, axis=1)), np.pi, atol=1e-9)


def test_axis_angle_turns_right_handed():
    np.testing.assert_allclose(rot.axis_angle_to_matrix([0, 0, np.pi / 2]) @ [1, 0, 0], [0, 1, 0], atol=1e-15)


def test_euler_is_yaw_after_pitch_after_roll(rng):
    yaw, pitch, roll = rng.uniform(-3, 3, 40), rng.uniform(-1.5, 1.5, 40), rng.uniform(-3, 3, 40)
    zero = np.zeros(40)
    product = (
        rot.axis_angle_to_matrix(np.stack([zero, yaw, zero], -1))
        @ rot.axis_angle_to_matrix(np.stack([pitch, zero, zero], -1))
        @ rot.axis_angle_to_matrix(np.stack([zero, zero, roll], -1))
    )
    matrices = rot.euler_to_matrix(yaw, pitch, roll)
    np.testing.assert_allclose(matrices, product, atol=1e-14)
    np.testing.assert_allclose(np.stack(rot.matrix_to_euler(matrices)), np.stack([yaw, pitch, roll]), atol=1e-10)


@pytest.mark.parametrize("pitch", [np.pi / 2, -np.pi / 2])
def test_gimbal_lock_still_gives_the_same_rotation(pitch):
    matrix = rot.euler_to_matrix(0.4, pitch, 0.3)
    np.testing.assert_allclose(rot.euler_to_matrix(*rot.matrix_to_euler(matrix)), matrix, atol=1e-9)


def test_positive_yaw_turns_the_face_to_the_subjects_left():
    assert (rot.euler_to_matrix(0.3, 0, 0) @ [0, 0, 1])[0] > 0
    assert (rot.euler_to_matrix(0, 0.3, 0) @ [0, 0, 1])[1] < 0
    assert (rot.euler_to_matrix(0, 0, 0.3) @ [0, 1, 0])[0] < 0


def test_projection_gives_rotations_and_leaves_rotations_alone(rng):
    matrices = rot.axis_angle_to_matrix(rng.normal(size=(6, 3)))
    np.testing.assert_allclose(rot.project_to_so3(3 * matrices), matrices, atol=1e-12)
    np.testing.assert_allclose(np.linalg.det(rot.project_to_so3(rng.normal(size=(20, 3, 3)))), 1)


def test_the_mean_lies_half_way(rng):
    start, turn = rot.axis_angle_to_matrix(rng.normal(size=(2, 3)) * 0.5)
    stop = start @ turn @ turn
    np.testing.assert_allclose(rot.rotation_mean([start, stop]), start @ turn, atol=1e-12)
    assert rot.angle_between(start, start @ turn) == pytest.approx(rot.angle_between(start @ turn, stop))
    np.testing.assert_allclose(rot.rotation_mean([start, stop], [1, 0]), start, atol=1e-12)
