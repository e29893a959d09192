"""The Points panel: layouts, groups, what to do with the selection."""

from typing import Final

import bpy

from ..host import points as host_points
from ..host import sampling
from ..host.head import has_head
from ..host.layouts import shipped_layouts
from ..host.registration import registration
from ..host.state import object_state, scene_state
from .calls import draw_call
from .panels import ViewPanel, settings
from .presets import HasPresets

# What artists ask for first; every other layout that ships stands under Advanced.
MAIN_LAYOUTS: Final = {
    "ibug68": "68 Points (iBUG)",
    "dense520": "520 Dense",
    "skull": "Skull",
    "jaw": "Jaw",
    "teeth": "Teeth",
    "eyes": "Eyes",
}


class LayoutMenu(bpy.types.Menu):
    bl_idname = "FACEQUERY_MT_layouts"
    bl_label = "Load Layout"

    def draw(self, context: bpy.types.Context) -> None:
        layout = self.layout
        layout.operator_context = "INVOKE_DEFAULT"
        shipped = shipped_layouts()
        for name, label in MAIN_LAYOUTS.items():
            if name in shipped:
                layout.operator("facequery.load_layout", text=label).layout_name = name
        if set(shipped) - set(MAIN_LAYOUTS):
            layout.menu("FACEQUERY_MT_more_layouts")
        layout.separator()
        layout.operator("facequery.load_layout", text="From File...", icon="FILE_FOLDER")


class MoreLayoutsMenu(bpy.types.Menu):
    bl_idname = "FACEQUERY_MT_more_layouts"
    bl_label = "Advanced"

    def draw(self, context: bpy.types.Context) -> None:
        self.layout.operator_context = "INVOKE_DEFAULT"
        for name in shipped_layouts():
            if name not in MAIN_LAYOUTS:
                self.layout.operator("facequery.load_layout", text=name).layout_name = name


class GroupList(bpy.types.UIList):
    bl_idname = "FACEQUERY_UL_groups"

    def draw_item(  # type: ignore[no-untyped-def]
        self, context, layout, data, item, icon, active_data, active_property, index=0, filter_flag=0
    ) -> None:
        row = layout.row(align=True)
        color = row.row()
        color.ui_units_x = 1.0
        color.prop(item, "color", text="")
        row.prop(item, "name", text="", emboss=False)
        row.prop(item, "hide", text="", icon="HIDE_ON" if item.hide else "HIDE_OFF", emboss=False)


class PointsPanel(HasPresets, ViewPanel, bpy.types.Panel):
    presets = "points"
    bl_idname = "FACEQUERY_PT_points"
    bl_label = "Points"
    bl_order = 1

    def draw(self, context: bpy.types.Context) -> None:
        layout, scene = self.layout, context.scene
        if not has_head(scene):
            layout.label(text="Add a head first", icon="INFO")
            return
        state = scene_state(scene)
        tool = layout.operator("wm.tool_set_by_id", text="Place Points", icon="CURSOR")
        tool.name = "facequery.place"
        placing = settings(layout)
        placing.prop(state, "depth")
        if state.depth == "DEPTH":
            placing.prop(state, "depth_distance")
        placing.prop(state, "symmetric")
        if context.mode == "EDIT_MESH":
            layout.operator("facequery.points_from_vertices", icon="VERTEXSEL")
        box = layout.column(align=True)
        painting = context.mode == "PAINT_WEIGHT"
        row = box.row(align=True)
        row.operator(
            "facequery.paint_weights", text="Stop" if painting else "Paint", icon="BRUSH_DATA", depress=painting
        )
        row.prop(state, "sample_count", text="")
        row.operator("facequery.points_from_weights", text="", icon="OUTLINER_OB_POINTCLOUD")
        row = layout.row(align=True)
        row.menu("FACEQUERY_MT_layouts", icon="IMPORT")
        row.operator("facequery.save_layout", text="", icon="EXPORT")
        if host_points.has_points(scene):
            self._draw_points(context)

    def _draw_points(self, context: bpy.types.Context) -> None:
        layout, state = self.layout, scene_state(context.scene)
        obj = state.points
        groups = object_state(obj)
        row = layout.row()
        row.template_list("FACEQUERY_UL_groups", "", groups, "groups", groups, "active_group", rows=3)
        side = row.column(align=True)
        side.operator("facequery.add_group", text="", icon="ADD")
        side.operator("facequery.remove_group", text="", icon="REMOVE")
        row = layout.row(align=True)
        row.operator("facequery.assign_group")
        row.operator("facequery.select_points", text="Select").action = "GROUP"

        table = host_points.summary(obj)
        column = layout.column(align=True)
        column.label(text=f"{table.count:,} points, {table.selected:,} selected")
        if table.single_name:
            column.label(text=table.single_name, icon="DECORATE")
        row = layout.row(align=True)
        for action, text in (("ALL", "All"), ("NONE", "None"), ("INVERT", "Invert")):
            row.operator("facequery.select_points", text=text).action = action
        row = layout.row(align=True)
        row.enabled = table.selected > 0
        row.operator("facequery.mirror_points", icon="MOD_MIRROR")
        row.operator("facequery.rename_points", icon="SORTALPHA")
        row.operator("facequery.delete_points", text="", icon="TRASH")
        self._draw_filling(context, table.selected)
        size = settings(layout)
        size.prop(state, "point_size")

    def _draw_filling(self, context: bpy.types.Context, selected: int) -> None:
        layout, state = self.layout, scene_state(context.scene)
        column = layout.column(align=True)
        column.prop(state, "rounds")
        if selected >= 3:
            count = sampling.predicted(state.points, state.rounds)
            if count is not None:
                column.label(text=f"gives {count:,} more points", icon="BLANK1")
        row = column.row(align=True)
        row.operator("facequery.fill_points", icon="MESH_GRID")
        row.operator("facequery.fill_volume", icon="MESH_ICOSPHERE")
        draw_call(layout, context, "volume")


register, unregister = registration(LayoutMenu, MoreLayoutsMenu, GroupList, PointsPanel)
