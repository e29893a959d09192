"""What an operator works on, and the reasons why it cannot."""

import bpy

from ..host import points as host_points
from ..host.clip_state import active_face
from ..host.head import has_head


def edited_clip(context: bpy.types.Context) -> bpy.types.MovieClip | None:
    """The clip that is open in the Movie Clip Editor, else the scene's, else the one with a job."""
    space = context.space_data
    if isinstance(space, bpy.types.SpaceClipEditor) and space.clip:
        return space.clip
    if context.scene.active_clip:
        return context.scene.active_clip
    return next((clip for clip in bpy.data.movieclips if (face := active_face(clip)) and face.job), None)


class NeedsHead(bpy.types.Operator):
    """An operator that works on the scene's head."""

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if not has_head(context.scene):
            cls.poll_message_set("Add a head first")
            return False
        return True


class NeedsPoints(bpy.types.Operator):
    """An operator that works on the scene's points."""

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if not host_points.has_points(context.scene):
            cls.poll_message_set("There are no points: place some on the head, or load a layout")
            return False
        return True


class NeedsClip(bpy.types.Operator):
    """An operator that works on a movie clip."""

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if edited_clip(context) is None:
            cls.poll_message_set("Open a movie clip first")
            return False
        return True


class NeedsResults(bpy.types.Operator):
    """An operator that works on the results of the clip's active face."""

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        clip = edited_clip(context)
        face = active_face(clip) if clip is not None else None
        if face is None or not face.job:
            cls.poll_message_set("Track the clip and apply the results first")
            return False
        return True
