"""F-curves from arrays."""

from collections.abc import Sequence
from typing import Any

import bpy
import numpy as np
from mathutils import Matrix
from numpy.typing import NDArray

from .compat import fcurves_of

_LINEAR = 1  # the number of that interpolation in Blender's enumeration


def set_curve(block: bpy.types.ID, path: str, index: int, frames: NDArray, values: NDArray) -> None:
    """A new f-curve with keys at scene frames (F,); values that never change get one key."""
    curve: Any = fcurves_of(block, block.name).new(path, index=index)
    if np.ptp(values) == 0:
        frames, values = frames[:1], values[:1]
    curve.keyframe_points.add(len(frames))
    keys = np.stack([frames, values], axis=1).astype(np.float32)
    curve.keyframe_points.foreach_set("co", keys.ravel())
    curve.keyframe_points.foreach_set("interpolation", np.full(len(frames), _LINEAR, np.int32))
    curve.update()


def set_curves(block: bpy.types.ID, path: str, frames: NDArray, values: NDArray) -> None:
    """F-curves of a vector property, values (F, C)."""
    for index in range(values.shape[1]):
        set_curve(block, path, index, frames, values[:, index])


def set_motion(obj: bpy.types.Object, frames: NDArray, matrices: NDArray) -> None:
    """Animate an object by rigid matrices (F, 4, 4) in its parent's space; ones that never change are set once."""
    obj.rotation_mode = "QUATERNION"
    if not len(matrices) or np.ptp(matrices, axis=0).max() < 1e-12:
        obj.matrix_basis = Matrix(matrices[0].tolist())
        return
    set_curves(obj, "location", frames, matrices[:, :3, 3])
    set_curves(obj, "rotation_quaternion", frames, quaternions(matrices))


def quaternions(matrices: NDArray) -> NDArray[np.float64]:
    """Rotations (F, 4) w, x, y, z of matrices (F, 4, 4), neighbours on the same side so that curves do not jump."""
    out = np.array([Matrix(m.tolist()).to_quaternion()[:] for m in matrices[:, :3, :3]])
    flips = np.cumprod(np.where((out[1:] * out[:-1]).sum(axis=1) < 0, -1.0, 1.0))
    out[1:] *= flips[:, None]
    return out


def evaluated_matrices(obj: bpy.types.Object, scene: bpy.types.Scene, frames: Sequence[int]) -> NDArray[np.float64]:
    """World matrices (F, 4, 4) of an object at scene frames, without its scale; the scene's frame is put back."""
    before, out = scene.frame_current, np.zeros((len(frames), 4, 4))
    try:
        for row, frame in enumerate(frames):
            scene.frame_set(int(frame))
            location, rotation, _ = obj.matrix_world.decompose()
            out[row] = Matrix.LocRotScale(location, rotation, None)
    finally:
        scene.frame_set(before)
    return out
