"""The Correct panel of the Movie Clip Editor."""

import bpy
import numpy as np

from ..core.corrections import Corrections
from ..host import correcting, jobs
from ..host.clip import frame_map
from ..host.clip_state import FaceState
from ..host.registration import registration
from .panels import ResultsPanel


class CorrectPanel(ResultsPanel, bpy.types.Panel):
    bl_idname = "FACEQUERY_PT_correct"
    bl_label = "Correct"
    bl_order = 4

    def draw_results(self, context: bpy.types.Context, clip: bpy.types.MovieClip, face: FaceState) -> None:
        layout = self.layout
        self._draw_quality(context, clip, face)
        row = layout.row(align=True)
        row.operator("facequery.pin_markers", icon="PINNED")
        row.operator("facequery.key_pose", icon="KEY_HLT")
        stored = Corrections.from_text(face.corrections)
        if stored:
            layout.label(text=f"{len(stored.pins)} pins, {len(stored.poses)} poses", icon="KEYTYPE_KEYFRAME_VEC")
        layout.label(text="Clear")
        row = layout.row(align=True)
        for which, text in (("BEFORE", "Before"), ("BETWEEN", "Between"), ("AFTER", "After")):
            row.operator("facequery.clear_corrections", text=text).which = which
        row = layout.row(align=True)
        for which, text in (("HERE", "This Frame"), ("ALL", "All")):
            row.operator("facequery.clear_corrections", text=text).which = which
        run = jobs.run_of(clip)
        column = layout.column(align=True)
        column.enabled = run is None or not run.active
        column.operator("facequery.refine", text="Refine", icon="MOD_SMOOTH").scope = "HERE"
        column.operator("facequery.refine", text="Refine All", icon="FILE_REFRESH").scope = "ALL"

    def _draw_quality(self, context: bpy.types.Context, clip: bpy.types.MovieClip, face: FaceState) -> None:
        layout, quality = self.layout, correcting.quality(face)
        if quality is None:
            layout.label(text="The job's folder is gone", icon="ERROR")
            return
        row = layout.row(align=True)
        row.operator("facequery.worst_frame", text="", icon="TRIA_LEFT").direction = "PREVIOUS"
        row.label(text=f"{int(quality.bad.sum())} bad frames of {len(quality.frames)}")
        row.operator("facequery.worst_frame", text="", icon="TRIA_RIGHT").direction = "NEXT"
        index = int(frame_map(clip, quality.frames).index(context.scene.frame_current, "scene"))
        if index < 0:
            layout.label(text="No frame of the shot", icon="BLANK1")
        elif np.isfinite(quality.error[index]):
            bad = bool(quality.bad[index])
            layout.label(text=f"Error (px): {quality.error[index]:.2f}", icon="ERROR" if bad else "CHECKMARK")
        else:
            layout.label(text="The face was not seen", icon="ERROR")


register, unregister = registration(CorrectPanel)
