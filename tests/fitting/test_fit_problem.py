"""Points, projection and derivatives of the cost."""

from dataclasses import replace

import numpy as np
import pytest
from facequery.fitting.points import evaluate, eye_angles, eye_matrices, jaw_motion, point_basis
from facequery.fitting.prepare import frame_times, make_views
from facequery.fitting.problem import Problem
from facequery.fitting.settings import FitSettings
from facequery.fitting.state import PER_FRAME, State
from facequery.geometry.cameras import Camera
from facequery.geometry.lens import Lens
from facequery.geometry.rotations import axis_angle_to_matrix
from scenes import make_tracks, make_truth
from toy_head import ToyHead


def make_problem(head: ToyHead, solve: bool = True, views: int = 2) -> tuple[Problem, State]:
    truth = make_truth(head, frames=4, count=60)
    tracks = make_tracks(truth, noise=2.0, sigma=1.0)
    settings = FitSettings(common_errors=1)
    camera = None if solve else truth.camera
    made, _ = make_views([tracks] * views, [camera] * views, settings)
    basis = point_basis(head, truth.queries.positions, head.bind(truth.queries.positions))
    problem = Problem(head, basis, made, settings, frame_times(tracks.frames, 25.0), model_error=0.001, common=0.5)
    rng = np.random.default_rng(3)
    state = State(
        truth.identity * 0.7,
        np.clip(truth.expression + rng.uniform(0.02, 0.1, truth.expression.shape), 0, 1),
        axis_angle_to_matrix(rng.normal(size=(4, 3)) * 0.05) @ truth.rotation,
        truth.translation + rng.normal(size=(4, 3)) * 0.01,
        eye_angles(truth.eyes) + 0.02,
        np.array([1.1, 0.95][:views]),
        axis_angle_to_matrix(rng.normal(size=(views, 3)) * 0.1),
        rng.normal(size=(views, 3)) * 0.02,
        rng.normal(size=(views, made[0].alike.shape[1], 2)),
    )
    return problem, state


def test_points_move_as_the_head_does(head: ToyHead) -> None:
    truth = make_truth(head, frames=5)
    basis = point_basis(head, truth.queries.positions, head.bind(truth.queries.positions))
    jaw = jaw_motion(head, truth.identity, truth.expression)
    points = evaluate(basis, truth.identity, truth.expression, eye_angles(truth.eyes), jaw)
    camera = np.einsum("fij,fnj->fni", truth.rotation, points) + truth.translation[:, None]
    np.testing.assert_allclose(camera, truth.points, atol=1e-7)
    part = basis.subset(np.arange(3, 90))
    np.testing.assert_allclose(
        evaluate(part, truth.identity, truth.expression, eye_angles(truth.eyes), jaw), points[:, 3:90], atol=1e-12
    )


def test_an_actors_own_shape_moves_with_jaw_and_eyes(head: ToyHead) -> None:
    truth = make_truth(head, frames=5)
    own = np.random.default_rng(0).normal(size=head.rest.shape) * 0.002
    for name in ("eye_left", "eye_right"):
        own[head.parts[name].vertices] = own[head.parts[name].vertices].mean(0)
    basis = point_basis(head, truth.queries.positions, head.bind(truth.queries.positions), own)
    jaw = jaw_motion(head, truth.identity, truth.expression)
    points = evaluate(basis, truth.identity, truth.expression, eye_angles(truth.eyes), jaw)
    other = ToyHead()
    other.rest = head.rest + own
    np.testing.assert_array_equal(other.triangles, head.triangles)
    chosen = head.bind(truth.queries.positions).indices[:, 0]
    expected = other.vertices(truth.identity, truth.expression, truth.eyes)[:, chosen]
    np.testing.assert_allclose(points, expected, atol=1e-7)


def test_eye_angles_invert_eye_matrices() -> None:
    angles = np.random.default_rng(0).uniform(-0.6, 0.6, (20, 2, 2))
    np.testing.assert_allclose(eye_angles(eye_matrices(angles)), angles, atol=1e-12)


@pytest.mark.parametrize("solve", [True, False])
def test_jacobian_is_the_finite_difference(head: ToyHead, solve: bool) -> None:
    problem, state = make_problem(head, solve)
    frame, step = 2, 1e-5
    for v in range(len(problem.views)):
        analytic = problem.jacobian(state, v, frame)
        numeric = np.zeros_like(analytic, dtype=np.float64)
        for column in range(PER_FRAME + problem.shared):
            pixels = []
            for sign in (1, -1):
                frames, shared = np.zeros((4, PER_FRAME)), np.zeros(problem.shared)
                if column < PER_FRAME:
                    frames[frame, column] = sign * step
                else:
                    shared[column - PER_FRAME] = sign * step
                moved = problem.step(state, frames, shared)
                pixels.append((problem.project(moved)[0][v] + problem.errors(moved, v))[frame])
            numeric[:, :, column] = (pixels[0] - pixels[1]) / (2 * step)
        scale = np.abs(numeric).max(axis=(0, 1)) + 1.0
        assert (np.abs(analytic - numeric).max(axis=(0, 1)) / scale).max() < 2e-4


def test_gradient_of_the_whole_cost_is_the_finite_difference(head: ToyHead) -> None:
    problem, state = make_problem(head)
    system, precision = problem.linearise(state)
    rng = np.random.default_rng(5)
    for _ in range(6):
        frames = rng.normal(size=(4, PER_FRAME)) * 1e-4
        frames[:, :6] *= 0.1
        shared = rng.normal(size=problem.shared) * 1e-5
        up = problem.cost(problem.step(state, frames, shared), precision)
        down = problem.cost(problem.step(state, -frames, -shared), precision)
        slope = 2 * ((system.frame_gradient * frames).sum() + (system.shared_gradient * shared).sum())
        assert up - down == pytest.approx(slope, rel=5e-3)


def test_smoothness_is_blind_to_uniform_motion_and_the_same_at_every_frame_rate(head: ToyHead) -> None:
    problem, state = make_problem(head, views=1)
    even = replace(
        state,
        expression=np.linspace(0.1, 0.4, 4)[:, None] * np.ones(52),
        eyes=np.zeros((4, 2, 2)),
        translation=np.linspace(0, 1, 4)[:, None] * np.array([0.1, 0.2, 0.3]) + [0, 0, 1],
        rotation=axis_angle_to_matrix(np.linspace(0, 0.5, 4)[:, None] * np.array([0.3, 1.0, 0.2])),
    )
    bends, _ = problem._bends(even)
    np.testing.assert_allclose(bends, 0, atol=1e-12)
    times = frame_times(np.array([1, 3, 4, 9]), 50.0)
    np.testing.assert_allclose(times, [0.5, 1.5, 2, 4.5])


def test_camera_pixel_aspect_and_lens_are_part_of_the_views(head: ToyHead) -> None:
    truth = make_truth(head, frames=3, count=50)
    camera = replace(
        Camera.pinhole(1280, 720, 1000.0, pixel_aspect=2.0), lens=Lens("polynomial", np.array([0.1, 0, 0]))
    )
    tracks = make_tracks(truth, camera)
    views, _ = make_views([tracks], [camera], FitSettings())
    plain = replace(camera, lens=Lens())
    np.testing.assert_allclose(views[0].xy, plain.project(truth.points), atol=1e-4)
    np.testing.assert_allclose(views[0].fy / views[0].fx, 2.0)
