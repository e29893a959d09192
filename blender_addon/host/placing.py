"""Placing points: from a ray or a place in the scene to a position on or in the head at rest."""

import bmesh
import bpy
import numpy as np
from numpy.typing import NDArray

from ..core.errors import AddonError
from ..core.head_asset import load_head
from ..core.points import PointTable, mirrored_name
from . import points as host_points
from .head import check_edited_topology, head_of, mesh_of, parts_of
from .surface import Hit, PosedSurface, anchor, rest_surface

_TARGETS = {"BONE": ("cranium", "mandible"), "TEETH": ("teeth_upper", "teeth_lower")}
_DEEPEST = 0.06  # metres: bone or teeth farther inside than this are another side of the head


def ray_hit(scene: bpy.types.Scene, depsgraph: bpy.types.Depsgraph, origin: NDArray, direction: NDArray) -> Hit | None:
    """Where a world-space ray meets the visible head; None when it passes by."""
    return PosedSurface(head_of(scene), depsgraph).ray(origin, direction)


def nearest_hit(scene: bpy.types.Scene, depsgraph: bpy.types.Depsgraph, place: NDArray) -> Hit:
    """The place of the visible head nearest to a world-space point. Raises AddonError when all parts are hidden."""
    hit = PosedSurface(head_of(scene), depsgraph).nearest(place)
    if hit is None:
        raise AddonError("All parts of the head are hidden.", "Show the skin in the Head panel.", "FQ732")
    return hit


def rest_position(hit: Hit, depth: str, distance: float) -> NDArray[np.float64]:
    """Canonical rest position (3,) of a point placed at a hit: there, or inwards along the normal at rest.

    `depth` is one of state.DEPTHS; `distance` metres counts for "DEPTH". Raises AddonError when there is no bone
    or no tooth behind the hit.
    """
    if depth == "SURFACE":
        return hit.position
    asset = load_head()
    inwards = -rest_surface(tuple(asset.parts)).normal(hit.triangle)
    if depth == "DEPTH":
        return hit.position + distance * inwards
    names = tuple(name for name in _TARGETS[depth] if name in asset.parts)
    what = "bone" if depth == "BONE" else "tooth"
    if not names:
        raise AddonError(f"This head has no {what}.", "Install the FaceQuery extension again from its zip.", "FQ733")
    if asset.part_of_triangle(hit.triangle).name in names:
        return hit.position
    found = rest_surface(names).ray(hit.position, inwards)
    if found is None or found[2] > _DEEPEST:
        raise AddonError(f"There is no {what} under this place.", "Click nearer to it, or use Depth.", "FQ734")
    return found[1]


def place(scene: bpy.types.Scene, position: NDArray, symmetric: bool = False, name: str = "", group: str = "") -> int:
    """Add a point at a canonical rest position (3,), if `symmetric` with its mirror image. Returns its number.

    It joins the group of that name, which is made if need be, or the active one.
    """
    anchors = anchor(position[None]).checked()
    obj = host_points.points_of(scene, create=True)
    table = host_points.read(obj)
    number = table.next_number
    ids = None if not name else [f"point.{number}"]
    index = host_points.group_index(obj, group) if group else host_points.active_group(obj)
    table = table.appended(position[None], anchors, index, ids, [name] if name else None)
    if symmetric:
        table = with_mirror_images(table, table.number == number)
    host_points.write(obj, table)
    return number


def place_on_vertices(scene: bpy.types.Scene, symmetric: bool = False) -> int:
    """Add a point on every selected vertex of the head's parts. Returns how many; raises AddonError without any."""
    asset, chosen = load_head(), []
    for name, part in parts_of(head_of(scene)):
        if part.mode != "EDIT":
            continue
        check_edited_topology(part, asset)
        vertices = bmesh.from_edit_mesh(mesh_of(part)).verts
        first = asset.parts[name].vertices.start
        chosen += [first + vertex.index for vertex in vertices if vertex.select]
    if not chosen:
        raise AddonError(
            "No vertex of the head is selected.", "Select some in Edit Mode of the skin or another part.", "FQ739"
        )
    positions = asset.rest[chosen]
    obj = host_points.points_of(scene, create=True)
    table = host_points.read(obj)
    before = len(table)
    table = table.appended(positions, anchor(positions), host_points.active_group(obj))
    if symmetric:
        table = with_mirror_images(table, table.selected)
    host_points.write(obj, table)
    return len(table) - before


def with_mirror_images(table: PointTable, mask: NDArray[np.bool_]) -> PointTable:
    """The table with the missing mirror images of the points in `mask` added. All of them end up selected."""
    images, rows = table.missing_mirror_images(mask)
    if not len(images):
        return table.changed(selected=mask.copy())
    labels = [table.label(int(n)) for n in table.number[rows]]
    more = table.appended(
        images,
        anchor(images).checked(),
        table.group[rows],
        [mirrored_name(identifier) for identifier, _ in labels],
        [mirrored_name(name) for _, name in labels],
    )
    return more.changed(selected=np.r_[mask, np.ones(len(images), bool)])
