"""What a dense error consists of: what would be left of it if one thing were right, and what others could not know.

Everything is in percent of the distance of the outer eye corners as it would look from the front.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from facequery.evaluation.dense import Dense
from facequery.head.binding import Binding
from facequery.head.layouts import load_layout
from facequery.head.model import HeadModel

_HARD = 0.35  # standard deviation of an expression's weight
_EXACT = 0.001  # metres: how far the shape beside the basis lets a point be from where the basis has it
_ROUNDS = 3
_HELD = 0.1  # of a point's own offset: pulled to nothing by this share of what holds it


def parts(dense: Dense, binding: Binding, model: HeadModel) -> dict[str, float]:
    """Percent by name: the error of points that are seen and of hidden ones, of faces turned by less than 30 degrees;
    what is left when the best rigid move of each head is taken off, and its best width, height and depth, too, and when
    every point's mean offset in the head is, learned on the other half of the faces; then `basis`, the error of who
    knows all but the shape beside the basis, and `landmarks`, that of who knows pose, camera and the true places of
    ibug68, and concludes the rest from the head's bases. `binding`: of the points that were asked."""
    size = dense.from_front[:, None, None]
    error = dense.residual / size
    move = np.stack([_moves(dense, i) for i in range(len(error))])

    def shown(what: NDArray) -> float:
        return round(100 * float(np.linalg.norm(what, axis=-1).mean()), 2)

    landmarks = _concluded(dense, binding, model)
    return {
        "all": shown(error), "seen": shown(error[dense.seen]), "hidden": shown(error[~dense.seen]),
        "frontal": shown(error[np.abs(dense.yaw) < 30]), "but a rigid move": shown(_without(error, move[..., :6])),
        "but move, width, height, depth": shown(_without(error, move)),
        "but each point's mean": shown(_without_means(dense, error)), "basis": shown(dense.floor / size),
        "landmarks": shown(landmarks / size),
    }  # fmt: skip


def _projected(dense: Dense, i: int) -> Callable[[NDArray], NDArray]:
    """How moves (N, 3) of the points of picture i, metres in the head's axes, move them in the picture, in
    `from_front`: (N, 2)."""
    at = dense.canonical[i] @ dense.rotation[i].T + dense.translation[i]
    scale = dense.camera[i, :2] / at[:, 2:] / dense.from_front[i]

    def project(moves: NDArray) -> NDArray:
        moved = moves @ dense.rotation[i].T
        return np.asarray((moved[:, :2] - at[:, :2] / at[:, 2:] * moved[:, 2:]) * scale)

    return project


def _moves(dense: Dense, i: int) -> NDArray[np.float64]:
    """(2 N, 9): what shifts, turns, width, height and depth of a head do in its picture."""
    project = _projected(dense, i)
    centred = dense.canonical[i] - dense.canonical[i].mean(0)
    axes = np.eye(3)
    moves = [np.broadcast_to(axis, centred.shape) for axis in axes]
    moves += [np.cross(axis, centred) for axis in axes] + [axis * centred for axis in axes]
    return np.stack([project(move).ravel() for move in moves], 1)


def _without(error: NDArray, columns: NDArray) -> NDArray[np.float64]:
    """Errors (n, N, 2) less what each face's `columns` (n, 2 N, K) explain best."""
    left = [
        own.ravel() - some @ np.linalg.lstsq(some, own.ravel(), rcond=None)[0]
        for own, some in zip(error, columns, strict=True)
    ]
    return np.reshape(left, error.shape)


def _without_means(dense: Dense, error: NDArray) -> NDArray[np.float64]:
    """Errors (n, N, 2) less what an offset of each point in the head explains, the offsets learned on every other
    face and taken off the rest."""
    axes = np.eye(3)
    slopes = np.empty((*error.shape, 3))
    for i in range(len(error)):
        project = _projected(dense, i)
        slopes[i] = np.stack([project(np.broadcast_to(axis, dense.canonical[i].shape)) for axis in axes], -1)
    left = error.copy()
    fold = np.arange(len(error)) % 2
    for part in (0, 1):
        own, seen = slopes[fold != part], error[fold != part]
        matrix = np.einsum("bnij,bnik->njk", own, own)
        held = _HELD * np.trace(matrix, axis1=1, axis2=2)[:, None, None] / 3 * axes
        offset = np.linalg.solve(matrix + held, np.einsum("bnij,bni->nj", own, seen)[..., None])[..., 0]
        left[fold == part] -= np.einsum("bnij,nj->bni", slopes[fold == part], offset)
    return left


def _concluded(dense: Dense, binding: Binding, model: HeadModel) -> NDArray[np.float64]:
    """Pixels (n, N, 2) by which the points are off that follow from the true places of ibug68, pose and camera by the
    head's identity and expression bases, each as likely as its spread has it."""
    known = load_layout("ibug68").positions
    nearest = np.linalg.norm(binding.positions[None] - known[:, None], axis=-1).argmin(1)
    basis = np.concatenate([model.identity_basis, model.expression_basis])
    rest = np.asarray(model.rest, float)
    shapes = np.stack([binding.moved(rest + shape, rest) - binding.positions for shape in basis]).astype(np.float64)
    pull = np.r_[np.ones(len(model.identity_basis)), np.full(len(model.expression_basis), 1 / _HARD)] ** 2
    left = np.empty_like(dense.residual)
    for i in range(len(left)):
        rotation, translation, camera = dense.rotation[i], dense.translation[i], dense.camera[i]

        def seen(points: NDArray, rotation=rotation, translation=translation, camera=camera) -> NDArray:  # type: ignore[no-untyped-def]
            at = points @ rotation.T + translation
            return np.asarray(at[:, :2] / at[:, 2:] * camera[:2] + camera[2:])

        truth = seen(dense.canonical[i])
        weights = np.zeros(len(basis))
        unit = _EXACT * camera[0] / float((dense.canonical[i] @ rotation.T + translation)[:, 2].mean())
        for _ in range(_ROUNDS):
            now = binding.positions + np.tensordot(weights, shapes, 1)
            at = seen(now)
            # 0.1 of a coefficient: far enough for rounding, near enough for a slope
            slopes = np.stack([(seen(now[nearest] + 0.1 * s[nearest]) - at[nearest]).ravel() / 0.1 for s in shapes], 1)
            wrong = (truth - at)[nearest].ravel()
            slopes, wrong = slopes / unit, wrong / unit
            weights = np.linalg.solve(slopes.T @ slopes + np.diag(pull), slopes.T @ (wrong + slopes @ weights))
        left[i] = seen(binding.positions + np.tensordot(weights, shapes, 1)) - truth
    return left
