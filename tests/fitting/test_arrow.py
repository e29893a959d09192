"""The block solver against the whole matrix."""

import numpy as np
import pytest
from facequery.fitting.arrow import ArrowSystem, dense, solve_arrow

PER_FRAME, SHARED = 4, 3


def make_system(frames: int, seed: int = 0, shared: int = SHARED) -> ArrowSystem:
    rng = np.random.default_rng(seed)
    system = ArrowSystem.zeros(frames, PER_FRAME, shared)
    for f in range(frames):
        rows = rng.normal(size=(20, PER_FRAME + shared))
        square = rows.T @ rows
        system.frame[f] += square[:PER_FRAME, :PER_FRAME]
        system.border[f] += square[:PER_FRAME, PER_FRAME:]
        system.shared += square[PER_FRAME:, PER_FRAME:]
    bend = np.array([1.0, -2.0, 1.0])
    for f in range(frames - 2):
        weight = rng.uniform(1, 3, PER_FRAME)
        for k in range(3):
            system.frame[f + k] += np.diag(weight * bend[k] ** 2)
        system.next[f] += weight * bend[0] * bend[1]
        system.next[f + 1] += weight * bend[1] * bend[2]
        system.after[f] += weight * bend[0] * bend[2]
    system.frame_gradient[:] = rng.normal(size=(frames, PER_FRAME))
    system.shared_gradient[:] = rng.normal(size=shared)
    return system


@pytest.mark.parametrize("frames", [1, 2, 3, 6, 7])
def test_step_solves_the_whole_system(frames: int) -> None:
    system = make_system(frames)
    matrix, gradient = dense(system)
    step = solve_arrow(system, 0.0)
    np.testing.assert_allclose(np.r_[step.frame.ravel(), step.shared], -np.linalg.solve(matrix, gradient), atol=1e-10)
    covariance = np.linalg.inv(matrix)[-SHARED:, -SHARED:]
    np.testing.assert_allclose(np.linalg.inv(step.schur), covariance, atol=1e-10)
    assert step.log_determinant == pytest.approx(np.linalg.slogdet(matrix)[1])


@pytest.mark.parametrize("frames", [1, 2, 5])
def test_step_of_frames_that_share_nothing(frames: int) -> None:
    system = make_system(frames, shared=0)
    matrix, gradient = dense(system)
    free = np.random.default_rng(2).random((frames, PER_FRAME)) > 0.2
    use = free.ravel()
    step = solve_arrow(system, 0.0, free)
    expected = -np.linalg.solve(matrix[np.ix_(use, use)], gradient[use])
    np.testing.assert_allclose(step.frame.ravel()[use], expected, atol=1e-10)
    assert (step.frame[~free] == 0).all()
    assert step.log_determinant == pytest.approx(np.linalg.slogdet(matrix[np.ix_(use, use)])[1])


def test_what_is_not_free_does_not_move_and_the_rest_is_solved_without_it() -> None:
    system = make_system(5)
    free = np.random.default_rng(1).random((5, PER_FRAME)) > 0.3
    step = solve_arrow(system, 0.0, free)
    assert (step.frame[~free] == 0).all()
    matrix, gradient = dense(system)
    use = np.r_[free.ravel(), np.ones(SHARED, bool)]
    expected = -np.linalg.solve(matrix[np.ix_(use, use)], gradient[use])
    np.testing.assert_allclose(np.r_[step.frame.ravel(), step.shared][use], expected, atol=1e-10)


def test_damping_shortens_the_step() -> None:
    system = make_system(6)
    lengths = [np.linalg.norm(solve_arrow(system, d).frame) for d in (0.0, 1.0, 100.0)]
    assert lengths[0] > lengths[1] > lengths[2]
