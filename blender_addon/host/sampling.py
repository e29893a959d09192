"""Many points at once: by painted weights, Delaunay-dense between chosen ones, in the tissue between skin and bone."""

from functools import cache
from typing import Any, Final

import bpy
import numpy as np
from mathutils import Vector, geometry
from mathutils.bvhtree import BVHTree
from mathutils.kdtree import KDTree
from numpy.typing import NDArray

from .._vendor.facequery_protocol.layout import KINDS
from ..core.errors import AddonError
from ..core.head_asset import HeadAsset, load_head
from ..core.points import Anchors, PointTable
from ..core.sampling import by_weight, half_of, unique_rows, with_centroids
from . import points as host_points
from .drawing import changes
from .head import check_topology, head_of, mesh_of, parts_of
from .placing import with_mirror_images
from .surface import anchor, barycentric, rest_surface

WEIGHTS: Final = "FaceQuery"  # the vertex group that is painted
_SAME: Final = 1e-5  # of the atlas: nearer points are one
_BONES: Final = ("cranium", "mandible", "teeth_upper", "teeth_lower")
_MOST_PREDICTED: Final = 20_000  # points: more would be felt in the panel
_DEEPEST: Final = 0.04  # metres from the skin to the bone under it


def paintable(scene: bpy.types.Scene, chosen: bpy.types.Object | None) -> bpy.types.Object:
    """The part of the head to paint on, `chosen` or else the skin, with the group that is painted active on it."""
    parts = dict(parts_of(head_of(scene)))
    part = chosen if chosen in parts.values() else parts.get("skin")
    if part is None:
        raise AddonError("The head has no skin to paint on.", "Add a new head.", "FQ732")
    group: bpy.types.VertexGroup | None = part.vertex_groups.get(WEIGHTS)
    part.vertex_groups.active_index = (group or part.vertex_groups.new(name=WEIGHTS)).index
    return part


def painted(scene: bpy.types.Scene) -> NDArray[np.float64]:
    """The painted weights (V,) of all vertices of the head; zeros where nothing was painted."""
    asset = load_head()
    weights = np.zeros(len(asset.rest))
    for name, obj in parts_of(head_of(scene)):
        group: bpy.types.VertexGroup | None = obj.vertex_groups.get(WEIGHTS)
        if group is None:
            continue
        check_topology(obj, asset)
        span = asset.parts[name].vertices
        for vertex in mesh_of(obj).vertices:
            for entry in vertex.groups:
                if entry.group == group.index:
                    weights[span.start + vertex.index] = entry.weight
    return weights


def add_by_weight(scene: bpy.types.Scene, count: int, seed: int = 0, symmetric: bool = False) -> int:
    """Add `count` points whose density follows what is painted. Returns how many were added; raises AddonError.

    `symmetric`: half of them on the subject's left, the rest are their mirror images.
    """
    asset, weights = load_head(), painted(scene)
    if symmetric:
        weights = half_of(weights, asset.symmetry, asset.rest[:, 0])
        count = (count + 1) // 2
    rows = np.flatnonzero(weights[asset.triangles].any(axis=1))
    corners = asset.triangles[rows]
    triangle, share = by_weight(asset.rest[corners], weights[corners], count, np.random.default_rng(seed), nearest_of)
    return _add(scene, _on_triangles(asset, rows[triangle], share), symmetric)


def add_on_triangles(scene: bpy.types.Scene, triangle: NDArray, weights: NDArray) -> int:
    """Add points on triangles (N,) of the whole head by barycentric coordinates (N, 3). Returns how many."""
    return _add(scene, _on_triangles(load_head(), triangle, weights), False)


def _on_triangles(asset: HeadAsset, triangle: NDArray, weights: NDArray) -> tuple[NDArray, Anchors]:
    position = np.einsum("nk,nkc->nc", weights, asset.rest[asset.triangles[triangle]])
    kind = np.zeros(len(triangle), np.int32)
    for part in asset.parts.values():
        kind[(triangle >= part.triangles.start) & (triangle < part.triangles.stop)] = KINDS.index(part.kind)
    none = np.zeros(len(triangle))
    return position, Anchors(triangle.astype(np.int32), weights, np.zeros((len(triangle), 3)), kind, none)


def _add(scene: bpy.types.Scene, made: tuple[NDArray, Anchors], symmetric: bool, group: str = "") -> int:
    position, anchors = made
    obj = host_points.points_of(scene, create=True)
    table = host_points.read(obj)
    before = len(table)
    index = host_points.group_index(obj, group) if group else host_points.active_group(obj)
    table = table.appended(position, anchors, index)
    if symmetric:
        table = with_mirror_images(table, table.selected)
    host_points.write(obj, table)
    return len(table) - before


def nearest_of(points: NDArray, k: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The `k` nearest of points (N, 3) to each of them: indices and distances (N, k), itself first."""
    tree = KDTree(len(points))
    for i, point in enumerate(points.tolist()):
        tree.insert(point, i)
    tree.balance()
    index, distance = np.zeros((len(points), k), np.int64), np.zeros((len(points), k))
    for i, point in enumerate(points.tolist()):
        found: Any = tree.find_n(point, k)
        index[i], distance[i] = [f[1] for f in found], [f[2] for f in found]
    return index, distance


@cache
def _atlas() -> BVHTree:
    """The skin laid flat in its atlas."""
    asset = load_head()
    flat = np.c_[asset.uv, np.zeros(len(asset.uv))]
    return BVHTree.FromPolygons(
        flat.tolist(), asset.triangles_uv[asset.parts["skin"].triangles].tolist(), all_triangles=True
    )


def _in_atlas(uv: NDArray) -> NDArray[np.bool_]:
    find = _atlas().find_nearest
    return np.array([find(Vector((u, v, 0.0)))[3] < 1e-6 for u, v in uv.tolist()], bool)


def _triangulated(uv: NDArray) -> NDArray[np.int64]:
    """Delaunay triangles (T, 3) of points (N, 2)."""
    made = geometry.delaunay_2d_cdt([Vector(p) for p in uv.tolist()], [], [], 0, 1e-9, False)
    return np.array(made[2], np.int64).reshape(-1, 3) if len(made[0]) == len(uv) else _mapped(made, len(uv))


def _mapped(made: Any, count: int) -> NDArray[np.int64]:
    # Points that coincide were merged, and the output's numbers are others than ours.
    origin = np.array([sources[0] if sources else count for sources in made[3]], np.int64)
    triangles = origin[np.array(made[2], np.int64).reshape(-1, 3)]
    return triangles[(triangles < count).all(axis=1)]


def dense(table: PointTable, rounds: int) -> tuple[NDArray[np.float64], Anchors]:
    """Points that fill the space between the selected points on the skin, without these. Raises AddonError."""
    asset = load_head()
    skin = asset.parts["skin"].triangles
    chosen = table.selected & (table.triangle >= skin.start) & (table.triangle < skin.stop)
    corners = asset.uv[asset.triangles_uv[table.triangle[chosen]]].astype(np.float64)
    seeds = np.einsum("nk,nkc->nc", table.barycentric[chosen], corners)
    seeds = seeds[unique_rows(seeds, _SAME)]
    uv = with_centroids(seeds, rounds, _triangulated, _in_atlas)[len(seeds) :]
    triangle, place = np.zeros(len(uv), np.int64), np.zeros((len(uv), 3))
    for i, (u, v) in enumerate(uv.tolist()):
        place[i], _, triangle[i], _ = _atlas().find_nearest(Vector((u, v, 0.0)))
    triangle += skin.start
    flat = np.zeros((len(uv), 3, 3))
    flat[..., :2] = asset.uv[asset.triangles_uv[triangle]]
    return _on_triangles(asset, triangle, barycentric(flat, place).clip(0, 1))


_predicted: dict[tuple[int, ...], int | None] = {}


def predicted(points: bpy.types.Object, rounds: int) -> int | None:
    """How many points `add_dense` would add to the selected ones; None when it cannot, or with very many seeds.

    Kept until a point changes, for a panel asks at every redraw.
    """
    key = (changes(), points.session_uid, rounds)
    if key not in _predicted:
        _predicted.clear()
        try:
            table = host_points.read(points)
            few = np.count_nonzero(table.selected) * 3**rounds < _MOST_PREDICTED
            _predicted[key] = len(dense(table, rounds)[0]) if few else None
        except AddonError:
            _predicted[key] = None
    return _predicted[key]


def add_dense(scene: bpy.types.Scene, rounds: int, symmetric: bool = False) -> int:
    """Fill the space between the selected points on the skin. Returns how many were added; raises AddonError."""
    table = host_points.read(host_points.points_of(scene))
    made = dense(table, rounds)
    number = _add(scene, made, symmetric)
    obj = host_points.points_of(scene)
    grown = host_points.read(obj)
    # The seeds stay selected with what grew from them, so that another number of rounds starts from the same.
    selected = grown.selected.copy()
    selected[: len(table)] |= table.selected
    host_points.write(obj, grown.changed(selected=selected))
    return number


def volume_seeds(table: PointTable) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Points on the skin (M, 3) and on the bone (B, 3) between which a volume lies: the selected ones.

    Where no selected point is on a bone, the places under the selected points of the skin are taken. Raises
    AddonError when there are too few.
    """
    kinds = np.array([KINDS[k] for k in table.kind.tolist()])[table.selected]
    position = table.position[table.selected]
    skin, bone = position[kinds == "skin"], position[np.isin(kinds, ("bone", "tooth"))]
    if len(skin) < 3:
        raise AddonError("Filling the volume needs at least three points on the skin.", "Select more.", "FQ745")
    if not len(bone):
        bone = _bone_under(table.rows(table.selected).rows(kinds == "skin"))
    if not len(bone):
        raise AddonError("There is no bone under the selected points.", "Select others.", "FQ734")
    return skin, bone


def _bone_under(table: PointTable) -> NDArray[np.float64]:
    asset = load_head()
    bones = rest_surface(tuple(name for name in _BONES if name in asset.parts))
    surface = rest_surface(tuple(asset.parts))
    found = []
    for position, triangle in zip(table.position, table.triangle.tolist(), strict=True):
        hit = bones.ray(position, -surface.normal(triangle))
        if hit is not None and hit[2] < _DEEPEST:
            found.append(hit[1])
    return np.array(found).reshape(-1, 3)


def add_positions(scene: bpy.types.Scene, positions: NDArray, group: str, symmetric: bool = False) -> int:
    """Add points at canonical rest positions (N, 3) to a group. Returns how many were added; raises AddonError."""
    return _add(scene, (positions, anchor(positions).checked()), symmetric, group)
