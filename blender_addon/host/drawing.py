"""Drawing the points in the 3D View: one batch of round dots, with the groups' colors, on the head as it stands.

What the head hides shines through faintly. Positions follow the posed head: an anchored point is drawn on its triangle.
"""

from typing import Any, Final

import bpy
import numpy as np
from numpy.typing import NDArray

from ..core.errors import AddonError
from ..core.points import PointTable
from ..core.space import canonical_to_blender
from . import dots
from . import points as host_points
from .head import head_of, parts_of
from .state import object_state, scene_state
from .surface import anchor_points, posed_vertices

SELECTED_COLOR: Final = (1.0, 1.0, 1.0)
_HIDDEN_ALPHA: Final = 0.25
_TOWARDS_VIEWER: Final = 4e-4  # of the distance: dots on the skin must not sink into it

_handles: list[Any] = []
_cache: dict[int, tuple[tuple[Any, ...], Any]] = {}


def world_positions(obj: bpy.types.Object, table: PointTable, depsgraph: bpy.types.Depsgraph) -> NDArray[np.float32]:
    """Where the points (N, 3) are in the scene: on the posed head, or by their rest position when they have no triangle
    or the head is gone."""
    matrix = np.array(obj.matrix_world)
    world = canonical_to_blender(table.position) @ matrix[:3, :3].T + matrix[:3, 3]
    anchored = table.triangle >= 0
    if anchored.any():
        try:
            head = head_of(depsgraph.scene)
            vertices = posed_vertices(head, depsgraph)
        except AddonError:
            return world.astype(np.float32)
        turn = np.array(head.matrix_world.to_3x3())
        on_head = anchor_points(table.triangle, table.barycentric, vertices)
        on_head += canonical_to_blender(table.offset) @ turn.T
        world[anchored] = on_head[anchored]
    return world.astype(np.float32)


def point_colors(obj: bpy.types.Object, table: PointTable) -> tuple[NDArray, NDArray]:
    """Colors (N, 4), with alpha 0 in hidden groups, and outlines (N, 4), with alpha 1 for selected points."""
    colors, hidden = host_points.group_colors(obj)
    index = np.where((table.group >= 0) & (table.group < len(colors) - 1), table.group, len(colors) - 1)

    color = np.concatenate([colors, np.where(hidden, 0.0, 1.0)[:, None]], axis=1)[index]
    outline = np.zeros((len(table), 4), np.float32)
    outline[table.selected] = (*SELECTED_COLOR, 1.0)
    return color.astype(np.float32), outline


def _state_key(obj: bpy.types.Object) -> tuple[Any, ...]:
    """What the batch depends on; the number of geometry changes comes from the depsgraph handler."""
    groups = tuple((tuple(g.color), g.hide) for g in object_state(obj).groups)
    return (
        _changes,
        groups,
        obj.matrix_world.translation[:],
        obj.matrix_world.to_quaternion()[:],
        bpy.context.scene.frame_current,
    )


_changes = 0


def changes() -> int:
    """A number that grows whenever the head or the points change."""
    return _changes


@bpy.app.handlers.persistent
def _count_changes(scene: bpy.types.Scene, depsgraph: bpy.types.Depsgraph) -> None:
    """Note that the head or the points changed, so that the batch is made anew at the next redraw."""
    global _changes
    state = scene_state(scene)
    if state.points is None:
        return
    watched = {state.points.name}
    if state.head is not None:
        watched |= {state.head.name, *(part.name for _, part in parts_of(state.head))}
    for update in depsgraph.updates:
        if isinstance(update.id, bpy.types.Object | bpy.types.Mesh | bpy.types.Key) and (
            not isinstance(update.id, bpy.types.Object) or update.id.name in watched
        ):
            _changes += 1
            return


@bpy.app.handlers.persistent
def _forget(*_: Any) -> None:
    """After undo, redo and loading a file nothing that was kept is sure to hold."""
    global _changes
    _changes += 1
    _cache.clear()


def _batch(obj: bpy.types.Object, context: bpy.types.Context) -> Any:
    depsgraph = context.evaluated_depsgraph_get()
    key = _state_key(obj)
    found = _cache.get(obj.session_uid)
    if found and found[0] == key:
        return found[1]
    table = host_points.read(obj)
    if not len(table):
        batch = None
    else:
        color, outline = point_colors(obj, table)
        batch = dots.make_batch(world_positions(obj, table, depsgraph), color, outline)
    _cache.clear()
    _cache[obj.session_uid] = (key, batch)
    return batch


def _draw() -> None:
    context = bpy.context
    if not host_points.has_points(context.scene) or not context.space_data.overlay.show_overlays:  # type: ignore[attr-defined]
        return
    obj = scene_state(context.scene).points
    # In Edit Mode the mesh lags behind what is edited; Blender draws the vertices itself then.
    if obj.mode == "EDIT" or not obj.visible_get():
        return
    batch = _batch(obj, context)
    if batch is None:
        return
    size = scene_state(context.scene).point_size * context.preferences.system.ui_scale
    passes = (("GREATER", _HIDDEN_ALPHA), ("LESS_EQUAL", 1.0))
    dots.draw(batch, context.region_data.perspective_matrix, size, passes, _TOWARDS_VIEWER)


def register() -> None:
    bpy.app.handlers.depsgraph_update_post.append(_count_changes)
    for handlers in (bpy.app.handlers.undo_post, bpy.app.handlers.redo_post, bpy.app.handlers.load_post):
        handlers.append(_forget)
    if not bpy.app.background:
        _handles.append(bpy.types.SpaceView3D.draw_handler_add(_draw, (), "WINDOW", "POST_VIEW"))


def unregister() -> None:
    while _handles:
        bpy.types.SpaceView3D.draw_handler_remove(_handles.pop(), "WINDOW")
    for handlers in (bpy.app.handlers.undo_post, bpy.app.handlers.redo_post, bpy.app.handlers.load_post):
        handlers.remove(_forget)
    bpy.app.handlers.depsgraph_update_post.remove(_count_changes)
    _cache.clear()
