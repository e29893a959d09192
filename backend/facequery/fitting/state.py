"""The unknowns of a fit, and what its cameras see."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
POSE, EXPRESSION, EYES = slice(0, 6), slice(6, 58), slice(58, 62)  # the unknowns of one frame
PER_FRAME = 62


@dataclass(frozen=True)
class View:
    """One camera's landmarks, undistorted: `xy` (F, N, 2) ideal pixels, `sigma` (F, N) px, `weight` (F, N) in [0, 1].

    `fx`, `fy`, `cx`, `cy` (F,); `rotation` (F, 3, 3) and `translation` (F, 3) take the world to the camera. What of
    them is to be found is marked by `solve_focal` (fx and fy scale together) and `solve_pose` (one for all frames).
    Weight 0 means that there is no landmark; xy and sigma are finite everywhere. `alike` (N, M) and `size` (F,) are
    what `common_errors` gives.
    """

    xy: Array
    sigma: Array
    weight: Array
    fx: Array
    fy: Array
    cx: Array
    cy: Array
    rotation: Array
    translation: Array
    width: int
    height: int
    alike: Array
    size: Array
    solve_focal: bool = False
    solve_pose: bool = False


@dataclass(frozen=True)
class State:
    """A point in the space of unknowns: identity (K,), expression (F, 52), rotation (F, 3, 3), translation (F, 3), eyes
    (F, 2, 2) yaw and pitch, and per view: `focal` (factor on the view's fx and fy), `camera_rotation` (3, 3) and
    `camera_translation` (3) after the view's own pose, `common` (M, 2) the landmarks' errors in common, by feature."""

    identity: Array
    expression: Array
    rotation: Array
    translation: Array
    eyes: Array
    focal: Array
    camera_rotation: Array
    camera_translation: Array
    common: Array
