"""The Export panel of the Movie Clip Editor."""

from pathlib import Path

import bpy

from ..host import backend
from ..host.clip_state import active_face, clip_state
from ..link.connection import State
from ..ops.context import edited_clip
from .calls import draw_call
from .status import CATEGORY

_TRACKS = ("nuke", "after-effects", "3dequalizer", "syntheyes", "pftrack", "mmsolver", "csv", "json")


class ExportPanel(bpy.types.Panel):
    bl_idname = "FACEQUERY_PT_export"
    bl_label = "Export"
    bl_space_type = "CLIP_EDITOR"
    bl_region_type = "UI"
    bl_category = CATEGORY
    bl_order = 7
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


_classes = (ExportPanel,)


def register() -> None:
    for cls in _classes:
        bpy.utils.register_class(cls)


def unregister() -> None:
    for cls in reversed(_classes):
        bpy.utils.unregister_class(cls)
