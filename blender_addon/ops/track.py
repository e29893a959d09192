"""Operators that have the backend track a clip."""

import time

import bpy
from bpy.props import BoolProperty, FloatProperty

from ..core.errors import AddonError
from ..host import jobs
from ..link.job_run import JobRun, State
from ..link.lookup import find_backend
from ..prefs import preferences
from .reporting import reports_errors
from .results import edited_clip


class _NeedsClip(bpy.types.Operator):
    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if edited_clip(context) is None:
            cls.poll_message_set("Open a movie clip first")
            return False
        return True


def _finished(run: JobRun, timeout: float) -> set[str]:
    """Wait for a job, and apply it. Raises AddonError when it fails or takes too long."""
    until = time.monotonic() + timeout
    while jobs.pump():
        if time.monotonic() > until:
            run.close()
            raise AddonError(f"The job was not done after {timeout:g} seconds.", "Press Go On.", "FQ773")
        time.sleep(0.05)
    if run.error is not None:
        raise run.error
    if run.state is not State.READY:
        return {"CANCELLED"}
    return bpy.ops.facequery.apply_results()  # type: ignore[attr-defined]


class Track(_NeedsClip):
    bl_idname = "facequery.track"
    bl_label = "Track"
    bl_description = "Have the backend track the clip; Blender can be used meanwhile"

    wait: BoolProperty(name="Wait", description="Return when the job is done and applied, for scripts", default=True)
    timeout: FloatProperty(name="Time Limit", description="Seconds to wait for at most", default=3600.0, min=1.0)

    @reports_errors
    def execute(self, context: bpy.types.Context) -> set[str]:
        run = self._start(context)
        return _finished(run, self.timeout) if self.wait else {"FINISHED"}

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        self.wait = False
        return self.execute(context)

    def _start(self, context: bpy.types.Context) -> JobRun:
        prefs = preferences(context)
        backend = find_backend(prefs.backend if prefs else "")
        clip = edited_clip(context)
        return jobs.start(clip, jobs.make_job(context.scene, clip), backend)


class CancelTrack(_NeedsClip):
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


class ResumeTrack(_NeedsClip):
    bl_idname = "facequery.resume_track"
    bl_label = "Go On"
    bl_description = "Start the backend again on the job that was cancelled or failed; it goes on where it was"

    wait: BoolProperty(name="Wait", description="Return when the job is done and applied, for scripts", default=True)
    timeout: FloatProperty(name="Time Limit", description="Seconds to wait for at most", default=3600.0, min=1.0)

    @reports_errors
    def execute(self, context: bpy.types.Context) -> set[str]:
        clip = edited_clip(context)
        folder = jobs.unfinished(clip)
        if folder is None:
            raise AddonError("There is no job to go on with.", code="FQ774")
        prefs = preferences(context)
        run = jobs.start(clip, folder, find_backend(prefs.backend if prefs else ""))
        return _finished(run, self.timeout) if self.wait else {"FINISHED"}

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        self.wait = False
        return self.execute(context)


class ApplyResults(_NeedsClip):
    bl_idname = "facequery.apply_results"
    bl_label = "Ready: Apply"
    bl_description = "Bring tracks, camera, face, skull and jaw of the finished job into the file"
    bl_options = {"REGISTER", "UNDO"}  # noqa: RUF012

    @reports_errors
    def execute(self, context: bpy.types.Context) -> set[str]:
        clip = edited_clip(context)
        if not jobs.ready(clip):
            raise AddonError("The clip has no finished job.", "Track it first.", "FQ774")
        run = jobs.run_of(clip)
        result: set[str] = bpy.ops.facequery.import_job(filepath=str(run.folder), clip=clip.name)  # type: ignore[attr-defined]
        if result == {"FINISHED"}:
            jobs.applied(clip)
        return result


_classes = (Track, CancelTrack, ResumeTrack, ApplyResults)


def register() -> None:
    for cls in _classes:
        bpy.utils.register_class(cls)


def unregister() -> None:
    for cls in reversed(_classes):
        bpy.utils.unregister_class(cls)
