"""Rays and nearest points on the head, at rest and as it stands in the scene."""

import hashlib
from dataclasses import dataclass
from functools import cache

import bpy
import numpy as np
from mathutils import Vector
from mathutils.bvhtree import BVHTree
from numpy.typing import NDArray

from .._vendor.facequery_protocol.layout import KINDS
from ..core.head_asset import HeadAsset, load_head
from ..core.points import Anchors
from ..core.space import canonical_to_blender
from .head import check_topology, mesh_of, parts_of

ON_SURFACE = 0.001  # metres: nearer than this a point belongs to the surface


@dataclass(frozen=True)
class Hit:
    """A place on the head: triangle of the whole head, barycentric (3,), canonical rest position (3,), distance."""

    triangle: int
    barycentric: NDArray[np.float64]
    position: NDArray[np.float64]
    distance: float


def barycentric(corners: NDArray, points: NDArray) -> NDArray[np.float64]:
    """Barycentric coordinates (N, 3) of points (N, 3) in the planes of triangles (N, 3, 3)."""
    a, b, c = corners[:, 0], corners[:, 1], corners[:, 2]
    u, v, w = b - a, c - a, points - a
    uu, uv, vv = (u * u).sum(1), (u * v).sum(1), (v * v).sum(1)
    wu, wv = (w * u).sum(1), (w * v).sum(1)
    area = np.maximum(uu * vv - uv * uv, 1e-30)
    s, t = (vv * wu - uv * wv) / area, (uu * wv - uv * wu) / area
    return np.stack([1 - s - t, s, t], axis=1)


def _vector(values: NDArray) -> Vector:
    return Vector(values.tolist())


class Surface:
    """Search tree over some triangles of the head with vertices (V, 3) in one space, canonical or Blender's."""

    def __init__(self, vertices: NDArray, triangles: NDArray, rows: NDArray) -> None:
        """`triangles` (T, 3) of the whole head; `rows` (R,) the numbers of those that count."""
        self.vertices, self.triangles, self.rows = vertices, triangles, rows
        used, local = np.unique(triangles[rows], return_inverse=True)
        self.tree: BVHTree = BVHTree.FromPolygons(
            vertices[used].tolist(), local.reshape(-1, 3).tolist(), all_triangles=True
        )

    def ray(self, origin: NDArray, direction: NDArray) -> tuple[int, NDArray[np.float64], float] | None:
        """First triangle that a ray meets, the place (3,), and the distance; None when it meets none."""
        place, _, index, distance = self.tree.ray_cast(_vector(origin), _vector(direction))
        return None if place is None else (int(self.rows[index]), np.array(place), distance)

    def nearest(self, point: NDArray) -> tuple[int, NDArray[np.float64], float]:
        """Nearest triangle, the place on it (3,), and the distance."""
        place, _, index, distance = self.tree.find_nearest(_vector(point))
        return int(self.rows[index]), np.array(place), distance

    def nearest_of_all(self, points: NDArray) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
        """As `nearest` for points (N, 3): triangles (N,), places (N, 3), distances (N,)."""
        find, found = self.tree.find_nearest, np.zeros(len(points), np.int64)
        place, distance = np.zeros((len(points), 3)), np.zeros(len(points))
        for i, point in enumerate(points.tolist()):
            place[i], _, found[i], distance[i] = find(point)
        return self.rows[found], place, distance

    def weights(self, triangle: int, place: NDArray) -> NDArray[np.float64]:
        """Barycentric coordinates (3,) of a place on a triangle."""
        return barycentric(self.vertices[self.triangles[triangle]][None], place[None])[0].clip(0, 1)

    def normal(self, triangle: int) -> NDArray[np.float64]:
        """Outward unit normal (3,) of a triangle."""
        a, b, c = self.vertices[self.triangles[triangle]]
        normal = np.cross(b - a, c - a)
        return normal / max(float(np.linalg.norm(normal)), 1e-30)


def _rows(asset: HeadAsset, names: tuple[str, ...]) -> NDArray[np.int64]:
    slices = [asset.parts[name].triangles for name in names if name in asset.parts]
    return np.concatenate([np.arange(s.start, s.stop) for s in slices])


@cache
def rest_surface(names: tuple[str, ...]) -> Surface:
    """The head at rest in canonical space, the parts `names` of it; made once."""
    asset = load_head()
    return Surface(asset.rest, asset.triangles, _rows(asset, names))


def anchor(positions: NDArray) -> Anchors:
    """Tie canonical rest positions (N, 3) to the nearest part within 1 mm, or to the skin that they stand out from.

    The rest, inside the head, belongs to the volume. The backend ties points by the same rule.
    """
    asset = load_head()
    surface = rest_surface(tuple(asset.parts))
    points = np.asarray(positions, np.float64).reshape(-1, 3)
    triangle, place, distance = surface.nearest_of_all(points)
    corners = asset.rest[asset.triangles[triangle]]
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-30)
    skin = asset.parts["skin"].triangles
    on_skin = (triangle >= skin.start) & (triangle < skin.stop)
    in_front = on_skin & (((points - place) * normal).sum(axis=1) > 0.5 * distance)
    tied = (distance <= ON_SURFACE) | in_front
    kind = np.full(len(points), KINDS.index("volume"), np.int32)
    for part in asset.parts.values():
        kind[tied & (triangle >= part.triangles.start) & (triangle < part.triangles.stop)] = KINDS.index(part.kind)
    weights = np.where(tied[:, None], barycentric(corners, place).clip(0, 1), 0.0)
    offset = np.where(tied[:, None], points - np.einsum("nk,nkc->nc", weights, corners), 0.0)
    return Anchors(np.where(tied, triangle, -1).astype(np.int32), weights, offset, kind, distance)


def anchor_points(triangle: NDArray, weights: NDArray, vertices: NDArray | None = None) -> NDArray[np.float64]:
    """The barycentric points (N, 3) of triangles (N,), on the rest head or on `vertices` (V, 3); 0 for triangle -1."""
    asset = load_head()
    base = asset.rest if vertices is None else vertices
    points = np.einsum("nk,nkc->nc", weights, base[asset.triangles[np.maximum(triangle, 0)]])
    points[triangle < 0] = 0
    return points


def posed_vertices(head: bpy.types.Object, depsgraph: bpy.types.Depsgraph) -> NDArray[np.float64]:
    """All vertices (V, 3) of the head as it stands in the scene, shape keys and modifiers included, in world space.

    A part whose modifiers change its number of vertices is taken without modifiers, a missing part at rest. Raises
    AddonError when a part's own mesh was changed.
    """
    asset = load_head()
    world = canonical_to_blender(asset.rest) @ np.array(head.matrix_world.to_3x3()).T + head.matrix_world.translation
    for name, obj in parts_of(head):
        check_topology(obj, asset)
        part = asset.parts[name]
        evaluated = obj.evaluated_get(depsgraph)
        count = part.vertices.stop - part.vertices.start
        points = np.empty(3 * count, np.float32)
        if len(mesh_of(evaluated).vertices) == count:
            mesh_of(evaluated).vertices.foreach_get("co", points)
        else:
            points = _mixed_keys(obj)
        matrix = np.array(obj.matrix_world)
        world[part.vertices] = points.reshape(-1, 3) @ matrix[:3, :3].T + matrix[:3, 3]
    return world


def _mixed_keys(obj: bpy.types.Object) -> NDArray[np.float32]:
    """A mesh's vertices, flat, with its shape keys but without modifiers."""
    mesh = mesh_of(obj)
    base = np.empty(3 * len(mesh.vertices), np.float32)
    mesh.vertices.foreach_get("co", base)
    total = base.copy()
    for block in mesh.shape_keys.key_blocks[1:] if mesh.shape_keys else ():
        if block.value and not block.mute:
            shape = np.empty_like(base)
            block.data.foreach_get("co", shape)
            total += block.value * (shape - base)
    return total


class PosedSurface:
    """The visible parts of a head as it stands in the scene; a hit on it is a place on the head at rest."""

    _last: "tuple[bytes, tuple[str, ...], Surface] | None" = None  # clicks come many to a pose

    def __init__(self, head: bpy.types.Object, depsgraph: bpy.types.Depsgraph) -> None:
        names = tuple(name for name, obj in parts_of(head) if obj.visible_get())
        vertices = posed_vertices(head, depsgraph)
        digest = hashlib.blake2b(vertices.tobytes()).digest()
        last = PosedSurface._last
        self.surface: Surface | None = None
        if last is not None and last[:2] == (digest, names):
            self.surface = last[2]
        elif names:
            asset = load_head()
            self.surface = Surface(vertices, asset.triangles, _rows(asset, names))
            PosedSurface._last = (digest, names, self.surface)

    def ray(self, origin: NDArray, direction: NDArray) -> Hit | None:
        """Where a world-space ray meets the visible head first."""
        found = self.surface.ray(origin, direction) if self.surface else None
        return self._hit(*found) if found else None

    def nearest(self, point: NDArray) -> Hit | None:
        """The place of the visible head nearest to a world-space point."""
        return self._hit(*self.surface.nearest(point)) if self.surface else None

    def _hit(self, triangle: int, place: NDArray, distance: float) -> Hit:
        assert self.surface is not None
        asset, weights = load_head(), self.surface.weights(triangle, place)
        return Hit(triangle, weights, weights @ asset.rest[asset.triangles[triangle]], distance)
