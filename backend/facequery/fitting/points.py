"""The landmarks of a fit as a function of identity, expression and gaze, prepared once per set of queries.

A bound point moves with a few vertices of the head. Each of them moves linearly with identity and expression, is
carried by the rigid jaw as far as its jaw weight says (mandible and lower teeth wholly, chin in part, cranium not at
all), or turns with the eyeball about its centre. Summed over a point's vertices the three stay apart: one linear basis
per point, and for the points that have a share in jaw or eyes one rigid piece `R (p + I a) + w t`.
"""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

if TYPE_CHECKING:
    from facequery.head.binding import Binding
    from facequery.head.model import HeadModel

Array = NDArray[np.float64]
JAW_NAMES = ("jawOpen", "jawForward", "jawLeft", "jawRight")


@dataclass(frozen=True)
class RigidShare:
    """What a rigid part adds to the points that are bound to it: R (rest + identity a) + weight t.

    `index` (n,) of the points, `weight` (n,), `rest` (n, 3) metres, `identity` (n, 3, K).
    """

    index: NDArray[np.int64]
    weight: Array
    rest: Array
    identity: NDArray[np.float32]


@dataclass(frozen=True)
class PointBasis:
    """N points of the head in canonical metres: `rest` (N, 3), `identity` (N, 3, K), `expression` (N, 3, 52), shares.

    `eye_rest` (2, 3) and `eye_identity` (2, 3, K) give the centres of the left and the right eyeball.
    """

    rest: Array
    identity: NDArray[np.float32]
    expression: NDArray[np.float32]
    jaw: RigidShare
    eyes: tuple[RigidShare, RigidShare]
    eye_rest: Array
    eye_identity: Array

    def places(self) -> Array:
        """(N, 3) the points of the head at rest, canonical metres, for the mean identity."""
        points = self.rest.copy()
        for share in (self.jaw, *self.eyes):
            points[share.index] += share.rest
        return points

    def subset(self, keep: NDArray[np.int64]) -> "PointBasis":
        """The basis of the points `keep` (indices), in that order."""
        place = np.full(len(self.rest), -1)
        place[keep] = np.arange(len(keep))

        def share(of: RigidShare) -> RigidShare:
            at = place[of.index]
            use = at >= 0
            return RigidShare(at[use], of.weight[use], of.rest[use], of.identity[use])

        return PointBasis(
            self.rest[keep],
            self.identity[keep],
            self.expression[keep],
            share(self.jaw),
            (share(self.eyes[0]), share(self.eyes[1])),
            self.eye_rest,
            self.eye_identity,
        )


def point_basis(
    model: "HeadModel",
    positions: Array,
    binding: "Binding",
    offsets: Array | None = None,
    extra: NDArray[np.float32] | None = None,
) -> PointBasis:
    """Basis of points at `positions` (N, 3) canonical metres, bound by `binding`.

    `offsets` (V, 3) metres are an actor's own shape beyond the identity basis; they belong to the rest shape. `extra`
    (M, V, 3) are further shape modes, which follow those of the head: K then counts both.
    """
    indices = np.asarray(binding.indices)
    weights = np.asarray(binding.weights, np.float64)
    count, width = indices.shape
    used, place = np.unique(indices, return_inverse=True)  # of the vertices, only those that a point hangs on
    rows = np.repeat(np.arange(count), width)
    whole = csr_matrix((weights.ravel(), (rows, place.ravel())), shape=(count, len(used)))
    rest = np.asarray(model.rest, np.float64)[used]
    every = np.zeros((len(model.rest), 3)) if offsets is None else np.asarray(offsets, np.float64)
    own = every[used]
    identity = _by_vertex(used, model.identity_basis, extra)
    expression = _by_vertex(used, model.expression_basis)
    modes = identity.shape[1] // 3

    eyes = np.zeros((2, len(model.rest)))
    eyes[0, model.parts["eye_left"].vertices] = 1.0
    eyes[1, model.parts["eye_right"].vertices] = 1.0
    eyes = eyes[:, used]
    by_jaw = np.asarray(model.jaw_weight, np.float64)[used] * (1.0 - eyes.sum(0))

    def share(of_vertex: Array) -> RigidShare:
        columns = np.flatnonzero(of_vertex)
        some = whole[:, columns].multiply(of_vertex[columns]).tocsr()
        some.eliminate_zeros()
        index = np.flatnonzero(np.diff(some.indptr) > 0)
        some = some[index]
        return RigidShare(
            index,
            np.asarray(some.sum(axis=1)).ravel(),
            some @ (rest[columns] + own[columns]),
            (some @ identity[columns]).reshape(len(index), 3, modes).astype(np.float32),
        )

    smooth = whole.multiply(1.0 - eyes.sum(0) - by_jaw).tocsr()
    rigid = whole.multiply(eyes.sum(0) + by_jaw).tocsr()
    still = whole.multiply(1.0 - eyes.sum(0)).tocsr()  # eyeballs do not move with expressions, but for their gaze
    eye_rest = np.asarray(model.eye_centres(None), np.float64)
    units = np.asarray(model.eye_centres(np.eye(len(model.identity_basis))), np.float64)  # linear in identity
    eye_modes = units - np.asarray(model.eye_centres(None), np.float64)
    if extra is not None:
        own_eyes = [extra[:, model.parts[n].vertices].mean(axis=1) for n in ("eye_left", "eye_right")]
        eye_modes = np.concatenate([eye_modes, np.stack(own_eyes, axis=1)])
    if offsets is not None:
        eye_rest = eye_rest + np.stack([every[model.parts[n].vertices].mean(axis=0) for n in ("eye_left", "eye_right")])
    return PointBasis(
        np.asarray(positions, np.float64) - rigid @ rest + smooth @ own,
        (smooth @ identity).reshape(count, 3, modes).astype(np.float32),
        (still @ expression).reshape(count, 3, -1).astype(np.float32),
        share(by_jaw),
        (share(eyes[0]), share(eyes[1])),
        eye_rest,
        np.moveaxis(eye_modes, 0, -1),
    )


def moved_basis(basis: PointBasis, offsets: Array) -> PointBasis:
    """The basis of points whose vertices have further offsets of their own: `offsets` (N, 3) of the points at rest.

    What of a point is carried by the jaw takes its share along.
    """
    share = basis.jaw
    rest = basis.rest + offsets
    carried = offsets[share.index] * share.weight[:, None]
    rest[share.index] -= carried
    return replace(basis, rest=rest, jaw=replace(share, rest=share.rest + carried))


def _by_vertex(
    used: NDArray[Any], basis: NDArray[np.float32], more: NDArray[np.float32] | None = None
) -> NDArray[np.float32]:
    """(M, V, 3) basis at some vertices as (n, 3 * M), so that a sparse matrix over them multiplies it."""
    both = [np.transpose(np.asarray(b, np.float32)[:, used], (1, 2, 0)) for b in (basis, more) if b is not None]
    return np.ascontiguousarray(np.concatenate(both, axis=2)).reshape(len(used), -1)


@dataclass(frozen=True)
class JawMotion:
    """Jaw of F frames: `rotation` (F, 3, 3), `translation` (F, 3), and their derivatives.

    By the four jaw weights of `JAW_NAMES`: `d_rotation` (F, 4, 3, 3), `d_translation` (F, 4, 3). By identity, which
    moves the point about which the jaw turns: `d_identity` (F, 3, K).
    """

    rotation: Array
    translation: Array
    d_rotation: Array
    d_translation: Array
    d_identity: Array


def jaw_motion(
    model: "HeadModel", identity: Array, expression: Array, derivatives: bool = True, by_identity: bool = True
) -> JawMotion:
    """Jaw of `expression` (F, 52) for one `identity`; derivatives by central differences (it is smooth).

    `identity` holds the head's own coefficients first; further shape modes do not move the point the jaw turns about.
    """
    modes = len(identity)
    identity = identity[: len(model.identity_basis)]
    frames = len(expression)
    names = list(model.expression_names)
    if not derivatives:
        rotation, translation = model.jaw_transform(expression, identity)
        empty = np.zeros((frames, 4, 3, 3)), np.zeros((frames, 4, 3)), np.zeros((frames, 3, modes))
        return JawMotion(np.asarray(rotation, np.float64), np.asarray(translation, np.float64), *empty)
    step = 1e-2
    shifts = np.zeros((9, 1, 52))
    for k, name in enumerate(JAW_NAMES):
        shifts[1 + 2 * k, 0, names.index(name)] = step
        shifts[2 + 2 * k, 0, names.index(name)] = -step
    rotation, translation = model.jaw_transform((expression[None] + shifts).reshape(-1, 52), identity)
    r = np.asarray(rotation, np.float64).reshape(9, frames, 3, 3)
    t = np.asarray(translation, np.float64).reshape(9, frames, 3)
    d_identity = np.zeros((frames, 3, modes))
    if by_identity:
        known = len(identity)
        shifted = np.repeat(expression[:, None], known, axis=1), identity + np.eye(known)
        _, moved = model.jaw_transform(*shifted)  # the translation is affine in identity, so a step of 1 is exact
        d_identity[:, :, :known] = np.swapaxes(np.asarray(moved, np.float64) - t[0][:, None], 1, 2)
    return JawMotion(
        r[0],
        t[0],
        np.moveaxis((r[1::2] - r[2::2]) / (2 * step), 0, 1),
        np.moveaxis((t[1::2] - t[2::2]) / (2 * step), 0, 1),
        d_identity,
    )


def eye_matrices(angles: Array) -> Array:
    """Rotations (..., 3, 3) of eyes turned by `angles` (..., 2): yaw about +y, then pitch about +x of the head."""
    yaw, pitch = angles[..., 0], angles[..., 1]
    cy, sy, cp, sp = np.cos(yaw), np.sin(yaw), np.cos(pitch), np.sin(pitch)
    zero = np.zeros_like(cy)
    rows = [np.stack([cy, sy * sp, sy * cp], -1), np.stack([zero, cp, -sp], -1), np.stack([-sy, cy * sp, cy * cp], -1)]
    return np.stack(rows, -2)


def eye_angles(matrices: Array) -> Array:
    """Yaw and pitch (..., 2) of eye rotations (..., 3, 3): the direction of gaze; a roll of the eye is dropped."""
    direction = matrices[..., :, 2]
    yaw = np.arctan2(direction[..., 0], direction[..., 2])
    return np.stack([yaw, np.arcsin(np.clip(-direction[..., 1], -1.0, 1.0))], -1)


def evaluate(basis: PointBasis, identity: Array, expression: Array, eyes: Array, jaw: JawMotion) -> Array:
    """Canonical positions (F, N, 3) of the points: one identity (K,), expressions (F, 52), eyes (F, 2, 2) and jaws."""
    count = len(basis.rest)
    shape = basis.rest + (basis.identity.reshape(-1, len(identity)) @ identity).reshape(count, 3)
    moved = expression @ basis.expression.reshape(count * 3, -1).T.astype(np.float64)
    points = shape + moved.reshape(len(expression), count, 3)
    if len(basis.jaw.index):
        part = basis.jaw.rest + basis.jaw.identity @ identity
        carried = part @ np.swapaxes(jaw.rotation, 1, 2) + basis.jaw.weight[:, None] * jaw.translation[:, None]
        points[:, basis.jaw.index] += carried
    turns = eye_matrices(eyes)
    centres = basis.eye_rest + basis.eye_identity @ identity
    for side, share in enumerate(basis.eyes):
        if len(share.index):
            part = share.rest + share.identity @ identity - share.weight[:, None] * centres[side]
            turned = part @ np.swapaxes(turns[:, side], 1, 2)
            points[:, share.index] += turned + share.weight[:, None] * centres[side]
    return points


def frame_jacobian(basis: PointBasis, identity: Array, eyes: Array, jaw: JawMotion, frame: int, names: list[str],
                   columns: NDArray[np.float32]) -> None:  # fmt: skip
    """Write the derivative of every canonical point of one frame into `columns` (N, 3, 52 + 4 + K).

    Columns: 52 expression weights, then yaw and pitch of the left and of the right eye, then K identity coefficients.
    The caller fills the linear basis once; only points that share in the jaw or the eyes are written here.
    """
    wide = columns.shape[2] - 56
    share = basis.jaw
    if len(share.index):
        part = share.rest + share.identity @ identity
        for k, name in enumerate(JAW_NAMES):
            at = names.index(name)
            change = part @ jaw.d_rotation[frame, k].T + share.weight[:, None] * jaw.d_translation[frame, k]
            columns[share.index, :, at] = basis.expression[share.index, :, at] + change
        if wide:
            turned = np.matmul(jaw.rotation[frame].astype(np.float32), share.identity)
            pivot = share.weight[:, None, None].astype(np.float32) * jaw.d_identity[frame].astype(np.float32)
            columns[share.index, :, 56:] = basis.identity[share.index] + turned + pivot
    for side, share in enumerate(basis.eyes):
        if not len(share.index):
            continue
        centre = basis.eye_rest[side] + basis.eye_identity[side] @ identity
        part = share.rest + share.identity @ identity - share.weight[:, None] * centre
        turn = eye_matrices(eyes[frame, side])
        spin_y = np.array([[0.0, 0, 1], [0, 0, 0], [-1, 0, 0]])  # d Ry = spin_y Ry
        spin_x = np.array([[0.0, 0, 0], [0, 0, -1], [0, 1, 0]])  # d Rx = Rx spin_x
        columns[share.index, :, 52 + 2 * side] = part @ (spin_y @ turn).T
        columns[share.index, :, 53 + 2 * side] = part @ (turn @ spin_x).T
        if wide:
            lever = share.identity - share.weight[:, None, None] * basis.eye_identity[side]
            moved = np.einsum("ij,njk->nik", turn, lever) + share.weight[:, None, None] * basis.eye_identity[side]
            columns[share.index, :, 56:] = basis.identity[share.index] + moved
