"""The Head panel: add the head, show and hide its parts."""

import bpy

from ..host.head import LABELS, has_head, parts_of
from ..host.state import object_state, scene_state
from .status import CATEGORY


class HeadPanel(bpy.types.Panel):
    bl_idname = "FACEQUERY_PT_head"
    bl_label = "Head"
    bl_space_type = "VIEW_3D"
    bl_region_type = "UI"
    bl_category = CATEGORY
    bl_order = 0

    def draw(self, context: bpy.types.Context) -> None:
        layout = self.layout
        if not has_head(context.scene):
            layout.operator("facequery.add_head", icon="USER")
            return
        state = scene_state(context.scene)
        layout.prop(state, "head", text="", icon="USER")
        head = state.head
        layout.prop(object_state(head), "xray", toggle=True, icon="XRAY")
        column = layout.column(align=True)
        for name, obj in parts_of(head):
            row = column.row(align=True)
            row.active = not obj.hide_viewport
            row.label(text=LABELS[name])
            row.prop(obj, "hide_viewport", text="", emboss=False)


_classes = (HeadPanel,)


def register() -> None:
    for cls in _classes:
        bpy.utils.register_class(cls)


def unregister() -> None:
    for cls in reversed(_classes):
        bpy.utils.unregister_class(cls)
