"""The first panel of the tab in both editors: which backend there is."""

from typing import TYPE_CHECKING, ClassVar

import bpy

from ..core.assets import extension_version
from ..host.registration import registration
from ..prefs import draw_backend, preferences
from .panels import ClipPanel, ViewPanel


class _Status:
    bl_label = "FaceQuery"
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


class StatusView3D(_Status, ViewPanel, bpy.types.Panel):
    bl_idname = "FACEQUERY_PT_status_view3d"


class StatusClip(_Status, ClipPanel, bpy.types.Panel):
    bl_idname = "FACEQUERY_PT_status_clip"


register, unregister = registration(StatusView3D, StatusClip)
