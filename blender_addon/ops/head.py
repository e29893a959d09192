"""Operators of the head."""

from pathlib import Path

import bpy
from bpy.props import BoolProperty, StringProperty
from bpy_extras.io_utils import ImportHelper

from ..core.actor import read_actor
from ..core.head_asset import load_head
from ..host import head as host_head
from ..host import layouts
from ..host.clip import stored_path
from ..host.clip_state import active_face
from ..host.registration import registration
from ..host.state import object_state
from .context import NeedsHead, edited_clip
from .reporting import reports_errors


class AddHead(bpy.types.Operator):
    bl_idname = "facequery.add_head"
    bl_label = "Add Head"
    bl_description = "Add the FaceQuery head with eyes, teeth, skull and jaw at the 3D cursor, to place points on"
    bl_options = {"REGISTER", "UNDO"}  # noqa: RUF012

    shape_keys: BoolProperty(
        name="Shape Keys", description="Add the 52 ARKit expressions as shape keys of the skin", default=True
    )

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if context.mode != "OBJECT":
            cls.poll_message_set("Leave the current mode for Object Mode")
            return False
        return True

    @reports_errors
    def execute(self, context: bpy.types.Context) -> set[str]:
        head = host_head.add_head(context.scene, load_head(), self.shape_keys)
        for obj in context.selected_objects:
            obj.select_set(False)
        for _, part in host_head.parts_of(head):
            part.select_set(True)
        head.select_set(True)
        context.view_layer.objects.active = head
        return {"FINISHED"}

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        result = self.execute(context)
        # A head of 25 cm is a speck in Blender's default view.
        if result == {"FINISHED"} and context.area and context.area.type == "VIEW_3D":
            region = next((r for r in context.area.regions if r.type == "WINDOW"), None)
            if region:
                with context.temp_override(region=region):
                    bpy.ops.view3d.view_selected()
        return result


class _ChangesShape(NeedsHead):
    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if context.mode != "OBJECT":
            cls.poll_message_set("Leave the current mode for Object Mode")
            return False
        return super().poll(context)


class ShowActor(_ChangesShape, ImportHelper):
    bl_idname = "facequery.show_actor"
    bl_label = "Show Actor"
    bl_description = (
        "Show the head in the shape of a person that a shot has taught (actor.npz of its job); "
        "points stay where they are on the head"
    )
    bl_options = {"REGISTER", "UNDO"}  # noqa: RUF012

    filepath: StringProperty(subtype="FILE_PATH", options={"SKIP_SAVE"})
    filename_ext = ".npz"
    filter_glob: StringProperty(default="*.npz", options={"HIDDEN"})
    points: BoolProperty(name="Own Points", description="Add the points that were picked on this person")

    @reports_errors
    def execute(self, context: bpy.types.Context) -> set[str]:
        path, asset = Path(bpy.path.abspath(self.filepath)), load_head()
        actor = read_actor(path, asset)
        head = host_head.head_of(context.scene)
        host_head.show_actor(head, asset, actor.shape(asset))
        state = object_state(head)
        state.actor, state.actor_name = stored_path(path), actor.name
        if self.points and actor.points is not None:
            layouts.add(context.scene, actor.points)
        return {"FINISHED"}

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        clip = edited_clip(context)
        face = active_face(clip) if clip is not None else None
        if face is not None and face.actor and not self.filepath:
            self.filepath = bpy.path.abspath(face.actor)  # the one that the shot is tracked with
        return ImportHelper.invoke(self, context, event)  # type: ignore[func-returns-value]


class HideActor(_ChangesShape):
    bl_idname = "facequery.hide_actor"
    bl_label = "Hide Actor"
    bl_description = "Show the head in its own shape again"
    bl_options = {"REGISTER", "UNDO"}  # noqa: RUF012

    @reports_errors
    def execute(self, context: bpy.types.Context) -> set[str]:
        head = host_head.head_of(context.scene)
        host_head.hide_actor(head)
        object_state(head).actor = object_state(head).actor_name = ""
        return {"FINISHED"}


register, unregister = registration(AddHead, ShowActor, HideActor)
