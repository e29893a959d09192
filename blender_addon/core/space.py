"""Between FaceQuery's spaces and Blender's.

Canonical space: metres, +x the subject's left, +y up, +z out of the face. Blender: +z up, a character looks along -y.
Camera space of results: OpenCV's axes, x right, y down, z forward. Blender's camera: y up, looks along -z.
"""

from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

# Row vectors: blender = canonical @ _ROTATION.T. A turn by 90 degrees about x.
_ROTATION: Final = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]])
# Between an OpenCV camera's axes and those of Blender's camera (4, 4); its own inverse.
FLIP: Final = np.diag([1.0, -1.0, -1.0, 1.0])


def pose_matrices(rotation: ArrayLike, translation: ArrayLike) -> NDArray[np.float64]:
    """Homogeneous matrices (F, 4, 4) from rotations (F, 3, 3) and translations (F, 3)."""
    turn = np.asarray(rotation, dtype=np.float64)
    matrices = np.tile(np.eye(4), (len(turn), 1, 1))
    matrices[:, :3, :3], matrices[:, :3, 3] = turn, translation
    return matrices


def canonical_matrix() -> NDArray[np.float64]:
    """The turn of `canonical_to_blender` as a homogeneous matrix (4, 4) for column vectors."""
    matrix = np.eye(4)
    matrix[:3, :3] = canonical_to_blender(np.eye(3)).T
    return matrix


def canonical_to_blender(points: ArrayLike, inverse: bool = False) -> NDArray[np.float64]:
    """Turn points or vectors (..., 3) from canonical to Blender space, or back. Metres stay metres."""
    p = np.asarray(points, dtype=np.float64)
    return p @ (_ROTATION if inverse else _ROTATION.T)


def camera_matrices(world_to_camera: NDArray, known: bool, up: str = "Z") -> NDArray[np.float64]:
    """World matrices (F, 4, 4) of Blender's camera from OpenCV poses (F, 4, 4), world to camera.

    `known`: the poses are in a world of the artist's, whose `up` is Blender's "Z" or "Y" (as in Maya and Nuke). Else
    the camera is the world: it then stands at Blender's origin and looks along +y, upright.
    """
    artists = np.eye(4) if up == "Z" else canonical_matrix()
    world = artists if known else canonical_matrix() @ FLIP
    return world @ np.linalg.inv(world_to_camera) @ FLIP


def object_matrices(camera: NDArray, canonical_to_camera: NDArray) -> NDArray[np.float64]:
    """World matrices (F, 4, 4) of objects whose meshes are in `canonical_to_blender`'s space.

    `camera` (F, 4, 4) are Blender's camera matrices, `canonical_to_camera` (F, 4, 4) the results' poses.
    """
    return camera @ FLIP @ canonical_to_camera @ np.linalg.inv(canonical_matrix())
