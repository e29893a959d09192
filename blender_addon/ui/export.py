"""The Export panel of the Movie Clip Editor."""

from pathlib import Path

import bpy

from ..host import backend
from ..host.clip_state import FaceState, clip_state
from ..host.registration import registration
from ..link.connection import State
from .calls import draw_call
from .panels import ResultsPanel, settings
from .presets import HasPresets

_TRACKS = ("nuke", "after-effects", "3dequalizer", "syntheyes", "pftrack", "mmsolver", "csv", "json")


class ExportPanel(HasPresets, ResultsPanel, bpy.types.Panel):
    presets = "export"
    bl_idname = "FACEQUERY_PT_export"
    bl_label = "Export"
    bl_order = 7
    bl_options = {"DEFAULT_CLOSED"}  # noqa: RUF012

    def draw_results(self, context: bpy.types.Context, clip: bpy.types.MovieClip, face: FaceState) -> None:
        layout = self.layout
        state = clip_state(clip)
        column = settings(layout)
        column.prop(state, "export_format")
        if state.export_format in _TRACKS:
            column.prop(state, "export_selected")
            column.prop(state, "export_undistorted")
            column.prop(state, "export_hidden")
        elif state.export_format == "nuke-cornerpin":
            column.label(text="Select the four tracks", icon="INFO")
        row = layout.row(align=True)
        row.operator("facequery.export", icon="EXPORT")
        row.operator("facequery.open_job_folder", text="", icon="FILE_FOLDER")
        call = backend.call_of("export")
        if not draw_call(layout, context, "export") and call is not None and call.state is State.READY:
            for file in call.result["files"]:
                layout.label(text=Path(file).name, icon="CHECKMARK")


register, unregister = registration(ExportPanel)
