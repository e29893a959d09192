"""Exporting a job's results to other applications, through the backend."""

from typing import Any

import bpy
import numpy as np
from bpy.props import BoolProperty, EnumProperty, IntProperty, StringProperty

from ..core.errors import AddonError
from ..host import correcting
from ..host.clip_state import EXPORTS, clip_state
from ..host.registration import registration
from ..prefs import chosen_backend
from .context import NeedsResults, edited_clip
from .reporting import reports_errors
from .writing import WritesFiles


class Export(WritesFiles):
    bl_idname = "facequery.export"
    bl_label = "Export"
    bl_description = "Write the results of the active face for another application, into the export folder of its job"
    topic, method = "export", "export.write"

    format: EnumProperty(name="Format", items=EXPORTS)
    filepath: StringProperty(name="File", description="Empty: export/ in the job's folder", subtype="FILE_PATH")
    selected: BoolProperty(name="Selected Tracks", description="Leave out the tracks that are not selected")
    undistorted: BoolProperty(name="Undistorted", description="Points as if the lens were ideal")
    keep_hidden: BoolProperty(name="Hidden Points", description="Write points also where they are hidden")
    start: IntProperty(
        name="First Frame", description="Number of the first frame in the file; -1: as in the plate", default=-1, min=-1
    )

    def params(self, context: bpy.types.Context, shown: correcting.Corrected) -> dict[str, Any]:
        out = bpy.path.abspath(self.filepath) if self.filepath else None
        asked: dict[str, Any] = {
            "format": self.format,
            "out": chosen_backend(context).paths.to_remote(out) if out else None,
            "view": shown.face.view,
            "undistorted": self.undistorted,
            "keep_hidden": self.keep_hidden,
            "start": self.start if self.start >= 0 else None,
        }
        if self.format == "nuke-cornerpin":
            asked["quads"] = [_quad(shown, context.scene)]
        elif self.selected:
            asked["points"] = _selected(shown)
        return asked

    def panel_settings(self, context: bpy.types.Context) -> None:
        state = clip_state(edited_clip(context))
        self.format, self.selected = state.export_format, state.export_selected
        self.undistorted, self.keep_hidden = state.export_undistorted, state.export_hidden


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


register, unregister = registration(Export, OpenJobFolder)
