"""Operators that correct a fit: find the worst frames, pin, key, clear, refine."""

from typing import Any

import bpy
from bpy.props import EnumProperty

from ..core.corrections import around
from ..core.errors import AddonError
from ..host import correcting, jobs
from ..host.clip import stored_path
from ..host.clip_state import active_face
from ..host.registration import registration
from ..link.job_run import JobRun
from ..prefs import chosen_backend
from .context import NeedsResults, edited_clip
from .reporting import reports_errors
from .track import StartsJob


class WorstFrame(NeedsResults):
    bl_idname = "facequery.worst_frame"
    bl_label = "Worst Frame"
    bl_description = "Go to the next or the previous frame whose fit is worth a look"
    bl_options = {"REGISTER"}  # noqa: RUF012

    direction: EnumProperty(
        name="Direction", items=(("NEXT", "Next", "Later in time"), ("PREVIOUS", "Previous", "Earlier in time"))
    )

    @reports_errors
    def execute(self, context: bpy.types.Context) -> set[str]:
        shown = correcting.corrected(edited_clip(context))
        quality = correcting.quality(shown.face)
        worst = quality.worst() if quality is not None else []
        if not worst:
            raise AddonError("There are no bad frames.", code="FQ784")
        places = shown.frames.convert(worst, "file", "scene").tolist()
        now, later = context.scene.frame_current, self.direction == "NEXT"
        wanted = [frame for frame in places if (frame > now if later else frame < now)]
        target = (wanted[0] if later else wanted[-1]) if wanted else (places[0] if later else places[-1])
        context.scene.frame_set(int(target))
        return {"FINISHED"}


class PinMarkers(NeedsResults):
    bl_idname = "facequery.pin_markers"
    bl_label = "Pin"
    bl_description = (
        "Say that the selected tracks are right in this frame, where their markers are; "
        "a marker that you move is pinned by that, one that you mute is ignored"
    )
    bl_options = {"REGISTER", "UNDO"}  # noqa: RUF012

    @reports_errors
    def execute(self, context: bpy.types.Context) -> set[str]:
        shown = correcting.corrected(edited_clip(context))
        count = correcting.pin(shown, shown.file_of(context.scene))
        self.report({"INFO"}, f"{count} markers pinned")
        return {"FINISHED"}


class KeyPose(NeedsResults):
    bl_idname = "facequery.key_pose"
    bl_label = "Key Pose"
    bl_description = "Say that the fitted head stands right in this frame, as you moved or turned it in the 3D View"
    bl_options = {"REGISTER", "UNDO"}  # noqa: RUF012

    @reports_errors
    def execute(self, context: bpy.types.Context) -> set[str]:
        shown = correcting.corrected(edited_clip(context))
        correcting.key_pose(context.scene, shown, shown.file_of(context.scene))
        return {"FINISHED"}


class ClearCorrections(NeedsResults):
    bl_idname = "facequery.clear_corrections"
    bl_label = "Clear"
    bl_description = "Forget corrections: pins, keyed poses, and markers that were moved or muted"
    bl_options = {"REGISTER", "UNDO"}  # noqa: RUF012

    which: EnumProperty(
        name="Which",
        items=(
            ("BEFORE", "Before", "Before the current frame"),
            ("BETWEEN", "Between", "Between the keyed frames before and after the current one, without these"),
            ("AFTER", "After", "After the current frame"),
            ("HERE", "Here", "In the current frame"),
            ("ALL", "All", "In the whole shot"),
        ),
        default="ALL",
    )

    @reports_errors
    def execute(self, context: bpy.types.Context) -> set[str]:
        shown = correcting.corrected(edited_clip(context))
        first, last = int(shown.tracks.frames[0]), int(shown.tracks.frames[-1])
        if self.which != "ALL":
            now = shown.file_of(context.scene)
            if self.which == "BETWEEN":
                keyed = correcting.gathered(shown).keyed
                start, end = around(keyed, now, first, last)
                first, last = start + (start in keyed), end - (end in keyed)
            elif self.which == "HERE":
                first = last = now
            else:
                first, last = (first, now - 1) if self.which == "BEFORE" else (now + 1, last)
        count = correcting.clear(shown, first, last) if first <= last else 0
        self.report({"INFO"}, f"Cleared in {count} frames")
        return {"FINISHED"}


class Refine(NeedsResults, StartsJob):
    bl_idname = "facequery.refine"
    bl_label = "Refine"
    bl_description = "Fit again with the corrections, as a new version of the job; the tracks stay"
    bl_options = {"REGISTER", "UNDO"}  # noqa: RUF012

    scope: EnumProperty(
        name="Scope",
        items=(
            ("HERE", "Around This Frame", "From the keyed frame before to the one after; all other frames stay"),
            ("ALL", "All", "The whole shot"),
        ),
    )

    def start(self, context: bpy.types.Context) -> JobRun:
        clip, backend = edited_clip(context), chosen_backend(context)
        running = jobs.run_of(clip)
        if running is not None and running.active:
            raise AddonError("This face is being tracked already.", "Cancel it first.", "FQ772")
        shown = correcting.corrected(clip)
        if not shown.job.has("face"):
            raise AddonError("The job has no fitted face to refine.", "Track with Fit: Face switched on.", "FQ785")
        corrections = correcting.gathered(shown)
        if not corrections:
            raise AddonError("Nothing was corrected.", "Move a marker, pin one, or key a pose.", "FQ786")
        params: dict[str, Any] = {"corrections": corrections.document(shown.face.view)}
        if self.scope == "HERE":
            now, frames = shown.file_of(context.scene), shown.tracks.frames
            first, last = around(corrections.keyed, now, int(frames[0]), int(frames[-1]))
            params["frames"] = [first, last]
        return jobs.start(clip, correcting.next_job(shown, corrections), backend, "fit.run", **params)


class UseActor(NeedsResults):
    bl_idname = "facequery.use_actor"
    bl_label = "Keep Actor"
    bl_description = (
        "Take the person that this job learned for all further jobs of the face, in this shot and in others"
    )
    bl_options = {"REGISTER", "UNDO"}  # noqa: RUF012

    @reports_errors
    def execute(self, context: bpy.types.Context) -> set[str]:
        clip = edited_clip(context)
        face, shown = active_face(clip), correcting.corrected(clip)
        path = shown.job.folder / "actor.npz"
        if not path.is_file():
            raise AddonError("This job kept no actor.", "Fit the face first.", "FQ787")
        face.actor = stored_path(path)
        return {"FINISHED"}


register, unregister = registration(WorstFrame, PinMarkers, KeyPose, ClearCorrections, Refine, UseActor)
