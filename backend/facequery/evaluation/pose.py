"""How far a face is turned, from annotated points alone: real pictures come without a head pose."""

import numpy as np
from numpy.typing import NDArray

from facequery.head.layouts import load_layout

# Points of ibug68 that hardly move against the skull: the nose, the corners of the eyes and of the mouth.
_RIGID = [*range(27, 36), 36, 39, 42, 45, 48, 54]


def yaw_of(points: NDArray) -> NDArray[np.float64]:
    """Yaw (n,) in degrees, positive to the subject's left, of faces with the 68 points (n, 68, 2) of ibug68, pixels.

    The rest head is laid over the points by scaled orthography: least squares for two rows of a rotation, whose third
    row gives the direction in which the nose points. Good to some 6 degrees, which is enough for bins of 30.
    """
    head = load_layout("ibug68").positions[_RIGID].astype(np.float64) * [1, -1, -1]  # x right, y down, z away
    head = head - head.mean(0)
    seen = points[:, _RIGID] - points[:, _RIGID].mean(1, keepdims=True)
    rows = np.einsum("kc,nkd->ndc", np.linalg.pinv(head).T, seen)  # (n, 2, 3): the picture's x and y of head axes
    u, _, vt = np.linalg.svd(rows, full_matrices=False)
    rows = u @ vt  # the nearest pair of orthonormal rows
    towards = np.cross(rows[:, 0], rows[:, 1])
    # The head's own forward axis is (0, 0, -1) here; its image is minus the third column.
    return np.degrees(np.arctan2(-rows[:, 0, 2], towards[:, 2]))
