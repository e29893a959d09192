"""The menus of presets in the headers of panels."""

import bpy

from ..host import presets
from ..host.registration import registration


class _Presets:
    bl_label = "Presets"
    kind = ""

    def draw(self, context: bpy.types.Context) -> None:
        layout: bpy.types.UILayout = self.layout  # type: ignore[attr-defined]
        layout.operator_context = "INVOKE_DEFAULT"
        own = presets.own(self.kind)
        for name in [*presets.shipped(self.kind), *own]:
            operator = layout.operator("facequery.apply_preset", text=name)
            operator.kind, operator.name = self.kind, name
        layout.separator()
        layout.operator("facequery.save_preset", text="Save...", icon="ADD").kind = self.kind
        for name in own:
            operator = layout.operator("facequery.delete_preset", text=f"Delete {name}", icon="REMOVE")
            operator.kind, operator.name = self.kind, name


class PointsPresets(_Presets, bpy.types.Menu):
    bl_idname = "FACEQUERY_MT_presets_points"
    kind = "points"


class TrackPresets(_Presets, bpy.types.Menu):
    bl_idname = "FACEQUERY_MT_presets_track"
    kind = "track"


class ProjectPresets(_Presets, bpy.types.Menu):
    bl_idname = "FACEQUERY_MT_presets_project"
    kind = "project"


class ExportPresets(_Presets, bpy.types.Menu):
    bl_idname = "FACEQUERY_MT_presets_export"
    kind = "export"


class HasPresets:
    """A panel with a menu of presets in its header."""

    presets = ""

    def draw_header_preset(self, context: bpy.types.Context) -> None:
        layout: bpy.types.UILayout = self.layout  # type: ignore[attr-defined]
        layout.menu(f"FACEQUERY_MT_presets_{self.presets}", text="", icon="PRESET")


register, unregister = registration(PointsPresets, TrackPresets, ProjectPresets, ExportPresets)
