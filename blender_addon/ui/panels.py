"""What panels have in common: their tab, their columns, and that some need results."""

from typing import TYPE_CHECKING, Final

import bpy

from ..host.clip_state import FaceState, active_face
from ..ops.context import edited_clip

CATEGORY: Final = "FaceQuery"


class ViewPanel:
    """A panel of the tab in the 3D View."""

    bl_space_type = "VIEW_3D"
    bl_region_type = "UI"
    bl_category = CATEGORY


class ClipPanel:
    """A panel of the tab in the Movie Clip Editor."""

    bl_space_type = "CLIP_EDITOR"
    bl_region_type = "UI"
    bl_category = CATEGORY


class ResultsPanel(ClipPanel):
    """A panel of the Movie Clip Editor about the results of the clip's active face."""

    if TYPE_CHECKING:
        layout: bpy.types.UILayout

    def draw(self, context: bpy.types.Context) -> None:
        clip = edited_clip(context)
        face = active_face(clip) if clip is not None else None
        if clip is None or face is None or not face.job:
            self.layout.label(text="Track the clip first", icon="INFO")
        else:
            self.draw_results(context, clip, face)

    def draw_results(self, context: bpy.types.Context, clip: bpy.types.MovieClip, face: FaceState) -> None:
        """Draw the panel for a face whose results are in the file."""
        raise NotImplementedError


def settings(layout: bpy.types.UILayout, animated: bool = False) -> bpy.types.UILayout:
    """A column of properties with their names before them; `animated`: with a button to key them."""
    column = layout.column()
    column.use_property_split = True
    column.use_property_decorate = animated
    return column
