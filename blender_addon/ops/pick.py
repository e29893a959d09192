"""Picking on the plate: a click in the clip editor becomes a point of the head."""

from pathlib import Path
from typing import Any

import bpy
import numpy as np
from bpy.props import FloatVectorProperty, StringProperty

from ..core.errors import AddonError
from ..host import backend, jobs, placing
from ..host.clip import frame_map
from ..host.clip_state import the_face
from ..host.head import has_head
from ..host.registration import registration
from ..link.lookup import Backend
from ..prefs import chosen_backend
from .context import edited_clip
from .reporting import reports_errors
from .shot import as_filmed, plate_pixels
from .waiting import Waits

_GROUP = "picked"
_folders: dict[tuple[Any, ...], Path] = {}


class PickPoint(Waits):
    bl_idname = "facequery.pick_point"
    bl_label = "Pick Points"
    bl_description = (
        "Click on the face in the plate: the point of the head that is seen there is added to the scene's points. "
        "Right-click or Escape ends it"
    )
    bl_options = {"REGISTER", "UNDO"}  # noqa: RUF012

    place: FloatVectorProperty(name="Place", description="x, y in plate pixels", size=2, options={"SKIP_SAVE"})
    name: StringProperty(name="Name", options={"SKIP_SAVE"})

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if edited_clip(context) is None:
            cls.poll_message_set("Open a movie clip first")
            return False
        if not has_head(context.scene):
            cls.poll_message_set("Add a head first, in the 3D View")
            return False
        return True

    @reports_errors
    def execute(self, context: bpy.types.Context) -> set[str]:
        clip, chosen = edited_clip(context), chosen_backend(context)
        face = the_face(clip)
        files = jobs.clip_files(clip) or (1, max(1, clip.frame_duration))
        frames = frame_map(clip, np.arange(files[0], files[1] + 1))
        row = int(frames.index(context.scene.frame_current, "scene"))
        if row < 0:
            raise AddonError("The shot has no such frame.", "Go to a frame of the shot.", "FQ780")
        x, y = self.place
        mark = {"frame": int(frames.files[row]), "x": x, "y": y, "name": self.name or "1"}
        folder = _folder(context.scene, clip, chosen)
        params = {"folder": chosen.paths.to_remote(folder), "marks": [mark], "view": face.view}
        scene, name, push = context.scene.name, self.name, not self.wait
        call = backend.ask(
            chosen, "pick", "pick.points", params, lambda answer: _add(scene, name, push, answer), alone=False
        )
        if self.wait:
            backend.wait(call, self.timeout)
            for note in call.result.get("notes", []):
                self.report({"WARNING"}, str(note))
        return {"FINISHED"}

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        problem = as_filmed(context, edited_clip(context))
        if problem:
            self.report({"ERROR"}, problem)
            return {"CANCELLED"}
        context.window.cursor_modal_set("EYEDROPPER")
        context.window_manager.modal_handler_add(self)
        context.workspace.status_text_set("Click: pick a point    Right-click or Escape: done")
        return {"RUNNING_MODAL"}

    def modal(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        region = context.region
        inside = 0 <= event.mouse_region_x < region.width and 0 <= event.mouse_region_y < region.height
        if event.type in ("ESC", "RIGHTMOUSE", "RET") or (event.type == "LEFTMOUSE" and not inside):
            context.window.cursor_modal_restore()
            context.workspace.status_text_set(None)
            return {"FINISHED"}
        if event.type == "LEFTMOUSE" and event.value == "PRESS":
            self.place = plate_pixels(context, event, edited_clip(context)).tolist()
            self.wait = False
            if self.execute(context) == {"CANCELLED"}:
                context.window.cursor_modal_restore()
                context.workspace.status_text_set(None)
                return {"CANCELLED"}
            return {"RUNNING_MODAL"}
        return {"PASS_THROUGH"}


def _folder(scene: bpy.types.Scene, clip: bpy.types.MovieClip, chosen: Backend) -> Path:
    """A job's folder in which the backend looks at the clip: that of the results, or one made for picking."""
    face = the_face(clip)
    done = Path(bpy.path.abspath(face.job)) if face.job else None
    if done is not None and (done / "job.json").is_file():
        return done
    region = tuple(face.region) if face.use_region else ()
    key = (clip.session_uid, face.number, face.which, region, clip.filepath)
    if key not in _folders or not (_folders[key] / "job.json").is_file():
        _folders[key] = jobs.make_job(scene, clip, chosen, jobs.jobs_folder(clip, face) / "pick")
    return _folders[key]


def _add(scene_name: str, name: str, push_undo: bool, answer: dict[str, Any]) -> None:
    scene: bpy.types.Scene | None = bpy.data.scenes.get(scene_name)
    if scene is None or not has_head(scene):
        return  # deleted meanwhile
    for point in answer["points"]:
        placing.place(scene, np.array(point["position"], np.float64), name=name, group=_GROUP)
    if push_undo:
        bpy.ops.ed.undo_push(message="Pick Point")


register, _unregister = registration(PickPoint)


def unregister() -> None:
    _folders.clear()
    _unregister()
