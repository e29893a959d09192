"""What the scripts share: a registered extension, a scene without anything in it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import bpy
import numpy as np

import blender_addon
from blender_addon.core.space import canonical_to_blender


@contextmanager
def session() -> Iterator[None]:
    """The extension, registered for the time of a test."""
    blender_addon.register()
    try:
        yield
    finally:
        blender_addon.unregister()


def fresh_scene() -> None:
    """An empty file."""
    bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)


def canonical(points: np.ndarray) -> np.ndarray:
    """From Blender to canonical space."""
    return canonical_to_blender(points, inverse=True)


def refused(operator: Callable[..., set[str]], **arguments: object) -> str:
    """The sentence with which an operator refuses."""
    try:
        operator(**arguments)
    except RuntimeError as error:
        return str(error)
    raise AssertionError(f"{operator} was not refused")


def pixels(obj: bpy.types.Object, vertices: np.ndarray, frame: int) -> np.ndarray:
    """Where the scene's camera shows vertices (N,) of an object, (N, 2) pixels from the top left."""
    scene = bpy.context.scene
    scene.frame_set(frame)
    depsgraph = bpy.context.evaluated_depsgraph_get()
    evaluated, camera = obj.evaluated_get(depsgraph), scene.camera.evaluated_get(depsgraph)
    render = scene.render
    projection = np.array(camera.calc_matrix_camera(
        depsgraph, x=render.resolution_x, y=render.resolution_y,
        scale_x=render.pixel_aspect_x, scale_y=render.pixel_aspect_y,
    ))  # fmt: skip
    points = np.empty(3 * len(evaluated.data.vertices), np.float32)
    evaluated.data.vertices.foreach_get("co", points)
    points = np.c_[points.reshape(-1, 3), np.ones(len(points) // 3)][vertices]
    clip = points @ (projection @ np.linalg.inv(np.array(camera.matrix_world)) @ np.array(evaluated.matrix_world)).T
    ndc = clip[:, :2] / clip[:, 3:]
    return np.stack([(ndc[:, 0] + 1) / 2 * render.resolution_x, (1 - ndc[:, 1]) / 2 * render.resolution_y], axis=1)
