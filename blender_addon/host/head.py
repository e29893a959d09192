"""The head in the scene: an empty that holds one mesh object per part, in a collection of their own."""

from collections.abc import Iterator
from typing import Final

import bpy
import numpy as np
from numpy.typing import NDArray

from ..core.errors import AddonError
from ..core.head_asset import HeadAsset, Part
from ..core.space import canonical_to_blender
from .state import object_state, scene_state

LABELS: Final = {
    "skin": "Skin",
    "eye_left": "Eye Left",
    "eye_right": "Eye Right",
    "teeth_upper": "Teeth Upper",
    "teeth_lower": "Teeth Lower",
    "gums_tongue": "Mouth",
    "cranium": "Skull",
    "mandible": "Jaw",
}
# Linear colors and roughness.
_MATERIALS: Final = {
    "Skin": ((0.60, 0.40, 0.31), 0.5),
    "Fit Skin": ((0.33, 0.42, 0.50), 0.5),
    "Eye White": ((0.80, 0.77, 0.74), 0.15),
    "Iris": ((0.11, 0.17, 0.20), 0.15),
    "Pupil": ((0.005, 0.005, 0.005), 0.1),
    "Teeth": ((0.78, 0.73, 0.62), 0.25),
    "Mouth": ((0.42, 0.13, 0.12), 0.35),
    "Bone": ((0.74, 0.63, 0.45), 0.6),
}
_PUPIL_ANGLE: Final = 0.17  # radians from the eye's axis
ACTOR: Final = "Actor"  # the shape key with an actor's shape
_IN_THE_WAY: Final = 0.3  # metres from the camera: a head is half as deep
_ASIDE: Final = 0.6  # metres to the left of the camera


def add_head(scene: bpy.types.Scene, asset: HeadAsset, shape_keys: bool = True) -> bpy.types.Object:
    """Add the head at the 3D cursor and make it the scene's. Returns the empty that holds it."""
    collection = bpy.data.collections.new("FaceQuery Head")
    scene.collection.children.link(collection)
    empty = bpy.data.objects.new("FaceQuery Head", None)
    empty.empty_display_size = 0.05
    empty.location = scene.cursor.location
    object_state(empty).role = "HEAD"
    collection.objects.link(empty)
    skin = None
    for part in asset.parts.values():
        obj = bpy.data.objects.new(f"Head {LABELS[part.name]}", part_mesh(asset, part))
        obj.parent = empty
        state = object_state(obj)
        state.role, state.part = "PART", part.name
        collection.objects.link(obj)
        if shape_keys:
            add_shape_keys(obj, asset.shape_keys(part), skin)
        skin = skin or obj
    scene_state(scene).head = empty
    return empty


def part_mesh(asset: HeadAsset, part: Part, vertices: NDArray | None = None) -> bpy.types.Mesh:
    """A smooth mesh of one part with UVs and materials, at rest or fitted: at `vertices` (V, 3) of the whole head."""
    points = canonical_to_blender((asset.rest if vertices is None else vertices)[part.vertices])
    mesh = bpy.data.meshes.new(f"Head {LABELS[part.name]}")
    used = part.polygons >= 0
    sizes = used.sum(axis=1)
    mesh.vertices.add(len(points))
    mesh.vertices.foreach_set("co", points.astype(np.float32).ravel())
    mesh.loops.add(int(sizes.sum()))
    mesh.loops.foreach_set("vertex_index", (part.polygons[used] - part.vertices.start).astype(np.int32))
    mesh.polygons.add(len(sizes))
    mesh.polygons.foreach_set("loop_start", np.r_[0, np.cumsum(sizes)[:-1]].astype(np.int32))
    if (part.polygons_uv[:, 0] >= 0).all():
        layer = mesh.uv_layers.new(name="UVMap")
        layer.data.foreach_set("uv", asset.uv[part.polygons_uv[used]].astype(np.float32).ravel())
    for name in _material_names(part, fitted=vertices is not None):
        mesh.materials.append(material(name))
    if part.kind == "eye":
        mesh.polygons.foreach_set("material_index", _eye_materials(asset, part))
    mesh.update(calc_edges=True)
    mesh.shade_smooth()
    mesh.validate()
    return mesh


def _material_names(part: Part, fitted: bool) -> tuple[str, ...]:
    if part.kind == "skin" and fitted:
        return ("Fit Skin",)
    if part.kind == "eye":
        return ("Eye White", "Iris", "Pupil")
    return ({"skin": "Skin", "tooth": "Teeth", "bone": "Bone"}.get(part.kind, "Mouth"),)


def _eye_materials(asset: HeadAsset, part: Part) -> NDArray[np.int32]:
    """Material of each polygon of an eye, by the angle of its middle from the eye's axis, +z."""
    corners = np.where(part.polygons < 0, part.polygons[:, :1], part.polygons)
    centre = asset.eye_centres[0 if part.name == "eye_left" else 1]
    middle = asset.rest[corners].mean(axis=1) - centre
    angle = np.arccos(middle[:, 2] / np.linalg.norm(middle, axis=1))
    return np.where(angle < _PUPIL_ANGLE, 2, np.where(angle < asset.limbus_angle, 1, 0)).astype(np.int32)


def material(name: str) -> bpy.types.Material:
    """The material of this name, made on first use; what an artist changed in it stays."""
    full = f"FaceQuery {name}"
    found: bpy.types.Material | None = bpy.data.materials.get(full)
    if found is not None:
        return found
    color, roughness = _MATERIALS[name]
    made = bpy.data.materials.new(full)
    made.use_nodes = True
    made.diffuse_color = (*color, 1.0)
    made.roughness = roughness
    tree = made.node_tree
    shader = next((n for n in tree.nodes if n.type == "BSDF_PRINCIPLED"), None) if tree else None
    if shader:
        shader.inputs["Base Color"].default_value = (*color, 1.0)  # type: ignore[attr-defined]
        shader.inputs["Roughness"].default_value = roughness  # type: ignore[attr-defined]
    return made


def add_shape_keys(obj: bpy.types.Object, keys: dict[str, NDArray], skin: bpy.types.Object | None) -> None:
    """Add shape keys from displacements (v, 3) in canonical metres; those of inner parts follow the skin's values."""
    if not keys:
        return
    mesh = mesh_of(obj)
    base = np.empty(3 * len(mesh.vertices), np.float32)
    mesh.vertices.foreach_get("co", base)
    obj.shape_key_add(name="Basis", from_mix=False)
    for name, offset in keys.items():
        block = obj.shape_key_add(name=name, from_mix=False)
        block.value = 0.0  # Blender 5 adds keys at 1
        block.data.foreach_set("co", base + canonical_to_blender(offset).astype(np.float32).ravel())
        if skin is not None and key_blocks(skin).get(name):
            _follow(block, skin, name)


def show_actor(head: bpy.types.Object, asset: HeadAsset, shape: NDArray) -> None:
    """Show a head in the shape of an actor: displacement (V, 3), canonical metres, as a shape key of every part.

    The meshes at rest stay as they are, so points stand where they stood on them. Raises AddonError when a part's own
    mesh was changed.
    """
    for name, obj in parts_of(head):
        check_topology(obj, asset)
        keys, mesh = key_blocks(obj), mesh_of(obj)
        if not keys:
            obj.shape_key_add(name="Basis", from_mix=False)
        base = np.empty(3 * len(mesh.vertices), np.float32)
        mesh.shape_keys.reference_key.data.foreach_get("co", base)
        block = keys.get(ACTOR) or obj.shape_key_add(name=ACTOR, from_mix=False)
        block.data.foreach_set(
            "co", base + canonical_to_blender(shape[asset.parts[name].vertices]).astype("f4").ravel()
        )
        block.value = 1.0
        mesh.update()


def hide_actor(head: bpy.types.Object) -> None:
    """Show a head in its own shape again."""
    for _, obj in parts_of(head):
        block = key_blocks(obj).get(ACTOR)
        if block is not None:
            obj.shape_key_remove(block)


def _follow(block: bpy.types.ShapeKey, skin: bpy.types.Object, name: str) -> None:
    driver = block.driver_add("value").driver  # type: ignore[union-attr]
    driver.type = "AVERAGE"  # of one variable: no expression, so no script has to be trusted
    variable = driver.variables.new()
    target = variable.targets[0]
    target.id_type = "KEY"
    target.id = mesh_of(skin).shape_keys
    target.data_path = f'key_blocks["{name}"].value'


def mesh_of(obj: bpy.types.Object) -> bpy.types.Mesh:
    """The mesh of an object that is known to have one."""
    assert isinstance(obj.data, bpy.types.Mesh)
    return obj.data


def key_blocks(obj: bpy.types.Object) -> dict[str, bpy.types.ShapeKey]:
    """The shape keys of an object by name; empty without any."""
    keys = mesh_of(obj).shape_keys
    return {block.name: block for block in keys.key_blocks} if keys else {}


def head_of(scene: bpy.types.Scene) -> bpy.types.Object:
    """The scene's head. Raises AddonError when it has none, or when it was deleted."""
    head = scene_state(scene).head
    if head is None or scene.objects.get(head.name) is not head:
        raise AddonError("The scene has no FaceQuery head.", "Press Add Head first.", "FQ720")
    return head


def has_head(scene: bpy.types.Scene) -> bool:
    """Whether the scene has a head."""
    head = scene_state(scene).head
    return head is not None and scene.objects.get(head.name) is head


def step_aside(scene: bpy.types.Scene, camera: bpy.types.Object) -> bool:
    """Move the scene's head beside a camera that stands in it, as a solved one does. Returns whether it was in the way.

    Points stand on the head at rest, so they do not mind. A head that is animated or hangs on something stays.
    """
    if not has_head(scene):
        return False
    head = head_of(scene)
    bpy.context.view_layer.update()
    eye = camera.matrix_world
    if (head.matrix_world.translation - eye.translation).length > _IN_THE_WAY or head.parent or head.animation_data:
        return False
    head.location = eye.translation - _ASIDE * eye.to_3x3().normalized().col[0]
    return True


def parts_of(head: bpy.types.Object) -> Iterator[tuple[str, bpy.types.Object]]:
    """The head's part objects with their part names, in the asset's order."""
    found = {object_state(child).part: child for child in head.children if object_state(child).role == "PART"}
    for name in LABELS:
        if name in found:
            yield name, found[name]


def check_edited_topology(obj: bpy.types.Object, asset: HeadAsset) -> None:
    """As `check_topology`, for a part that is being edited."""
    obj.update_from_editmode()
    check_topology(obj, asset)


def check_topology(obj: bpy.types.Object, asset: HeadAsset) -> None:
    """Raise AddonError unless a part's mesh still has the asset's vertices and polygons, which points stand on."""
    part = asset.parts[object_state(obj).part]
    mesh = mesh_of(obj)
    used = part.polygons >= 0
    same = len(mesh.vertices) == part.vertices.stop - part.vertices.start and len(mesh.loops) == int(used.sum())
    if same:
        corners = np.empty(len(mesh.loops), np.int32)
        mesh.loops.foreach_get("vertex_index", corners)
        same = bool((corners == part.polygons[used] - part.vertices.start).all())
    if not same:
        raise AddonError(
            f'The mesh of "{obj.name}" no longer has the vertices and faces of the head, so points cannot stand on it.',
            "Undo the change, or add a new head.",
            "FQ722",
        )
