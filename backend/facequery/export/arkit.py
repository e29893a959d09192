"""The ARKit curves of a fitted face in the order, and under the names, of Epic's Live Link Face."""

import numpy as np
from numpy.typing import NDArray

from facequery.fitting.results import FaceFit
from facequery.geometry.rotations import matrix_to_euler

# Apple's 52 in the app's order; the app writes them with a capital first letter.
_SIDES = ("eyeBlink", "eyeLookDown", "eyeLookIn", "eyeLookOut", "eyeLookUp", "eyeSquint", "eyeWide")
SHAPES = (
    *(f"{name}Left" for name in _SIDES), *(f"{name}Right" for name in _SIDES),
    "jawForward", "jawRight", "jawLeft", "jawOpen",
    "mouthClose", "mouthFunnel", "mouthPucker", "mouthRight", "mouthLeft",
    "mouthSmileLeft", "mouthSmileRight", "mouthFrownLeft", "mouthFrownRight", "mouthDimpleLeft", "mouthDimpleRight",
    "mouthStretchLeft", "mouthStretchRight", "mouthRollLower", "mouthRollUpper", "mouthShrugLower", "mouthShrugUpper",
    "mouthPressLeft", "mouthPressRight", "mouthLowerDownLeft", "mouthLowerDownRight", "mouthUpperUpLeft",
    "mouthUpperUpRight",
    "browDownLeft", "browDownRight", "browInnerUp", "browOuterUpLeft", "browOuterUpRight",
    "cheekPuff", "cheekSquintLeft", "cheekSquintRight", "noseSneerLeft", "noseSneerRight", "tongueOut",
)  # fmt: skip
ROTATIONS = tuple(f"{part}{turn}" for part in ("Head", "LeftEye", "RightEye") for turn in ("Yaw", "Pitch", "Roll"))
COLUMNS = (*(name[:1].upper() + name[1:] for name in SHAPES), *ROTATIONS)
_FACING = np.diag([1.0, -1.0, -1.0])  # canonical to camera axes of a head that looks straight at the camera


def weights(face: FaceFit) -> NDArray[np.float64]:
    """(F, 52) weights in the order of SHAPES, 0 to 1; a shape that the fit does not have is 0."""
    columns = {name: index for index, name in enumerate(face.expression_names)}
    values = np.zeros((len(face.expression), len(SHAPES)))
    for index, name in enumerate(SHAPES):
        if name in columns:
            values[:, index] = face.expression[:, columns[name]]
    return values


def rotations(face: FaceFit) -> NDArray[np.float64]:
    """(F, 9) in the order of ROTATIONS, radians: yaw to the subject's left, pitch down, roll to the right shoulder.

    The head's are against a head that looks straight at the camera, upright; the eyes' against the head.
    """
    turns = np.concatenate([(_FACING @ face.rotation)[:, None], face.eye_rotation], axis=1)
    return np.stack(matrix_to_euler(turns), axis=-1).reshape(len(turns), 9)
