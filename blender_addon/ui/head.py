"""The Head panel: add the head, show and hide its parts."""

import bpy

from ..host.head import LABELS, has_head, parts_of
from ..host.registration import registration
from ..host.state import object_state, scene_state
from .panels import ViewPanel


class HeadPanel(ViewPanel, bpy.types.Panel):
    bl_idname = "FACEQUERY_PT_head"
    bl_label = "Head"
    bl_order = 0

    def draw(self, context: bpy.types.Context) -> None:
        layout = self.layout
        if not has_head(context.scene):
            layout.operator("facequery.add_head", icon="USER")
            return
        state = scene_state(context.scene)
        layout.prop(state, "head", text="", icon="USER")
        head = state.head
        own = object_state(head)
        row = layout.row(align=True)
        row.operator("facequery.show_actor", text=own.actor_name or "Show Actor", icon="COMMUNITY")
        if own.actor:
            row.operator("facequery.hide_actor", text="", icon="X")
        layout.prop(own, "xray", toggle=True, icon="XRAY")
        column = layout.column(align=True)
        for name, obj in parts_of(head):
            row = column.row(align=True)
            row.active = not obj.hide_viewport
            row.label(text=LABELS[name])
            row.prop(obj, "hide_viewport", text="", emboss=False)


register, unregister = registration(HeadPanel)
