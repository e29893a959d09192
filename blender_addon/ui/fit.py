"""The Fit panel of the 3D View."""

import bpy

from ..host.clip_state import active_face
from ..host.fit import fits_of, fitted_parts
from ..host.head import LABELS
from ..host.registration import registration
from ..host.state import object_state
from ..ops.context import edited_clip
from .panels import ViewPanel


class FitPanel(ViewPanel, bpy.types.Panel):
    bl_idname = "FACEQUERY_PT_fit"
    bl_label = "Fit"
    bl_order = 5

    def draw(self, context: bpy.types.Context) -> None:
        layout, scene = self.layout, context.scene
        layout.operator("facequery.import_job", icon="IMPORT")
        clip = edited_clip(context)
        face = active_face(clip) if clip is not None else None
        if clip is None or face is None or not face.job:
            return
        layout.prop(face, "job", text="")
        size, render = tuple(clip.size), scene.render
        if all(size) and size != (render.resolution_x, render.resolution_y):
            column = layout.column(align=True)
            column.label(text=f"Plate {size[0]} x {size[1]}", icon="ERROR")
            column.label(text=f"Scene {render.resolution_x} x {render.resolution_y}", icon="BLANK1")
        layout.operator("facequery.match_scene", icon="SCENE_DATA")
        row = layout.row(align=True)
        row.prop(face, "actor")
        row.operator("facequery.use_actor", text="", icon="USER")
        for head in fits_of(scene):
            column = layout.column(align=True)
            row = column.row(align=True)
            row.label(text=head.name, icon="ANIM")
            row.prop(object_state(head), "xray", text="", icon="XRAY")
            for obj in fitted_parts(head):
                row = column.row(align=True)
                row.active = not obj.hide_viewport
                part = object_state(obj).part
                row.label(text=LABELS.get(part, part.title()), icon="BLANK1")
                row.prop(obj, "hide_viewport", text="", emboss=False)


register, unregister = registration(FitPanel)
