"""Exporting a job's results to other applications, through the backend."""

from pathlib import Path
from typing import Any

import bpy
import numpy as np
from bpy.props import BoolProperty, EnumProperty, FloatProperty, IntProperty, StringProperty

from ..core.errors import AddonError
from ..host import backend, correcting
from ..host.clip_state import EXPORTS, clip_state
from ..prefs import chosen_backend
from .context import NeedsResults, edited_clip
from .reporting import reports_errors

_EXISTS = "FQ501"  # the backend's number for a file that is there already


class Export(NeedsResults):
    bl_idname = "facequery.export"
    bl_label = "Export"
    bl_description = "Write the results of the active face for another application, into the export folder of its job"

    format: EnumProperty(name="Format", items=EXPORTS)
    filepath: StringProperty(name="File", description="Empty: export/ in the job's folder", subtype="FILE_PATH")
    selected: BoolProperty(name="Selected Tracks", description="Leave out the tracks that are not selected")
    undistorted: BoolProperty(name="Undistorted", description="Points as if the lens were ideal")
    keep_hidden: BoolProperty(name="Hidden Points", description="Write points also where they are hidden")
    start: IntProperty(name="First Frame", description="Number of the first frame in the file; -1: as in the plate",
                       default=-1, min=-1)  # fmt: skip
    overwrite: BoolProperty(name="Overwrite", description="Replace a file that is there")
    wait: BoolProperty(name="Wait", description="Return when the file is written, for scripts", default=True)
    timeout: FloatProperty(name="Time Limit", description="Seconds to wait for at most", default=600.0, min=1.0)

    @reports_errors
    def execute(self, context: bpy.types.Context) -> set[str]:
        chosen, shown = chosen_backend(context), correcting.corrected(edited_clip(context))
        paths = chosen.paths
        params: dict[str, Any] = {
            "folder": paths.to_remote(shown.job.folder),
            "format": self.format,
            "out": paths.to_remote(bpy.path.abspath(self.filepath)) if self.filepath else None,
            "view": shown.face.view,
            "undistorted": self.undistorted,
            "keep_hidden": self.keep_hidden,
            "start": self.start if self.start >= 0 else None,
            "overwrite": self.overwrite,
        }
        if self.format == "nuke-cornerpin":
            params["quads"] = [_quad(shown, context.scene)]
        elif self.selected:
            params["points"] = _selected(shown)
        call = backend.ask(chosen, "export", "export.write", params, lambda answer: None)
        if self.wait:
            backend.wait(call, self.timeout)
            for note in call.result.get("notes", []):
                self.report({"WARNING"}, str(note))
            self.report({"INFO"}, f"Written: {', '.join(Path(f).name for f in call.result['files'])}")
        return {"FINISHED"}

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        state, call = clip_state(edited_clip(context)), backend.call_of("export")
        self.format, self.selected = state.export_format, state.export_selected
        self.undistorted, self.keep_hidden = state.export_undistorted, state.export_hidden
        # Asked again after the refusal, the artist means it.
        refused = call is not None and call.error is not None and call.error.code == _EXISTS
        self.overwrite = refused and call is not None and call.params.get("format") == self.format
        self.wait = False
        return self.execute(context)


def _selected(shown: correcting.Corrected) -> list[str]:
    tracks = correcting.tracks_in(shown.clip, shown.face)
    chosen = [identifier for identifier, track in tracks.items() if track is not None and track.select]
    if not chosen:
        raise AddonError("No track of this face is selected.", "Select tracks in the clip.", "FQ782")
    return chosen


def _quad(shown: correcting.Corrected, scene: bpy.types.Scene) -> list[str]:
    """The four selected tracks as lower left, lower right, upper right, upper left in the current frame."""
    chosen = _selected(shown)
    if len(chosen) != 4:
        raise AddonError(f"A corner pin needs four tracks, {len(chosen)} are selected.", "Select four.", "FQ788")
    row = int(np.flatnonzero(shown.tracks.frames == shown.file_of(scene))[0])
    columns = [shown.tracks.ids.index(identifier) for identifier in chosen]
    xy = shown.tracks.xy[row, columns] - shown.tracks.xy[row, columns].mean(axis=0)
    if not np.isfinite(xy).all():
        raise AddonError("The face is not seen in this frame.", "Go to a frame where it is.", "FQ788")
    # Round the middle in the picture, where y grows downwards, from the lower left over the lower right.
    order = np.argsort(-np.arctan2(xy[:, 1], xy[:, 0]))
    start = int(np.argmin(xy[order] @ np.array([1.0, -1.0])))
    return [chosen[i] for i in np.roll(order, -start)]


class OpenJobFolder(NeedsResults):
    bl_idname = "facequery.open_job_folder"
    bl_label = "Open Folder"
    bl_description = "Show the job's folder, with all that was written into it"

    @reports_errors
    def execute(self, context: bpy.types.Context) -> set[str]:
        shown = correcting.corrected(edited_clip(context))
        return bpy.ops.wm.path_open(filepath=str(shown.job.folder))


_classes = (Export, OpenJobFolder)


def register() -> None:
    for cls in _classes:
        bpy.utils.register_class(cls)


def unregister() -> None:
    for cls in reversed(_classes):
        bpy.utils.unregister_class(cls)
