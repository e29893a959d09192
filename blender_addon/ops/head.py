"""Operators of the head."""

import bpy
from bpy.props import BoolProperty

from ..core.head_asset import load_head
from ..host import head as host_head
from ..host.registration import registration
from .reporting import reports_errors


class AddHead(bpy.types.Operator):
    bl_idname = "facequery.add_head"
    bl_label = "Add Head"
    bl_description = "Add the FaceQuery head with eyes, teeth, skull and jaw at the 3D cursor, to place points on"
    bl_options = {"REGISTER", "UNDO"}  # noqa: RUF012

    shape_keys: BoolProperty(
        name="Shape Keys", description="Add the 52 ARKit expressions as shape keys of the skin", default=True
    )

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if context.mode != "OBJECT":
            cls.poll_message_set("Leave the current mode for Object Mode")
            return False
        return True

    @reports_errors
    def execute(self, context: bpy.types.Context) -> set[str]:
        head = host_head.add_head(context.scene, load_head(), self.shape_keys)
        for obj in context.selected_objects:
            obj.select_set(False)
        for _, part in host_head.parts_of(head):
            part.select_set(True)
        head.select_set(True)
        context.view_layer.objects.active = head
        return {"FINISHED"}

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        result = self.execute(context)
        # A head of 25 cm is a speck in Blender's default view.
        if result == {"FINISHED"} and context.area and context.area.type == "VIEW_3D":
            region = next((r for r in context.area.regions if r.type == "WINDOW"), None)
            if region:
                with context.temp_override(region=region):
                    bpy.ops.view3d.view_selected()
        return result


register, unregister = registration(AddHead)
