"""The Shot panel of the Movie Clip Editor: faces and their regions, frames, lens and camera, further views."""

import bpy

from ..host.clip import lens_document
from ..host.clip_state import FaceState, active_face, clip_state
from ..host.registration import registration
from ..ops.context import edited_clip
from .panels import ClipPanel, settings


class FaceList(bpy.types.UIList):
    bl_idname = "FACEQUERY_UL_faces"

    def draw_item(  # type: ignore[no-untyped-def]
        self, context, layout, data, item, icon, active_data, active_property, index=0, filter_flag=0
    ) -> None:
        row = layout.row(align=True)
        row.prop(item, "name", text="", emboss=False, icon="USER")
        row.label(icon="CHECKMARK" if item.job else "BLANK1")


class ShotPanel(ClipPanel, bpy.types.Panel):
    bl_idname = "FACEQUERY_PT_shot"
    bl_label = "Shot"
    bl_order = 2

    def draw(self, context: bpy.types.Context) -> None:
        layout, clip = self.layout, edited_clip(context)
        if clip is None:
            layout.operator("clip.open", icon="FILE_FOLDER")
            return
        state = clip_state(clip)
        width, height = tuple(clip.size)
        layout.label(text=f"{clip.name}  {width} x {height}  {clip.frame_duration} frames", icon="TRACKER")
        self._draw_faces(clip)
        column = settings(layout)
        column.prop(state, "limit_frames")
        if state.limit_frames:
            column.prop(state, "first")
            column.prop(state, "last")
        column.prop(clip.colorspace_settings, "name", text="Color Space")
        column.prop(state, "exposure")
        column.prop(state, "allow_gaps")
        column.prop(state, "camera")
        if state.camera is None:
            column.label(text="The camera will be solved", icon="INFO")
        lens = lens_document(clip)
        column.label(text=f"Lens: {lens['model']} of the clip" if lens else "Lens: none", icon="CAMERA_DATA")
        self._draw_views(clip)

    def _draw_faces(self, clip: bpy.types.MovieClip) -> None:
        layout, state, face = self.layout, clip_state(clip), active_face(clip)
        row = layout.row()
        row.template_list("FACEQUERY_UL_faces", "", state, "faces", state, "active_face", rows=2)
        side = row.column(align=True)
        side.operator("facequery.add_face", text="", icon="ADD")
        side.operator("facequery.remove_face", text="", icon="REMOVE")
        if face is None:
            layout.label(text="The largest face is taken", icon="INFO")
        row = layout.row(align=True)
        row.operator("facequery.draw_region", icon="SELECT_SET")
        if face is not None:
            self._draw_face(face)

    def _draw_face(self, face: FaceState) -> None:
        column = settings(self.layout, animated=True)
        column.prop(face, "use_region")
        if face.use_region:
            box = column.column(align=True)
            for index, label in enumerate(("X", "Y", "Width", "Height")):
                box.prop(face, "region", index=index, text=label)
            column.operator("facequery.key_region", icon="KEY_HLT")
        else:
            column.prop(face, "which")
        column.use_property_decorate = False
        column.prop(face, "actor")

    def _draw_views(self, clip: bpy.types.MovieClip) -> None:
        layout = self.layout
        for index, view in enumerate(clip_state(clip).views):
            row = layout.row(align=True)
            row.prop(view, "clip", text=f"View {index + 2}")
            row.operator("facequery.remove_view", text="", icon="X").index = index
        layout.operator("facequery.add_view", icon="ADD")


register, unregister = registration(FaceList, ShotPanel)
