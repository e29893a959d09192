"""The workspace tool that places points."""

from typing import Any, ClassVar

import bpy

from ..host import hover
from ..host.state import scene_state


class PlaceTool(bpy.types.WorkSpaceTool):
    bl_space_type = "VIEW_3D"
    bl_context_mode = "OBJECT"
    bl_idname = "facequery.place"
    bl_label = "Place Points"
    bl_description = (
        "Place FaceQuery points on the head.\n"
        "Click: on the surface, or as set\nShift-click: inwards to the bone\nAlt-click: inwards to the teeth\n"
        "Ctrl-click: select, with Shift also: extend"
    )
    bl_icon = "ops.curve.vertex_random"
    bl_cursor = "CROSSHAIR"
    bl_widget = None
    bl_keymap: ClassVar[Any] = (
        ("facequery.place_point", {"type": "LEFTMOUSE", "value": "PRESS"}, None),
        (
            "facequery.place_point",
            {"type": "LEFTMOUSE", "value": "PRESS", "shift": True},
            {"properties": [("depth", "BONE")]},
        ),
        (
            "facequery.place_point",
            {"type": "LEFTMOUSE", "value": "PRESS", "alt": True},
            {"properties": [("depth", "TEETH")]},
        ),
        (
            "facequery.select_point",
            {"type": "LEFTMOUSE", "value": "PRESS", "ctrl": True},
            {"properties": [("extend", False)]},
        ),
        (
            "facequery.select_point",
            {"type": "LEFTMOUSE", "value": "PRESS", "ctrl": True, "shift": True},
            {"properties": [("extend", True)]},
        ),
        ("facequery.delete_points", {"type": "X", "value": "PRESS"}, None),
        ("facequery.delete_points", {"type": "DEL", "value": "PRESS"}, None),
        ("facequery.rename_points", {"type": "F2", "value": "PRESS"}, None),
    )

    @staticmethod
    def draw_cursor(context: bpy.types.Context, tool: Any, xy: tuple[int, int]) -> None:
        hover.draw(context, xy)

    @staticmethod
    def draw_settings(context: bpy.types.Context, layout: bpy.types.UILayout, tool: Any) -> None:
        state = scene_state(context.scene)
        layout.prop(state, "depth", text="Place On")
        if state.depth == "DEPTH":
            layout.prop(state, "depth_distance")
        layout.prop(state, "symmetric")


def register() -> None:
    bpy.utils.register_tool(PlaceTool, separator=True)


def unregister() -> None:
    bpy.utils.unregister_tool(PlaceTool)
