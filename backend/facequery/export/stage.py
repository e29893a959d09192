"""The 3D world of exported scenes: metres, y up for a solved camera, z up for a known one that moves.

A solved camera stands at the origin and looks along -z, y up, as cameras do in USD, Maya and Blender. A camera that
came with a pose of its own keeps its world, which is taken for z up, as the Blender extension takes it.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facequery.export.source import Source
from facequery.geometry.cameras import Camera

_FLIP = np.diag([1.0, -1.0, -1.0])  # between OpenCV's axes (y down, z forward) and a renderer's (y up, looks along -z)


@dataclass(frozen=True, eq=False)
class Stage:
    """`up` is "Y" or "Z". `to_stage` (F, 4, 4) takes the camera space that fits stand in to the stage; `camera`
    (F, 4, 4) takes the exported camera's own space (x right, y up, looks along -z) to the stage. Column vectors."""

    up: str
    to_stage: NDArray[np.float64]
    camera: NDArray[np.float64]

    def points(self, frame: int, points: NDArray) -> NDArray[np.float64]:
        """Camera-space points (V, 3), metres, of the frame at an array index, on the stage."""
        m = self.to_stage[frame]
        return np.asarray(points, np.float64) @ m[:3, :3].T + m[:3, 3]

    def pose(self, rotation: NDArray, translation: NDArray) -> NDArray[np.float64]:
        """Matrices (F, 4, 4) onto the stage from rotations (F, 3, 3) and translations (F, 3) to camera space."""
        return self.to_stage @ _matrices(np.asarray(rotation, np.float64), np.asarray(translation, np.float64))


def stage_of(source: Source) -> Stage:
    """The stage of a source with a camera. Raises UserError when it has none."""
    camera = source.need_camera()
    first = source.first_camera or camera
    count = len(source.frames)
    known = first.rotation is not None
    world = np.eye(4)
    if not known:
        world[:3, :3] = _FLIP
    flip = np.eye(4)
    flip[:3, :3] = _FLIP
    return Stage(
        up="Z" if known else "Y",
        to_stage=world @ np.linalg.inv(_pose(first, count)),
        camera=world @ np.linalg.inv(_pose(camera, count)) @ flip,
    )


def _pose(camera: Camera, count: int) -> NDArray[np.float64]:
    """World to camera (F, 4, 4)."""
    if camera.rotation is None or camera.translation is None:
        return np.tile(np.eye(4), (count, 1, 1))
    matrices = _matrices(camera.rotation, camera.translation)
    return np.broadcast_to(matrices, (count, 4, 4))


def _matrices(rotation: NDArray, translation: NDArray) -> NDArray[np.float64]:
    matrices = np.tile(np.eye(4), (len(rotation), 1, 1))
    matrices[:, :3, :3], matrices[:, :3, 3] = rotation, translation
    return matrices
