"""The first panel of the tab in both editors: which backend there is."""

from typing import TYPE_CHECKING, ClassVar

import bpy

from ..core.assets import extension_version
from ..prefs import draw_backend, preferences

CATEGORY = "FaceQuery"


class _Status:
    bl_label = "FaceQuery"
    bl_category = CATEGORY
    bl_region_type = "UI"
    bl_order = 100
    bl_options: ClassVar = {"DEFAULT_CLOSED"}
    if TYPE_CHECKING:
        layout: bpy.types.UILayout

    def draw(self, context: bpy.types.Context) -> None:
        layout = self.layout
        layout.label(text=f"Extension {extension_version()}")
        prefs = preferences(context)
        if prefs:
            layout.prop(prefs, "backend", text="", placeholder="Backend: automatic")
        draw_backend(layout, context, prefs)


class StatusView3D(_Status, bpy.types.Panel):
    bl_idname = "FACEQUERY_PT_status_view3d"
    bl_space_type = "VIEW_3D"


class StatusClip(_Status, bpy.types.Panel):
    bl_idname = "FACEQUERY_PT_status_clip"
    bl_space_type = "CLIP_EDITOR"


_classes = (StatusView3D, StatusClip)


def register() -> None:
    for cls in _classes:
        bpy.utils.register_class(cls)


def unregister() -> None:
    for cls in reversed(_classes):
        bpy.utils.unregister_class(cls)
