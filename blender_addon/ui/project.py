"""The Project panel of the Movie Clip Editor: pictures on the face, mattes, ST maps."""

import bpy

from ..host import backend
from ..host.clip_state import active_face, clip_state
from ..link.connection import State
from ..ops.context import edited_clip
from .calls import draw_call
from .status import CATEGORY


class ProjectPanel(bpy.types.Panel):
    bl_idname = "FACEQUERY_PT_project"
    bl_label = "Project"
    bl_space_type = "CLIP_EDITOR"
    bl_region_type = "UI"
    bl_category = CATEGORY
    bl_order = 6
    bl_options = {"DEFAULT_CLOSED"}  # noqa: RUF012

    def draw(self, context: bpy.types.Context) -> None:
        layout, clip = self.layout, edited_clip(context)
        face = active_face(clip) if clip is not None else None
        if clip is None or face is None or not face.job:
            layout.label(text="Track the clip first", icon="INFO")
            return
        state = clip_state(clip)
        column = layout.column()
        column.use_property_split = True
        column.use_property_decorate = False
        column.prop(state, "picture")
        column.prop(state, "blend")
        column.prop(state, "as_decal")
        if state.as_decal:
            column.prop(state, "decal_width")
            column.prop(state, "decal_rotation")
            column.label(text="It lies where the selected track is", icon="INFO")
        layout.operator("facequery.project", icon="TEXTURE")
        self._draw_written(context, "project")
        layout.separator()
        layout.label(text="Mattes", icon="MOD_MASK")
        grid = layout.grid_flow(columns=3, even_columns=True, align=True)
        grid.prop(state, "matte_regions")
        row = layout.row(align=True)
        row.prop(state, "matte_suffix", expand=True)
        layout.operator("facequery.write_mattes", icon="IMAGE_ALPHA")
        self._draw_written(context, "mattes")
        layout.separator()
        layout.operator("facequery.write_stmaps", icon="UV")
        self._draw_written(context, "stmaps")

    def _draw_written(self, context: bpy.types.Context, topic: str) -> None:
        call = backend.call_of(topic)
        if not draw_call(self.layout, context, topic) and call is not None and call.state is State.READY:
            row = self.layout.row()
            row.label(text=f"{len(call.result['files']):,} files written", icon="CHECKMARK")
            row.operator("facequery.open_job_folder", text="", icon="FILE_FOLDER")


_classes = (ProjectPanel,)


def register() -> None:
    for cls in _classes:
        bpy.utils.register_class(cls)


def unregister() -> None:
    for cls in reversed(_classes):
        bpy.utils.unregister_class(cls)
