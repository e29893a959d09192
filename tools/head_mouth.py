"""Rigid jaw, teeth, and what of the mouth's inside goes with the jaw."""

import numpy as np
from numpy.typing import NDArray

from tools.head_source import ARKIT_NAMES, Source

JAW_NAMES = ("jawForward", "jawLeft", "jawOpen", "jawRight")


def rigid_motion(before: NDArray, after: NDArray) -> tuple[NDArray, NDArray, float]:
    """Rotation vector (3,), translation (3,) of the mean, and largest residual of the best rigid motion of points."""
    a, b = before - before.mean(0), after - after.mean(0)
    u, _, vt = np.linalg.svd(a.T @ b)
    turn = (u @ np.diag([1, 1, np.sign(np.linalg.det(u @ vt))]) @ vt).T
    residual = float(np.abs(b - a @ turn.T).max())
    axis = np.array([turn[2, 1] - turn[1, 2], turn[0, 2] - turn[2, 0], turn[1, 0] - turn[0, 1]])
    sine = np.linalg.norm(axis)
    if sine < 1e-12:
        return np.zeros(3), after.mean(0) - before.mean(0), residual
    angle = np.arctan2(0.5 * sine, 0.5 * (np.trace(turn) - 1))
    return axis / sine * angle, after.mean(0) - before.mean(0), residual


def jaw_motion(source: Source) -> tuple[NDArray, NDArray, float]:
    """Rotation vectors (52, 3) and translations (52, 3) of the lower teeth's mean per expression at weight 1.

    The jaw turns by exp(sum of weights times rotation vectors) about that mean while the mean moves along a straight
    line: at jawOpen = 1 this is the source's turn about its hinge (25.3 degrees); in between the incisors keep to the
    straight path of the skin, and the condyle glides forward and down. Third: the largest residual in metres.
    """
    lower = slice(source.vertex_range["tooth_3rd_molar_lower_left"][0], source.vertex_range["teeth"][1])
    teeth = source.neutral[lower]
    turn, move = np.zeros((len(ARKIT_NAMES), 3)), np.zeros((len(ARKIT_NAMES), 3))
    worst = 0.0
    for name in JAW_NAMES:
        k = ARKIT_NAMES.index(name)
        turn[k], move[k], residual = rigid_motion(teeth, teeth + source.expression[k, lower])
        worst = max(worst, residual)
    # The source's sides mirror each other but for rounding; jawOpen and jawForward must not drift sideways.
    left, right = ARKIT_NAMES.index("jawLeft"), ARKIT_NAMES.index("jawRight")
    turn[left] = 0.5 * (turn[left] + turn[right] * [1, -1, -1])
    move[left] = 0.5 * (move[left] + move[right] * [-1, 1, 1])
    turn[right], move[right] = turn[left] * [1, -1, -1], move[left] * [-1, 1, 1]
    for name in ("jawOpen", "jawForward"):
        k = ARKIT_NAMES.index(name)
        turn[k, 1:] = 0
        move[k, 0] = 0
    return turn, move, worst


def rotation_matrix(vector: NDArray) -> NDArray[np.float64]:
    """Rotation (3, 3) about `vector` (3,) by its length in radians (Rodrigues)."""
    angle = np.linalg.norm(vector)
    if angle < 1e-12:
        return np.eye(3)
    x, y, z = vector / angle
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross


def jaw_share(
    points: NDArray, expression: NDArray, turn: NDArray, move: NDArray, pivot: NDArray
) -> tuple[NDArray, NDArray]:
    """How much of the jaw's motion each point (V, 3) has: weight (V,), and the expression (52, V, 3) that remains.

    Least squares of the source's linear expression against the rigid motion; 0 for upper gums, 1 for lower.
    """
    rigid = np.zeros_like(expression)
    for k in range(len(turn)):
        if turn[k].any() or move[k].any():
            rigid[k] = (points - pivot) @ (rotation_matrix(turn[k]) - np.eye(3)).T + move[k]
    weight = np.einsum("kvc,kvc->v", expression, rigid) / np.einsum("kvc,kvc->v", rigid, rigid)
    weight = np.clip(weight, 0, 1)
    rest = np.zeros_like(expression)
    for k in np.flatnonzero(np.abs(rigid).max((1, 2))):
        rest[k] = expression[k] - weight[:, None] * rigid[k]
    return weight, rest


def tongue_out(points: NDArray, tongue: NDArray) -> NDArray[np.float64]:
    """The made expression tongueOut: displacement (V, 3) of mouth vertices whose mask `tongue` (V,) is set.

    The front of the tongue slides forward by up to 38 mm and bends down over the lower lip; its root and the floor
    of the mouth stay. It wants an open mouth (jawOpen of 0.3 and more).
    """
    out = np.zeros_like(points)
    z, y = points[tongue, 2], points[tongue, 1]
    reach = (z - z.min()) / (z.max() - z.min())
    above_floor = np.clip((y - np.quantile(y, 0.12)) / 0.006, 0, 1)
    share = above_floor**2 * (3 - 2 * above_floor)
    forward = 0.038 * reach**1.5
    bend = -0.009 * reach**4 + 0.003 * np.sin(np.pi * reach)
    out[tongue] = share[:, None] * np.stack([0 * z, bend, forward], 1)
    return out
