"""How well a fit is determined where its landmarks are wrong together.

A detector that misplaces a cheek misplaces all of it, in every frame in which the head looks much the same way. Such
errors do not average out over landmarks and frames, and look like shape, perspective or an open jaw. They leave no
residual; but where landmarks fit each other far better than their own sigma says, the rest of it must be errors in
common. The covariance of a least-squares fit under errors with covariance S is the sandwich A^-1 (J'WSWJ + P) A^-1, of
the weights W that the fit used and the priors P (Huber, The behavior of maximum likelihood estimates under nonstandard
conditions, 1967).
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from facequery.fitting.arrow import solve_arrow
from facequery.fitting.common import SHORT, features
from facequery.fitting.minimise import Minimum
from facequery.fitting.problem import Problem
from facequery.fitting.state import PER_FRAME

Array = NDArray[np.float64]
_MISFIT = 2.5  # least inflation: a person whom the model cannot follow is the same in every frame (held-out people)
_TURN = np.radians(60.0)  # of the head, over which errors stay alike
_FEATURES = 80  # of the errors: what a fit solves for is not all of them
_MOST = 1000  # landmarks that are looked at; more of them are wrong in the same way
_TRACE = 1e-9  # of damping, where a system is only looked at


def frame_sigmas(problem: Problem, minimum: Minimum) -> Array:
    """(F, 3) standard deviations of rotation (radians, worst axis), depth (metres), jawOpen, given what is shared."""
    system, size = minimum.system, PER_FRAME
    index = np.arange(size)
    blocks = system.frame.copy()
    blocks[:, index, index] -= system.smooth * (1.0 - 1e-6)  # what smoothness adds says nothing about the frame
    blocks += 1e-9 * np.eye(size) * np.einsum("fii->f", blocks)[:, None, None] / size
    wanted = np.array([0, 1, 2, 5, 6 + problem.names.index("jawOpen")])
    inverse = np.linalg.inv(blocks)[:, :, wanted]
    variance = np.stack([inverse[:, w, k] for k, w in enumerate(wanted)], -1)
    errors = _Errors(problem, minimum)
    for f, _, together, alone, length in errors.influences(inverse, np.zeros((problem.shared, len(wanted)))):
        variance[f] += (together**2).sum((0, 1)) + alone - length
    out = np.sqrt(np.maximum(variance, 0.0))
    depth = out[:, 3] * (minimum.state.focal[0] if problem.views[0].solve_focal else 1.0)
    return np.stack([out[:, :3].max(1), depth, out[:, 4]], -1)


def focal_sigmas(problem: Problem, minimum: Minimum) -> Array:
    """Standard deviations of the logarithms of the solved focal lengths, in the order of their views.

    Raises numpy.linalg.LinAlgError where nothing determines the frames.
    """
    columns = [c for c in problem.focal_column if c >= 0]
    free = problem.free(minimum.state, minimum.system.frame_gradient)
    shared, frames = _inverse_columns(problem, minimum, columns, free)
    plain = np.array([shared[c, k] for k, c in enumerate(columns)])
    variance = plain.copy()
    errors = _Errors(problem, minimum)
    looks = []
    for f, v, together, alone, length in errors.influences(frames, shared):
        variance += alone - length
        looks.append((errors.turn(f, v), together))
    # Priors on shape count several times over (see `statistics`), but are drawn from once.
    modes = shared[: problem.modes] / problem.settings.identity_prior
    variance += problem.identity_weight * (problem.identity_weight - 1.0) * (modes**2).sum(0)
    turns = np.stack([turn for turn, _ in looks])
    cosine = (np.einsum("aij,bij->ab", turns, turns) - 1.0) / 2.0
    alike = np.exp(-np.arccos(np.clip(cosine, -1.0, 1.0)) / _TURN)
    every = np.stack([together for _, together in looks]).reshape(len(looks), -1, len(columns))
    variance += np.einsum("ab,ank,bnk->k", alike, every, every)
    return np.sqrt(np.maximum(variance, _MISFIT * problem.identity_weight * plain))


def _inverse_columns(
    problem: Problem, minimum: Minimum, columns: list[int], free: NDArray[np.bool_]
) -> tuple[Array, Array]:
    """Columns of the inverse of the normal equations that belong to shared unknowns: (S, D) and (F, 62, D)."""
    system = minimum.system
    shared, frames = [], []
    for column in columns:
        pull = np.zeros(problem.shared)
        pull[column] = -1.0
        step = solve_arrow(system.pulled(pull), _TRACE, free)
        shared.append(step.shared)
        frames.append(step.frame)
    return np.stack(shared, -1), np.stack(frames, -1)


class _Errors:
    """The errors that the landmarks of a problem are expected to have at its minimum."""

    def __init__(self, problem: Problem, minimum: Minimum) -> None:
        self._problem, self._state = problem, minimum.state
        count = len(problem.basis.rest)
        self._some = np.arange(0, count, max(-(-count // _MOST), 1))
        self._features = features(problem.basis.places()[self._some], _FEATURES)

    def influences(self, frames: Array, shared: Array) -> Iterator[tuple[int, int, Array, Array, Array]]:
        """What the errors of each frame and view do to D unknowns, whose columns of the inverse matrix are given.

        frames (F, 62, D), shared (S, D). Yields f, v; (M, 2, D), what errors of unit variance of each feature do; (D,)
        the variance by errors of the landmarks' own; (D,) what the weights alone would say.
        """
        problem, state, some = self._problem, self._state, self._some
        moved = problem.moved(state)
        _, weights, precision = problem.residuals(state)
        grow, common = len(problem.basis.rest) / len(some), problem.common
        for f in range(problem.frames):
            along = np.concatenate([frames[f], shared])
            for v in range(len(problem.views)):
                rows = problem.jacobian(state, v, f, some, moved)
                seen = (rows.reshape(-1, rows.shape[2]) @ along).reshape(len(some), 2, -1)
                weight = weights[v][f, some][:, None, None]
                pushed = weight * seen / np.sqrt(precision[v][f, some])[:, None, None]
                together = grow * np.sqrt(SHORT * common) * np.einsum("nm,nak->mak", self._features, pushed)
                alone = grow * (1.0 - common) * (pushed**2).sum((0, 1))
                yield f, v, together, alone, grow * (weight * seen**2).sum((0, 1))

    def turn(self, f: int, v: int) -> Array:
        """(3, 3) rotation of the head against a camera."""
        rotation, _ = self._problem.to_camera(self._state, v)
        turned: Array = rotation[f] @ self._state.rotation[f]
        return turned
