"""The panels of results: Track in the Movie Clip Editor, Fit in the 3D View."""

import bpy

from ..host.clip import MANY_TRACKS
from ..host.state import clip_state
from ..ops.results import edited_clip
from .status import CATEGORY


class TrackPanel(bpy.types.Panel):
    bl_idname = "FACEQUERY_PT_track"
    bl_label = "Track"
    bl_space_type = "CLIP_EDITOR"
    bl_region_type = "UI"
    bl_category = CATEGORY
    bl_order = 3

    def draw(self, context: bpy.types.Context) -> None:
        layout = self.layout
        layout.operator("facequery.import_job", icon="IMPORT")
        clip = edited_clip(context)
        if clip is None or not clip_state(clip).job:
            return
        state = clip_state(clip)
        layout.prop(state, "job", text="")
        target: bpy.types.MovieTrackingObject | None = clip.tracking.objects.get(state.tracking_object)
        if target is not None:
            count = len(target.tracks)
            layout.label(text=f"{count:,} tracks in {target.name}", icon="ERROR" if count > MANY_TRACKS else "TRACKER")
        layout.prop(state, "show_points")
        column = layout.column()
        column.use_property_split = True
        column.use_property_decorate = False
        column.active = state.show_points
        column.prop(state, "color_by")
        column.prop(state, "point_size")


class FitPanel(bpy.types.Panel):
    bl_idname = "FACEQUERY_PT_fit"
    bl_label = "Fit"
    bl_space_type = "VIEW_3D"
    bl_region_type = "UI"
    bl_category = CATEGORY
    bl_order = 5

    def draw(self, context: bpy.types.Context) -> None:
        layout, scene = self.layout, context.scene
        layout.operator("facequery.import_job", icon="IMPORT")
        clip = edited_clip(context)
        if clip is None or not clip_state(clip).job:
            return
        layout.prop(clip_state(clip), "job", text="")
        size, render = tuple(clip.size), scene.render
        if all(size) and size != (render.resolution_x, render.resolution_y):
            column = layout.column(align=True)
            column.label(text=f"Plate {size[0]} x {size[1]}", icon="ERROR")
            column.label(text=f"Scene {render.resolution_x} x {render.resolution_y}", icon="BLANK1")
        layout.operator("facequery.match_scene", icon="SCENE_DATA")


_classes = (TrackPanel, FitPanel)


def register() -> None:
    for cls in _classes:
        bpy.utils.register_class(cls)


def unregister() -> None:
    for cls in reversed(_classes):
        bpy.utils.unregister_class(cls)
