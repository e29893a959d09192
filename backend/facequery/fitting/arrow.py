"""The linear system of a fit: per-frame blocks, coupled to their neighbours in time and to what all frames share.

    [ H  B ] [x]   [g]      H: P x P blocks on the diagonal, diagonal couplings to the next and to the frame after it
    [ B' C ] [y] = [h]      B: P x S per frame, C: S x S

Two frames at a time H is block tridiagonal, so one sweep of Cholesky factors eliminates every frame and leaves the
S x S Schur complement; where nothing is shared H is a band matrix. Both are linear in the number of frames.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import LinAlgError, cho_factor, cho_solve
from scipy.linalg.blas import dtrsm
from scipy.linalg.lapack import dpbtrf, dpbtrs, dpotrf

Array = NDArray[np.float64]


@dataclass
class ArrowSystem:
    """Normal equations of F frames: `frame` (F, P, P), `border` (F, P, S), `shared` (S, S), and right-hand sides.

    `next` (F - 1, P) and `after` (F - 2, P) are the diagonals of the blocks that couple a frame to the next one and to
    the one after that; `smooth` (F, P) is what that coupling put on the diagonal of `frame`. `frame_gradient` (F, P)
    and `shared_gradient` (S,) are gradients: a step solves for their minus.
    """

    frame: Array
    border: Array
    shared: Array
    next: Array
    after: Array
    smooth: Array
    frame_gradient: Array
    shared_gradient: Array

    @staticmethod
    def zeros(frames: int, per_frame: int, shared: int) -> "ArrowSystem":
        """An empty system."""
        return ArrowSystem(
            np.zeros((frames, per_frame, per_frame)),
            np.zeros((frames, per_frame, shared)),
            np.zeros((shared, shared)),
            np.zeros((max(frames - 1, 0), per_frame)),
            np.zeros((max(frames - 2, 0), per_frame)),
            np.zeros((frames, per_frame)),
            np.zeros((frames, per_frame)),
            np.zeros(shared),
        )

    def pulled(self, shared_gradient: Array) -> "ArrowSystem":
        """The same matrix with a gradient in what is shared (S,) alone."""
        return replace(self, frame_gradient=np.zeros_like(self.frame_gradient), shared_gradient=shared_gradient)


@dataclass(frozen=True, eq=False)
class ArrowStep:
    """A step of the frames (F, P) and of what is shared (S,), and what the elimination left behind.

    `schur` (S, S) is the Schur complement, without damping the inverse covariance of what is shared;
    `log_determinant` that of the damped matrix, everything free.
    """

    frame: Array
    shared: Array
    schur: Array
    log_determinant: float


def solve_arrow(system: ArrowSystem, damping: float, free: NDArray[np.bool_] | None = None) -> ArrowStep:
    """Levenberg-Marquardt step: (H + damping diag H) x = -g.

    `free` (F, P) marks the unknowns that may move; the others (at a bound) get a step of zero.
    Raises numpy.linalg.LinAlgError when the damped system is not positive definite.
    """
    frames, size, wide = system.border.shape
    moving = np.ones((frames, size), bool) if free is None else free
    mask = moving.astype(np.float64)
    h = system.frame * (mask[:, :, None] * mask[:, None, :])
    diagonal = np.einsum("fii->fi", h)
    diagonal += damping * diagonal + (1.0 - mask) + 1e-12
    border = system.border * mask[:, :, None]
    near = system.next * mask[:-1] * mask[1:]
    far = system.after * mask[:-2] * mask[2:]
    if not wide:
        solution, volume = _banded(h, near, far, -(system.frame_gradient * mask))
        return ArrowStep(solution * mask, np.zeros(0), np.zeros((0, 0)), volume)
    right = np.concatenate([-(system.frame_gradient * mask)[:, :, None], border], axis=2)  # (F, P, 1 + S)

    pairs = (frames + 1) // 2
    factors: list[Array] = []
    links: list[Array] = []
    rights: list[Array] = []
    reduced = np.zeros((1 + wide, 1 + wide))
    for pair in range(pairs):
        a, b = 2 * pair, min(2 * pair + 2, frames)
        n = (b - a) * size
        block = np.zeros((n, n))
        block[:size, :size] = h[a]
        rhs = right[a:b].reshape(n, 1 + wide)
        if b - a == 2:
            block[size:, size:] = h[a + 1]
            block[range(size, n), range(size)] = near[a]
            block[range(size), range(size, n)] = near[a]
        if pair:
            # rows: this pair, columns: the pair before
            link = np.zeros((n, 2 * size))
            link[range(size), range(size)] = far[a - 2]
            link[range(size), range(size, 2 * size)] = near[a - 1]
            if b - a == 2:
                link[range(size, n), range(size, 2 * size)] = far[a - 1]
            link = dtrsm(1.0, factors[-1], link.T, lower=1).T
            block = block - link @ link.T
            rhs = rhs - link @ rights[-1]
            links.append(link)
        factor, failed = dpotrf(block, lower=1)  # itself, for the blocks are many and small
        if failed:
            raise np.linalg.LinAlgError("the unknowns of a frame are not determined")
        solved = dtrsm(1.0, factor, rhs, lower=1)
        reduced += solved.T @ solved
        factors.append(factor)
        rights.append(solved)

    schur = system.shared - reduced[1:, 1:]
    damped = schur + damping * np.diag(np.diag(system.shared))
    try:
        shared_step = cho_solve(cho_factor(damped), -system.shared_gradient - reduced[1:, 0])
    except LinAlgError as error:
        raise np.linalg.LinAlgError("the shared unknowns are not determined") from error

    step = np.zeros((frames, size))
    later = np.zeros(0)
    for pair in range(pairs - 1, -1, -1):
        a, b = 2 * pair, min(2 * pair + 2, frames)
        rest = rights[pair][:, 0] - rights[pair][:, 1:] @ shared_step
        if pair < pairs - 1:
            rest = rest - links[pair].T @ later
        later = dtrsm(1.0, factors[pair], rest[:, None], lower=1, trans_a=1)[:, 0]
        step[a:b] = later.reshape(b - a, size)
    volume = 2.0 * sum(float(np.log(np.diag(factor)).sum()) for factor in factors)
    volume += float(np.linalg.slogdet(damped)[1])
    return ArrowStep(step * mask, shared_step, schur, volume)


def _banded(frame: Array, near: Array, far: Array, right: Array) -> tuple[Array, float]:
    """Solution (F, P) and log determinant where nothing is shared: then the whole matrix is a band of 2 P."""
    frames, size, _ = frame.shape
    n = frames * size
    band = np.zeros((2 * size + 1, n))
    for k in range(size):
        band[k].reshape(frames, size)[:, : size - k] = np.diagonal(frame, -k, 1, 2)
    band[size, : n - size] = near.ravel()
    band[2 * size, : max(n - 2 * size, 0)] = far.ravel()
    factor, failed = dpbtrf(band, lower=1, overwrite_ab=1)
    if failed:
        raise np.linalg.LinAlgError("the unknowns of a frame are not determined")
    solution, _ = dpbtrs(factor, right.reshape(n, 1), lower=1)
    return solution.reshape(frames, size), 2.0 * float(np.log(factor[0]).sum())


def times(system: ArrowSystem, frame: Array) -> tuple[Array, Array]:
    """The matrix times a vector that is `frame` (F, P) and 0 in what is shared: the result's (F, P) and (S,)."""
    out = np.einsum("fij,fj->fi", system.frame, frame)
    out[:-1] += system.next * frame[1:]
    out[1:] += system.next * frame[:-1]
    out[:-2] += system.after * frame[2:]
    out[2:] += system.after * frame[:-2]
    return out, np.einsum("fps,fp->s", system.border, frame)


def dense(system: ArrowSystem) -> tuple[Array, Array]:
    """The whole matrix and gradient, for tests: ((F P + S), (F P + S)) and (F P + S,)."""
    frames, size, wide = system.border.shape
    n = frames * size
    matrix = np.zeros((n + wide, n + wide))
    for f in range(frames):
        at = slice(f * size, (f + 1) * size)
        matrix[at, at] = system.frame[f]
        matrix[at, n:] = system.border[f]
        matrix[n:, at] = system.border[f].T
    index = np.arange(n).reshape(frames, size)
    for gap, values in ((1, system.next), (2, system.after)):
        if len(values):
            matrix[index[:-gap], index[gap:]] += values
            matrix[index[gap:], index[:-gap]] += values
    matrix[n:, n:] = system.shared
    return matrix, np.concatenate([system.frame_gradient.ravel(), system.shared_gradient])
