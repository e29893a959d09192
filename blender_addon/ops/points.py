"""Operators of points: placing, selecting, mirroring, groups, names, layouts."""

from pathlib import Path

import bpy
import numpy as np
from bpy.props import BoolProperty, EnumProperty, FloatProperty, FloatVectorProperty, IntProperty, StringProperty
from bpy_extras import view3d_utils
from bpy_extras.io_utils import ExportHelper, ImportHelper
from numpy.typing import NDArray

from ..core.errors import AddonError
from ..core.points import PointTable, numbered_names
from ..host import drawing, layouts, placing
from ..host import points as host_points
from ..host.registration import registration
from ..host.state import DEPTHS, object_state, scene_state
from .context import NeedsHead, NeedsPoints
from .reporting import reports_errors


def mouse_ray(context: bpy.types.Context, event: bpy.types.Event) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Origin and direction in the world of the ray under the mouse in a 3D View."""
    place = (event.mouse_region_x, event.mouse_region_y)
    region, view = context.region, context.region_data
    origin = view3d_utils.region_2d_to_origin_3d(region, view, place)
    return origin[:], view3d_utils.region_2d_to_vector_3d(region, view, place)[:]


class PlacePoint(NeedsHead):
    bl_idname = "facequery.place_point"
    bl_label = "Place Point"
    bl_description = "Place a point on the head where it is clicked, or inwards of it"
    bl_options = {"REGISTER", "UNDO"}  # noqa: RUF012

    origin: FloatVectorProperty(name="Ray Origin", size=3, options={"SKIP_SAVE"}, unit="LENGTH")
    direction: FloatVectorProperty(
        name="Ray Direction",
        description="A ray in the world; zero: the place of the head nearest to the location",
        size=3,
        options={"SKIP_SAVE"},
    )
    location: FloatVectorProperty(name="Location", size=3, options={"SKIP_SAVE"}, unit="LENGTH")
    depth: EnumProperty(name="Place On", items=DEPTHS)
    distance: FloatProperty(name="Depth", default=0.005, min=0.0, max=0.06, subtype="DISTANCE", precision=4)
    symmetric: BoolProperty(name="Symmetric", description="Place the mirror image along with it")
    name: StringProperty(name="Name", options={"SKIP_SAVE"})

    @reports_errors
    def execute(self, context: bpy.types.Context) -> set[str]:
        depsgraph = context.evaluated_depsgraph_get()
        if any(self.direction):
            hit = placing.ray_hit(context.scene, depsgraph, np.array(self.origin), np.array(self.direction))
            if hit is None:
                raise AddonError("The click did not meet the head.", "Click on a visible part of it.", "FQ735")
        else:
            hit = placing.nearest_hit(context.scene, depsgraph, np.array(self.location))
        position = placing.rest_position(hit, self.depth, self.distance)
        placing.place(context.scene, position, self.symmetric, self.name)
        return {"FINISHED"}

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        self.origin, self.direction = mouse_ray(context, event)
        state = scene_state(context.scene)
        if not self.properties.is_property_set("depth"):
            self.depth = state.depth
        self.distance, self.symmetric = state.depth_distance, state.symmetric
        return self.execute(context)

    def draw(self, context: bpy.types.Context) -> None:
        layout = self.layout
        layout.use_property_split = True
        layout.prop(self, "depth")
        if self.depth == "DEPTH":
            layout.prop(self, "distance")
        layout.prop(self, "symmetric")


class PointsFromVertices(NeedsHead):
    bl_idname = "facequery.points_from_vertices"
    bl_label = "From Selected Vertices"
    bl_description = "Place a point on every selected vertex of the head, as selected in Edit Mode"
    bl_options = {"REGISTER", "UNDO"}  # noqa: RUF012

    symmetric: BoolProperty(name="Symmetric", description="Place the mirror images along with them")

    @reports_errors
    def execute(self, context: bpy.types.Context) -> set[str]:
        count = placing.place_on_vertices(context.scene, self.symmetric)
        self.report({"INFO"}, f"{count} points added")
        return {"FINISHED"}


class SelectPoint(NeedsPoints):
    bl_idname = "facequery.select_point"
    bl_label = "Select Point"
    bl_description = "Select the point under the mouse"
    bl_options = {"REGISTER", "UNDO"}  # noqa: RUF012

    number: IntProperty(name="Number", description="Number of the point; 0: none", options={"SKIP_SAVE"})
    extend: BoolProperty(name="Extend", description="Keep what is selected; a selected point is deselected")

    @reports_errors
    def execute(self, context: bpy.types.Context) -> set[str]:
        obj = host_points.points_of(context.scene)
        table = host_points.read(obj)
        chosen = table.number == self.number
        selected = np.where(chosen, ~table.selected, table.selected) if self.extend else chosen
        host_points.write(obj, table.changed(selected=selected))
        return {"FINISHED"}

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        obj = host_points.points_of(context.scene)
        table = host_points.read(obj)
        world = drawing.world_positions(obj, table, context.evaluated_depsgraph_get())
        row = _under_mouse(context, event, world, scene_state(context.scene).point_size + 4)
        self.number = int(table.number[row]) if row is not None else 0
        return self.execute(context)


def _under_mouse(context: bpy.types.Context, event: bpy.types.Event, world: NDArray, reach: float) -> int | None:
    """Row of the point (N, 3) that is drawn within `reach` pixels of the mouse, the one in front of others."""
    if not len(world):
        return None
    matrix = np.array(context.region_data.perspective_matrix)
    clip = np.c_[world, np.ones(len(world))] @ matrix.T
    half = np.array([context.region.width, context.region.height]) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        xy = (clip[:, :2] / clip[:, 3:] + 1) * half
    far = np.linalg.norm(xy - (event.mouse_region_x, event.mouse_region_y), axis=1)
    near = np.flatnonzero((far <= reach) & (clip[:, 3] > 0))
    return int(near[np.argmin(clip[near, 3] + 0.002 * far[near])]) if len(near) else None


class SelectPoints(NeedsPoints):
    bl_idname = "facequery.select_points"
    bl_label = "Select Points"
    bl_description = "Select all points, none, or those of the active group"
    bl_options = {"REGISTER", "UNDO"}  # noqa: RUF012

    action: EnumProperty(
        name="Action",
        items=(("ALL", "All", ""), ("NONE", "None", ""), ("INVERT", "Invert", ""), ("GROUP", "Group", "")),
    )

    @reports_errors
    def execute(self, context: bpy.types.Context) -> set[str]:
        obj = host_points.points_of(context.scene)
        table = host_points.read(obj)
        selected = {
            "ALL": np.ones(len(table), bool),
            "NONE": np.zeros(len(table), bool),
            "INVERT": ~table.selected,
            "GROUP": table.group == host_points.active_group(obj),
        }[self.action]
        host_points.write(obj, table.changed(selected=selected))
        return {"FINISHED"}


def _selected(context: bpy.types.Context) -> tuple[bpy.types.Object, PointTable]:
    """The points object and its points, at least one of which is selected. Raises AddonError otherwise."""
    obj = host_points.points_of(context.scene)
    table = host_points.read(obj)
    if not table.selected.any():
        raise AddonError("No point is selected.", "Select points with Ctrl-click of the placing tool.", "FQ736")
    return obj, table


class DeletePoints(NeedsPoints):
    bl_idname = "facequery.delete_points"
    bl_label = "Delete Points"
    bl_description = "Delete the selected points"
    bl_options = {"REGISTER", "UNDO"}  # noqa: RUF012

    @reports_errors
    def execute(self, context: bpy.types.Context) -> set[str]:
        obj, table = _selected(context)
        host_points.write(obj, table.rows(~table.selected))
        return {"FINISHED"}


class MirrorPoints(NeedsPoints):
    bl_idname = "facequery.mirror_points"
    bl_label = "Mirror"
    bl_description = "Add the missing mirror images of the selected points on the other side of the head"
    bl_options = {"REGISTER", "UNDO"}  # noqa: RUF012

    @reports_errors
    def execute(self, context: bpy.types.Context) -> set[str]:
        obj, table = _selected(context)
        more = placing.with_mirror_images(table, table.selected)
        host_points.write(obj, more)
        self.report({"INFO"}, f"{len(more) - len(table)} points added")
        return {"FINISHED"}


class RenamePoints(NeedsPoints):
    bl_idname = "facequery.rename_points"
    bl_label = "Rename"
    bl_description = "Rename the selected points; # stands for their number, as in brow_##"
    bl_options = {"REGISTER", "UNDO"}  # noqa: RUF012

    name: StringProperty(name="Name")

    @reports_errors
    def execute(self, context: bpy.types.Context) -> set[str]:
        obj, table = _selected(context)
        if not self.name.strip():
            raise AddonError("A point needs a name.", "Type one.", "FQ737")
        labels, numbers = dict(table.labels), table.number[table.selected].tolist()
        for number, name in zip(numbers, numbered_names(self.name.strip(), len(numbers)), strict=True):
            labels[number] = (table.label(number)[0], name)
        host_points.write(obj, table.changed(labels=labels))
        return {"FINISHED"}

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        table = host_points.read(host_points.points_of(context.scene))
        numbers = table.number[table.selected].tolist()
        if len(numbers) == 1:
            self.name = table.label(numbers[0])[1]
        return context.window_manager.invoke_props_dialog(self)  # type: ignore[return-value]


class AddGroup(NeedsHead):
    bl_idname = "facequery.add_group"
    bl_label = "Add Group"
    bl_description = "Add a group of points with a color of its own"
    bl_options = {"REGISTER", "UNDO"}  # noqa: RUF012

    name: StringProperty(name="Name", default="group")

    @reports_errors
    def execute(self, context: bpy.types.Context) -> set[str]:
        host_points.add_group(host_points.points_of(context.scene, create=True), self.name.strip() or "group")
        return {"FINISHED"}


class RemoveGroup(NeedsPoints):
    bl_idname = "facequery.remove_group"
    bl_label = "Remove Group"
    bl_description = "Remove the active group; its points stay"
    bl_options = {"REGISTER", "UNDO"}  # noqa: RUF012

    @reports_errors
    def execute(self, context: bpy.types.Context) -> set[str]:
        obj = host_points.points_of(context.scene)
        if not len(object_state(obj).groups):
            raise AddonError("There is no group to remove.", code="FQ738")
        host_points.remove_group(obj, host_points.active_group(obj))
        return {"FINISHED"}


class AssignGroup(NeedsPoints):
    bl_idname = "facequery.assign_group"
    bl_label = "Assign"
    bl_description = "Put the selected points into the active group"
    bl_options = {"REGISTER", "UNDO"}  # noqa: RUF012

    @reports_errors
    def execute(self, context: bpy.types.Context) -> set[str]:
        obj, table = _selected(context)
        group = np.where(table.selected, host_points.active_group(obj), table.group).astype(np.int32)
        host_points.write(obj, table.changed(group=group))
        return {"FINISHED"}


class LoadLayout(NeedsHead, ImportHelper):
    bl_idname = "facequery.load_layout"
    bl_label = "Load Layout"
    bl_description = "Add the points of a layout to the scene's points"
    bl_options = {"REGISTER", "UNDO"}  # noqa: RUF012

    layout_name: StringProperty(name="Layout", description="Name of a layout that ships", options={"SKIP_SAVE"})
    filepath: StringProperty(subtype="FILE_PATH", options={"SKIP_SAVE"})
    replace: BoolProperty(name="Replace", description="Remove the points that are there")
    filename_ext = ".json"
    filter_glob: StringProperty(default="*.json", options={"HIDDEN"})

    @reports_errors
    def execute(self, context: bpy.types.Context) -> set[str]:
        path = layouts.shipped_path(self.layout_name) if self.layout_name else Path(bpy.path.abspath(self.filepath))
        count = layouts.load(context.scene, path, self.replace)
        self.report({"INFO"}, f"{count} points")
        return {"FINISHED"}

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        return self.execute(context) if self.layout_name else ImportHelper.invoke(self, context, event)  # type: ignore[func-returns-value]


class SaveLayout(NeedsPoints, ExportHelper):
    bl_idname = "facequery.save_layout"
    bl_label = "Save Layout"
    bl_description = "Save the points as a layout that other scenes and the command line read"

    filepath: StringProperty(subtype="FILE_PATH")
    filename_ext = ".json"
    filter_glob: StringProperty(default="*.json", options={"HIDDEN"})

    @reports_errors
    def execute(self, context: bpy.types.Context) -> set[str]:
        layouts.save(context.scene, Path(bpy.path.abspath(self.filepath)))
        return {"FINISHED"}


register, unregister = registration(
    PlacePoint,
    PointsFromVertices,
    SelectPoint,
    SelectPoints,
    DeletePoints,
    MirrorPoints,
    RenamePoints,
    AddGroup,
    RemoveGroup,
    AssignGroup,
    LoadLayout,
    SaveLayout,
)
