"""A camera of the scene, as it moves and zooms, as the camera document that a job is given."""

from collections.abc import Sequence
from typing import Any

import bpy
import numpy as np

from ..core.errors import AddonError
from ..core.space import FLIP
from .clip import lens_document


def camera_document(
    scene: bpy.types.Scene,
    camera: bpy.types.Object,
    clip: bpy.types.MovieClip,
    files: Sequence[int],
    scene_frames: Sequence[int],
) -> dict[str, Any]:
    """The camera over the frames of a clip: plate pixels, OpenCV axes, world to camera in Blender's world, metres.

    Nothing of the camera is changed; the scene's frame is put back. Raises AddonError for a clip without pictures and
    for a camera that is not perspective.
    """
    width, height = tuple(clip.size)
    if not (width and height):
        raise AddonError(f'The plate of the clip "{clip.name}" is not there.', "Choose the clip's file again.", "FQ757")
    data = camera.data
    if not isinstance(data, bpy.types.Camera) or data.type != "PERSP":
        raise AddonError(f'"{camera.name}" is no perspective camera.', "Choose another, or none to solve it.", "FQ776")
    render, before = scene.render, scene.frame_current
    rows, rotation, translation = [], [], []
    try:
        for frame in scene_frames:
            scene.frame_set(int(frame))
            depsgraph = bpy.context.evaluated_depsgraph_get()
            found = camera.evaluated_get(depsgraph)
            p = found.calc_matrix_camera(
                depsgraph, x=width, y=height, scale_x=render.pixel_aspect_x, scale_y=render.pixel_aspect_y
            )
            rows.append(
                (p[0][0] * width / 2, p[1][1] * height / 2, (1 - p[0][2]) * width / 2, (1 + p[1][2]) * height / 2)
            )
            pose = FLIP @ np.array(found.matrix_world.normalized().inverted())
            rotation.append(pose[:3, :3].tolist())
            translation.append(pose[:3, 3].tolist())
    finally:
        scene.frame_set(before)
    fx, fy, cx, cy = np.array(rows).T
    return {
        "schema": "facequery.camera",
        "version": 1,
        "width": width,
        "height": height,
        "fx": fx.tolist(),
        "fy": fy.tolist(),
        "cx": cx.tolist(),
        "cy": cy.tolist(),
        "pixel_aspect": float(np.mean(fy / fx)),
        "lens": lens_document(clip),
        "frames": [int(f) for f in files],
        "rotation": rotation,
        "translation": translation,
    }
