"""Operators of the shot: its faces, their regions, and further views."""

from typing import Any

import bpy
import gpu
import numpy as np
from bpy.props import BoolProperty, FloatVectorProperty, IntProperty

from ..core.errors import AddonError
from ..host import jobs
from ..host.clip_drawing import draw_box
from ..host.clip_state import active_face, add_face, clip_state, the_face
from ..host.compat import existing_fcurves
from ..host.registration import registration
from .context import NeedsClip, edited_clip
from .reporting import reports_errors

_SMALLEST = 4.0  # pixels: a smaller box was a click


class AddFace(NeedsClip):
    bl_idname = "facequery.add_face"
    bl_label = "Add Face"
    bl_description = "Add a face of the clip, with a region and jobs of its own"
    bl_options = {"REGISTER", "UNDO"}  # noqa: RUF012

    @reports_errors
    def execute(self, context: bpy.types.Context) -> set[str]:
        add_face(edited_clip(context))
        return {"FINISHED"}


class RemoveFace(NeedsClip):
    bl_idname = "facequery.remove_face"
    bl_label = "Remove Face"
    bl_description = "Remove the active face from the list; its jobs stay in their folders"
    bl_options = {"REGISTER", "UNDO"}  # noqa: RUF012

    @reports_errors
    def execute(self, context: bpy.types.Context) -> set[str]:
        clip = edited_clip(context)
        state = clip_state(clip)
        if not len(state.faces):
            raise AddonError("There is no face to remove.", code="FQ738")
        state.faces.remove(min(state.active_face, len(state.faces) - 1))
        state.active_face = max(0, min(state.active_face, len(state.faces) - 1))
        return {"FINISHED"}


def as_filmed(context: bpy.types.Context, clip: bpy.types.MovieClip) -> str:
    """Why the plate cannot be clicked on in this editor; empty when it can."""
    space = context.space_data
    if not isinstance(space, bpy.types.SpaceClipEditor) or not all(clip.size):
        return "Do this in the Movie Clip Editor, over the plate. (FQ779)"
    if space.clip_user.use_render_undistorted or space.show_stable:
        return "Show the plate as filmed: switch off Undistorted and Stabilize. (FQ779)"
    return ""


def plate_pixels(context: bpy.types.Context, event: bpy.types.Event, clip: bpy.types.MovieClip) -> np.ndarray:
    """The place (2,) under the mouse in plate pixels, inside of the plate."""
    x, y = context.region.view2d.region_to_view(event.mouse_region_x, event.mouse_region_y)
    width, height = tuple(clip.size)
    return np.array([np.clip(x, 0, 1) * width, (1 - np.clip(y, 0, 1)) * height])


class DrawRegion(NeedsClip):
    bl_idname = "facequery.draw_region"
    bl_label = "Draw Region"
    bl_description = "Drag a box over the face on the plate; with keys, at every frame where it is drawn"
    bl_options = {"REGISTER", "UNDO"}  # noqa: RUF012

    region: FloatVectorProperty(
        name="Region", description="x, y, width, height in plate pixels", size=4, options={"SKIP_SAVE"}
    )
    key: BoolProperty(name="Key", description="Set a key at the current frame, so that the region moves with the face")
    _handle: Any = None
    _corners: "list[np.ndarray] | None" = None

    @reports_errors
    def execute(self, context: bpy.types.Context) -> set[str]:
        clip = edited_clip(context)
        if self.region[2] < _SMALLEST or self.region[3] < _SMALLEST:
            raise AddonError("The region is empty.", "Drag a box over the face.", "FQ778")
        face = the_face(clip)
        face.use_region, face.region = True, self.region
        path = face.path_from_id("region")
        if self.key or any(curve.data_path == path for curve in existing_fcurves(clip)):
            _key_region(clip, path, context.scene.frame_current)
        return {"FINISHED"}

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        problem = as_filmed(context, edited_clip(context))
        if problem:
            self.report({"ERROR"}, problem)
            return {"CANCELLED"}
        self._corners = None
        self._handle = bpy.types.SpaceClipEditor.draw_handler_add(self._draw, (context,), "WINDOW", "POST_PIXEL")
        context.window.cursor_modal_set("CROSSHAIR")
        context.window_manager.modal_handler_add(self)
        return {"RUNNING_MODAL"}

    def modal(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        context.area.tag_redraw()
        if event.type in ("ESC", "RIGHTMOUSE"):
            self._end(context)
            return {"CANCELLED"}
        place = plate_pixels(context, event, edited_clip(context))
        if event.type == "LEFTMOUSE" and event.value == "PRESS":
            self._corners = [place, place]
        elif event.type == "MOUSEMOVE" and self._corners is not None:
            self._corners[1] = place
        elif event.type == "LEFTMOUSE" and event.value == "RELEASE" and self._corners is not None:
            self._corners[1] = place
            self.region = self._box()
            self._end(context)
            return self.execute(context)
        return {"RUNNING_MODAL"}

    def _box(self) -> tuple[float, float, float, float]:
        assert self._corners is not None
        low, high = np.minimum(*self._corners), np.maximum(*self._corners)
        return float(low[0]), float(low[1]), float(high[0] - low[0]), float(high[1] - low[1])

    def _draw(self, context: bpy.types.Context) -> None:
        if self._corners is None:
            return
        view = context.region.view2d
        (x0, y0), (x1, y1) = view.view_to_region(0.0, 0.0, clip=False), view.view_to_region(1.0, 1.0, clip=False)
        gpu.state.blend_set("NONE")
        draw_box(self._box(), tuple(edited_clip(context).size), np.array([[x1 - x0, y0 - y1], [x0, y1]], np.float64))

    def _end(self, context: bpy.types.Context) -> None:
        bpy.types.SpaceClipEditor.draw_handler_remove(self._handle, "WINDOW")
        context.window.cursor_modal_restore()


def _key_region(clip: bpy.types.MovieClip, path: str, frame: int) -> None:
    clip.keyframe_insert(path, frame=frame)
    for curve in existing_fcurves(clip):
        if curve.data_path == path:
            for key in curve.keyframe_points:
                key.interpolation = "LINEAR"


class KeyRegion(NeedsClip):
    bl_idname = "facequery.key_region"
    bl_label = "Key Region"
    bl_description = "Set a key for the region of the active face at the current frame"
    bl_options = {"REGISTER", "UNDO"}  # noqa: RUF012

    @reports_errors
    def execute(self, context: bpy.types.Context) -> set[str]:
        clip = edited_clip(context)
        face = active_face(clip)
        if face is None or not face.use_region:
            raise AddonError("The face has no region.", "Draw one first.", "FQ778")
        # Where the curves are, not where it was last set by hand: a key must not make it jump.
        face.region = jobs.region_at(clip, face, context.scene.frame_current)
        _key_region(clip, face.path_from_id("region"), context.scene.frame_current)
        return {"FINISHED"}


class AddView(NeedsClip):
    bl_idname = "facequery.add_view"
    bl_label = "Add View"
    bl_description = "Add another camera's clip of the same performance, with the same frame numbers"
    bl_options = {"REGISTER", "UNDO"}  # noqa: RUF012

    @reports_errors
    def execute(self, context: bpy.types.Context) -> set[str]:
        clip_state(edited_clip(context)).views.add()
        return {"FINISHED"}


class RemoveView(NeedsClip):
    bl_idname = "facequery.remove_view"
    bl_label = "Remove View"
    bl_description = "Remove the view from the shot; the clip stays"
    bl_options = {"REGISTER", "UNDO"}  # noqa: RUF012

    index: IntProperty(name="View", min=0)

    @reports_errors
    def execute(self, context: bpy.types.Context) -> set[str]:
        clip_state(edited_clip(context)).views.remove(self.index)
        return {"FINISHED"}


register, unregister = registration(AddFace, RemoveFace, DrawRegion, KeyRegion, AddView, RemoveView)
