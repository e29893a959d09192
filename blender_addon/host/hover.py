"""The preview of the placing tool: where a click would put the point."""

import bpy
import gpu
import numpy as np
from bpy_extras import view3d_utils

from ..core.errors import AddonError
from ..core.space import canonical_to_blender
from . import dots, placing
from .head import has_head
from .state import scene_state

_SIZE = 14.0


def draw(context: bpy.types.Context, xy: tuple[int, int]) -> None:
    """Draw the preview for the mouse at window pixels `xy`; called by Blender while the tool's cursor is drawn."""
    region, view = context.region, context.region_data
    if view is None or not has_head(context.scene):
        return
    place = (xy[0] - region.x, xy[1] - region.y)
    origin = np.array(view3d_utils.region_2d_to_origin_3d(region, view, place))
    direction = np.array(view3d_utils.region_2d_to_vector_3d(region, view, place))
    state = scene_state(context.scene)
    try:
        hit = placing.ray_hit(context.scene, context.evaluated_depsgraph_get(), origin, direction)
        if hit is None:
            return
        position = placing.rest_position(hit, state.depth, state.depth_distance)
    except AddonError:
        return  # nothing could be placed here; the click will say why
    # On the surface the dot is under the mouse; deeper ones are seen where they would lie, through the head.
    shift = canonical_to_blender(position - hit.position) @ np.array(state.head.matrix_world.to_3x3()).T
    world = origin + direction * hit.distance + shift
    screen = view3d_utils.location_3d_to_region_2d(region, view, world.tolist())
    if screen is None:
        return
    dot = np.array([[screen[0] + region.x, screen[1] + region.y, 0.0]], np.float32)
    color = np.array([[1.0, 1.0, 1.0, 0.9]], np.float32)
    matrix = gpu.matrix.get_projection_matrix() @ gpu.matrix.get_model_view_matrix()
    size = _SIZE * context.preferences.system.ui_scale
    dots.draw(dots.make_batch(dot, color, np.zeros_like(color)), matrix, size, (("NONE", 0.8),))
