"""The Track panel of the Movie Clip Editor."""

import bpy

from ..host import jobs
from ..host.clip import MANY_TRACKS
from ..host.clip_state import active_face, clip_state
from ..host.points import has_points, summary
from ..host.registration import registration
from ..host.state import scene_state
from ..link.job_run import JobRun, State
from ..ops.context import edited_clip
from .calls import draw_call
from .panels import ClipPanel, settings
from .presets import HasPresets
from .text import draw_wrapped


class TrackPanel(HasPresets, ClipPanel, bpy.types.Panel):
    presets = "track"
    bl_idname = "FACEQUERY_PT_track"
    bl_label = "Track"
    bl_order = 3

    def draw(self, context: bpy.types.Context) -> None:
        layout = self.layout
        clip = edited_clip(context)
        face = active_face(clip) if clip is not None else None
        if clip is not None:
            self._draw_tracking(context, clip)
        for run in jobs.orphans():
            column = layout.column(align=True)
            column.label(text=f"Ready, but its clip is gone: {run.folder.parent.name} {run.folder.name}", icon="INFO")
            column.operator("facequery.apply_orphan", icon="CHECKMARK").folder = str(run.folder)
        if clip is not None:
            layout.operator("facequery.pick_point", icon="EYEDROPPER")
            draw_call(layout, context, "pick")
        row = layout.row(align=True)
        row.operator("facequery.import_job", icon="IMPORT")
        if face is not None:
            row.menu("FACEQUERY_MT_versions", text="", icon="DOWNARROW_HLT")
        if clip is None or face is None or not face.job:
            return
        layout.prop(face, "job", text="")
        target: bpy.types.MovieTrackingObject | None = clip.tracking.objects.get(face.tracking_object)
        if target is not None:
            count = len(target.tracks)
            layout.label(text=f"{count:,} tracks in {target.name}", icon="ERROR" if count > MANY_TRACKS else "TRACKER")
        state = clip_state(clip)
        layout.prop(state, "show_points")
        column = settings(layout)
        column.active = state.show_points
        column.prop(state, "color_by")
        column.prop(state, "point_size")

    def _draw_tracking(self, context: bpy.types.Context, clip: bpy.types.MovieClip) -> None:
        layout, state, run = self.layout, clip_state(clip), jobs.run_of(clip)
        if run is not None and run.active:
            draw_run(layout, run)
            return
        column = settings(layout)
        if has_points(context.scene):
            count = summary(scene_state(context.scene).points).count
            column.label(text=f"{count:,} points of the scene", icon="OUTLINER_OB_POINTCLOUD")
            column.prop(state, "face_layout")
        else:
            column.label(text="68 points (iBUG)", icon="OUTLINER_OB_POINTCLOUD")
        row = column.row(heading="Fit", align=True)
        row.prop(state, "fit_face", toggle=True)
        row.prop(state, "fit_skull", toggle=True)
        row.prop(state, "fit_jaw", toggle=True)
        if run is not None and run.state is State.READY:
            apply = layout.row()
            apply.scale_y = 1.4
            apply.operator("facequery.apply_results", icon="CHECKMARK")
        elif run is not None:
            text = str(run.error) if run.error else run.state.value
            draw_wrapped(layout, context, text, "ERROR" if run.error else "INFO")
        folder = jobs.unfinished(clip)
        if folder is not None and not jobs.ready(clip):
            layout.operator("facequery.resume_track", text=f"Go On with {folder.name}", icon="PLAY")
        layout.operator("facequery.track", text="Track Again" if run else "Track", icon="TRACKING_FORWARDS")


def draw_run(layout: bpy.types.UILayout, run: JobRun) -> None:
    """How far a job is, where it runs, and a button to stop it."""
    text = run.step or run.state.value
    if run.total:
        text += f"  {run.done}/{run.total}"
    layout.progress(factor=run.share, text=text)
    row = layout.row()
    row.label(text=f"{run.folder.name} on {run.device}" if run.device else run.folder.name)
    row.operator("facequery.cancel_track", icon="CANCEL")


class VersionsMenu(bpy.types.Menu):
    bl_idname = "FACEQUERY_MT_versions"
    bl_label = "Versions"
    bl_description = "Results of earlier runs"

    def draw(self, context: bpy.types.Context) -> None:
        clip = edited_clip(context)
        face = active_face(clip) if clip is not None else None
        found = jobs.versions(clip, face) if clip is not None and face is not None else []
        for folder in found:
            shown = face is not None and face.job.rstrip("/\\").endswith(folder.name)
            operator = self.layout.operator(
                "facequery.apply_version", text=folder.name, icon="CHECKMARK" if shown else "NONE"
            )
            operator.version = folder.name
        if not found:
            self.layout.label(text="No version is done")


register, unregister = registration(VersionsMenu, TrackPanel)
