"""The points object: one mesh without edges, whose vertices are the points on the head at rest.

Its named attributes are the table of `core.points`: id, triangle, barycentric, offset, kind, group. Vertices lie in the
object's own space, at rest, so that moving, posing or deforming the head moves no point; what an artist moves in Edit
Mode is tied to the head anew. Names stand in a JSON custom property of the mesh, groups in the object's property group.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import bmesh
import bpy
import numpy as np
from numpy.typing import NDArray

from ..core.errors import AddonError
from ..core.points import PointTable, default_label
from ..core.space import canonical_to_blender
from .head import head_of, mesh_of
from .state import PointGroup, object_state, redraw, scene_state
from .surface import anchor, anchor_points

_TABLE: Final = "facequery_points"
_ATTRIBUTES: Final = {
    "id": ("INT", "number"),
    "triangle": ("INT", "triangle"),
    "barycentric": ("FLOAT_VECTOR", "barycentric"),
    "offset": ("FLOAT_VECTOR", "offset"),
    "kind": ("INT", "kind"),
    "group": ("INT", "group"),
}
# Colors of new groups, easily told apart on skin and on bone (linear).
PALETTE: Final = (
    (0.05, 0.70, 1.00),
    (1.00, 0.55, 0.05),
    (0.25, 0.90, 0.15),
    (1.00, 0.10, 0.45),
    (0.95, 0.90, 0.10),
    (0.55, 0.25, 1.00),
    (0.10, 0.95, 0.75),
    (1.00, 1.00, 1.00),
)


def has_points(scene: bpy.types.Scene) -> bool:
    """Whether the scene has a points object."""
    points = scene_state(scene).points
    return points is not None and scene.objects.get(points.name) is points


def points_of(scene: bpy.types.Scene, create: bool = False) -> bpy.types.Object:
    """The points object of the scene. Without one it is made when `create` is set, else AddonError is raised."""
    if has_points(scene):
        return scene_state(scene).points
    if not create:
        raise AddonError("The scene has no points.", "Place some on the head, or load a layout.", "FQ731")
    head = head_of(scene)
    points = bpy.data.objects.new("FaceQuery Points", bpy.data.meshes.new("FaceQuery Points"))
    points.parent = head
    object_state(points).role = "POINTS"
    _hide_vertices(points)
    (head.users_collection[0] if head.users_collection else scene.collection).objects.link(points)
    write(points, PointTable.empty())
    add_group(points, "points")
    scene_state(scene).points = points
    return points


def _hide_vertices(points: bpy.types.Object) -> None:
    """Keep Blender from drawing the bare vertices, at rest, beside our dots on the posed head; Edit Mode shows them."""
    points.vertex_groups.new(name="Shown by Blender")  # nobody is in it
    mask = points.modifiers.new("Hide Vertices", "MASK")
    assert isinstance(mask, bpy.types.MaskModifier)
    mask.vertex_group = "Shown by Blender"
    mask.show_in_editmode = False


@contextmanager
def in_object_mode(obj: bpy.types.Object) -> Iterator[None]:
    """Leave Edit Mode of an object for the time of a change, and return to it."""
    editing = obj.mode == "EDIT"
    if editing:
        bpy.ops.object.mode_set(mode="OBJECT")
    try:
        yield
    finally:
        if editing:
            bpy.ops.object.mode_set(mode="EDIT")


def read(obj: bpy.types.Object) -> PointTable:
    """The points, with duplicated numbers and moved anchors put right (the object itself is not changed)."""
    if obj.mode == "EDIT":
        obj.update_from_editmode()
    mesh = mesh_of(obj)
    count = len(mesh.vertices)
    position = np.empty(3 * count, np.float32)
    mesh.vertices.foreach_get("co", position)
    selected = np.zeros(count, bool)
    mesh.vertices.foreach_get("select", selected)
    arrays: dict[str, Any] = {field: _get(mesh, name, kind) for name, (kind, field) in _ATTRIBUTES.items()}
    stored = json.loads(mesh.get(_TABLE, "{}"))
    table = PointTable(
        position=canonical_to_blender(position.reshape(-1, 3), inverse=True),
        selected=selected,
        labels={int(n): (label[0], label[1]) for n, label in stored.get("labels", {}).items()},
        next_number=max(int(stored.get("next", 1)), int(arrays["number"].max(initial=0)) + 1),
        **arrays,
    ).renumbered()
    moved = table.moved(anchor_points(table.triangle, table.barycentric))
    # A vertex that was added by hand has no barycentric coordinates; one in the volume has nothing that could be stale.
    moved |= (table.triangle >= 0) & (np.abs(table.barycentric.sum(axis=1) - 1) > 1e-3)
    return table.with_anchors(moved, anchor(table.position[moved])) if moved.any() else table


def write(obj: bpy.types.Object, table: PointTable) -> None:
    """Make the object's mesh hold the points of a table."""
    with in_object_mode(obj):
        mesh = mesh_of(obj)
        mesh.clear_geometry()
        mesh.vertices.add(len(table))
        mesh.vertices.foreach_set("co", canonical_to_blender(table.position).astype(np.float32).ravel())
        for name, (kind, field) in _ATTRIBUTES.items():
            old: bpy.types.Attribute | None = mesh.attributes.get(name)
            if old is not None:
                mesh.attributes.remove(old)
            attribute = mesh.attributes.new(name, kind, "POINT")  # type: ignore[arg-type]
            values = getattr(table, field)
            if kind == "INT":
                attribute.data.foreach_set("value", values.astype(np.int32))  # type: ignore[attr-defined]
            else:
                attribute.data.foreach_set("vector", values.astype(np.float32).ravel())  # type: ignore[attr-defined]
        mesh.vertices.foreach_set("select", table.selected)
        labels = {str(n): list(label) for n, label in table.labels.items()}
        mesh[_TABLE] = json.dumps({"next": table.next_number, "labels": labels})
        mesh.update()
    obj.update_tag()
    redraw()


def _get(mesh: bpy.types.Mesh, name: str, kind: str) -> NDArray:
    """A named attribute's values; zeros when an artist removed it."""
    if mesh.is_editmode:
        return _get_edited(mesh, name, kind)
    count = len(mesh.vertices)
    attribute: Any = mesh.attributes.get(name)
    usable = attribute is not None and attribute.data_type == kind and attribute.domain == "POINT"
    if kind == "INT":
        numbers = np.zeros(count, np.int32)
        if usable:
            attribute.data.foreach_get("value", numbers)
        return numbers
    vectors = np.zeros(3 * count, np.float32)
    if usable:
        attribute.data.foreach_get("vector", vectors)
    return vectors.reshape(-1, 3).astype(np.float64)


def _get_edited(mesh: bpy.types.Mesh, name: str, kind: str) -> NDArray:
    """As `_get`, from the mesh that is being edited: in Edit Mode the attributes themselves are empty."""
    vertices = bmesh.from_edit_mesh(mesh).verts
    layers = vertices.layers.int if kind == "INT" else vertices.layers.float_vector
    layer: Any = layers.get(name)
    if layer is None:
        return np.zeros(len(vertices), np.int32) if kind == "INT" else np.zeros((len(vertices), 3))
    values = [vertex[layer] for vertex in vertices]
    return np.array(values, np.int32) if kind == "INT" else np.array([v[:] for v in values]).reshape(-1, 3)


@dataclass(frozen=True)
class Summary:
    """What a panel shows at every redraw: numbers of points, and the name of the one that is selected alone."""

    count: int
    selected: int
    single_name: str


def summary(obj: bpy.types.Object) -> Summary:
    """Count the points without reading all of them."""
    mesh = mesh_of(obj)
    selected = np.zeros(len(mesh.vertices), bool)
    mesh.vertices.foreach_get("select", selected)
    rows = np.flatnonzero(selected)
    if len(rows) != 1:
        return Summary(len(selected), len(rows), "")
    number = int(_get(mesh, "id", "INT")[rows[0]])
    stored = json.loads(mesh.get(_TABLE, "{}")).get("labels", {})
    return Summary(len(selected), 1, stored.get(str(number), default_label(number))[1])


def add_group(obj: bpy.types.Object, name: str) -> int:
    """Add a group in the next color and make it the one that new points join. Returns its index."""
    state = object_state(obj)
    taken, unique, k = {group.name for group in state.groups}, name, 1
    while unique in taken:
        unique, k = f"{name}.{k:03d}", k + 1
    color = PALETTE[len(state.groups) % len(PALETTE)]
    group = state.groups.add()
    group.name, group.color = unique, color
    state.active_group = len(state.groups) - 1
    return state.active_group


def group_index(obj: bpy.types.Object, name: str) -> int:
    """Index of the group of this name, which is added when it is missing; -1 for the empty name."""
    if not name:
        return -1
    names = group_names(obj)
    return names.index(name) if name in names else add_group(obj, name)


def group_names(obj: bpy.types.Object) -> list[str]:
    """Names of the groups, in their order."""
    return [group.name for group in object_state(obj).groups]


def remove_group(obj: bpy.types.Object, index: int) -> None:
    """Remove a group; its points stay, without a group."""
    state, table = object_state(obj), read(obj)
    state.groups.remove(index)
    group = table.group.copy()
    group[table.group == index] = -1
    group[table.group > index] -= 1
    state.active_group = max(0, min(state.active_group, len(state.groups) - 1))
    write(obj, table.changed(group=group))


def active_group(obj: bpy.types.Object) -> int:
    """Index of the group that new points join; -1 without groups."""
    state = object_state(obj)
    return min(state.active_group, len(state.groups) - 1)


def group_colors(obj: bpy.types.Object) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Colors (G + 1, 3) and whether hidden (G + 1,) of the groups; the last entry is for points without a group."""
    groups: list[PointGroup] = list(object_state(obj).groups)
    colors = np.array([*[tuple(g.color) for g in groups], (0.8, 0.8, 0.8)], np.float32)
    return colors, np.array([*[g.hide for g in groups], False])
