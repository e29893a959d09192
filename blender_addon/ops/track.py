"""Operators that have the backend track a clip, and that bring what it found into the file."""

import time
from pathlib import Path

import bpy
from bpy.props import IntProperty, StringProperty

from ..core.errors import AddonError
from ..host import jobs, pump
from ..host.clip_state import FaceState, active_face, clip_state, face_of_number
from ..host.registration import registration
from ..link.job_run import JobRun, State
from ..prefs import chosen_backend, preferences
from .context import NeedsClip, edited_clip
from .reporting import reports_errors
from .waiting import Waits


class StartsJob(Waits):
    """An operator that starts a job, which is applied when a script waits for it."""

    def start(self, context: bpy.types.Context) -> JobRun:
        """Start the job. Raises AddonError."""
        raise NotImplementedError

    @reports_errors
    def execute(self, context: bpy.types.Context) -> set[str]:
        run = self.start(context)
        return _finished(run, self.timeout) if self.wait else {"FINISHED"}


def _finished(run: JobRun, timeout: float) -> set[str]:
    """Wait for a job, and apply it. Raises AddonError when it fails or takes too long."""
    until = time.monotonic() + timeout
    while run.active:
        pump.pump()
        if time.monotonic() > until:
            run.close()
            raise AddonError(f"The job was not done after {timeout:g} seconds.", "Press Go On.", "FQ773")
        time.sleep(0.05)
    if run.error is not None:
        raise run.error
    if run.state is not State.READY:
        return {"CANCELLED"}
    if not jobs.waits(run):  # applied by itself
        return {"FINISHED"}
    return bpy.ops.facequery.apply_results()  # type: ignore[attr-defined]


class Track(NeedsClip, StartsJob):
    bl_idname = "facequery.track"
    bl_label = "Track"
    bl_description = "Have the backend track the clip; Blender can be used meanwhile"
    bl_options = {"REGISTER", "UNDO"}  # noqa: RUF012

    def start(self, context: bpy.types.Context) -> JobRun:
        backend, clip = chosen_backend(context), edited_clip(context)
        return jobs.start(clip, jobs.make_job(context.scene, clip, backend), backend)


class ResumeTrack(NeedsClip, StartsJob):
    bl_idname = "facequery.resume_track"
    bl_label = "Go On"
    bl_description = "Start the backend again on the job that was cancelled or failed; it goes on where it was"

    def start(self, context: bpy.types.Context) -> JobRun:
        clip = edited_clip(context)
        folder = jobs.unfinished(clip)
        if folder is None:
            raise AddonError("There is no job to go on with.", code="FQ774")
        return jobs.start(clip, folder, chosen_backend(context))


class CancelTrack(NeedsClip):
    bl_idname = "facequery.cancel_track"
    bl_label = "Cancel"
    bl_description = "Stop the backend; what is finished stays, and the second time ends it at once"

    @reports_errors
    def execute(self, context: bpy.types.Context) -> set[str]:
        run = jobs.run_of(edited_clip(context))
        if run is None or not run.active:
            raise AddonError("Nothing is running.", code="FQ774")
        run.cancel()
        return {"FINISHED"}


class _AppliesResults(bpy.types.Operator):
    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if not len(bpy.data.movieclips):
            cls.poll_message_set("Open a movie clip first")
            return False
        if context.mode != "OBJECT":  # undoing in Edit Mode would leave the tracks where they are
            cls.poll_message_set("Leave the current mode for Object Mode")
            return False
        return True


class ApplyResults(_AppliesResults):
    bl_idname = "facequery.apply_results"
    bl_label = "Ready: Apply"
    bl_description = "Bring tracks, camera, face, skull and jaw of the finished job into the file"
    bl_options = {"REGISTER", "UNDO"}  # noqa: RUF012

    clip: StringProperty(name="Clip", description="Empty: the one that is edited", options={"SKIP_SAVE"})
    face: IntProperty(name="Face", description="Number of the face; 0: the active one", options={"SKIP_SAVE"})

    @reports_errors
    def execute(self, context: bpy.types.Context) -> set[str]:
        clip: bpy.types.MovieClip | None = bpy.data.movieclips.get(self.clip) if self.clip else edited_clip(context)
        face = None
        if clip is not None:
            face = face_of_number(clip, self.face) if self.face else active_face(clip)
        run = jobs.run_of(clip, face) if clip is not None and face is not None else None
        if clip is None or face is None or run is None or run.state is not State.READY:
            raise AddonError("The face has no finished job.", "Track it first.", "FQ774")
        result = _import(clip, face, run.folder)
        if result == {"FINISHED"}:
            jobs.applied(run, face)
        return result


def _import(clip: bpy.types.MovieClip, face: FaceState, folder: Path) -> set[str]:
    """Import a job for a face, and the tracks and cameras of the other views for their clips."""
    state, operator = clip_state(clip), bpy.ops.facequery.import_job  # type: ignore[attr-defined]
    camera = state.camera.name if state.camera is not None else ""
    result: set[str] = operator(
        filepath=str(folder), clip=clip.name, target_face=face.number, existing_camera=camera, replace=True
    )
    others = [view.clip for view in state.views if view.clip is not None]
    for view, other in enumerate(others, 2):
        if result != {"FINISHED"} or not (folder / f"view{view}").is_dir():
            break
        own = clip_state(other).camera
        result = operator(
            filepath=str(folder), clip=other.name, view=view, face="NONE", skull=False, jaw=False,
            existing_camera=own.name if own is not None else "", replace=True,
        )  # fmt: skip
    return result


class ApplyVersion(_AppliesResults):
    bl_idname = "facequery.apply_version"
    bl_label = "Apply Version"
    bl_description = "Bring the results of this version of the job into the file"
    bl_options = {"REGISTER", "UNDO"}  # noqa: RUF012

    version: StringProperty(name="Version", description="Name of its folder, such as v002", options={"SKIP_SAVE"})

    @reports_errors
    def execute(self, context: bpy.types.Context) -> set[str]:
        clip = edited_clip(context)
        face = active_face(clip)
        found = {path.name: path for path in jobs.versions(clip, face)} if face is not None else {}
        if face is None or self.version not in found:
            raise AddonError(f'There is no version "{self.version}" of this face.', "Track it first.", "FQ774")
        return _import(clip, face, found[self.version])


class ApplyOrphan(bpy.types.Operator):
    bl_idname = "facequery.apply_orphan"
    bl_label = "Apply"
    bl_description = "Bring the results of a job whose clip was deleted into the file, with its clip"
    bl_options = {"REGISTER", "UNDO"}  # noqa: RUF012

    folder: StringProperty(name="Folder", options={"SKIP_SAVE"})

    @reports_errors
    def execute(self, context: bpy.types.Context) -> set[str]:
        run = next((run for run in jobs.orphans() if str(run.folder) == self.folder), None)
        if run is None:
            raise AddonError("There is no such job.", code="FQ774")
        result: set[str] = bpy.ops.facequery.import_job(filepath=str(run.folder))  # type: ignore[attr-defined]
        if result == {"FINISHED"}:
            jobs.applied(run, None)
        return result


_register, _unregister = registration(Track, ResumeTrack, CancelTrack, ApplyResults, ApplyVersion, ApplyOrphan)


def _wanted() -> bool:
    prefs = preferences(bpy.context)
    return prefs is not None and prefs.apply_by_itself


def register() -> None:
    jobs.apply_when(_wanted)
    _register()


def unregister() -> None:
    jobs.apply_when(None)
    _unregister()
