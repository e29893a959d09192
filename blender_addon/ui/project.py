"""The Project panel of the Movie Clip Editor: pictures on the face, mattes, ST maps."""

import bpy

from ..host import backend
from ..host.clip_state import FaceState, clip_state
from ..host.registration import registration
from ..link.connection import State
from .calls import draw_call
from .panels import ResultsPanel, settings
from .presets import HasPresets


class ProjectPanel(HasPresets, ResultsPanel, bpy.types.Panel):
    presets = "project"
    bl_idname = "FACEQUERY_PT_project"
    bl_label = "Project"
    bl_order = 6
    bl_options = {"DEFAULT_CLOSED"}  # noqa: RUF012

    def draw_results(self, context: bpy.types.Context, clip: bpy.types.MovieClip, face: FaceState) -> None:
        layout = self.layout
        state = clip_state(clip)
        column = settings(layout)
        column.prop(state, "picture")
        column.prop(state, "blend")
        column.prop(state, "as_decal")
        if state.as_decal:
            column.prop(state, "decal_width")
            column.prop(state, "decal_rotation")
            column.label(text="It lies where the selected track is", icon="INFO")
        column.prop(state, "refine_picture")
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


register, unregister = registration(ProjectPanel)
