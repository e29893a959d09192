"""Cranium and mandible: the labelled source bones fused into two clean, symmetric, light meshes.

Needs Blender's Python module (`bpy`, the project's `blender` extra) for voxel remeshing and decimation.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bpy
import numpy as np
from facequery.geometry.rasterize import rasterize
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

VOXEL = 0.0009  # metres
CLOSING = 0.0012  # sutures and slits narrower than about twice this are closed
HALF_TRIANGLES = {"skull": 7000, "mand": 2600}
ROOT_COVER = 0.0009  # metres of bone over a root
CROWN = {"central": 0.0100, "lateral": 0.0092, "canine": 0.0105, "bicuspid": 0.0086, "molar": 0.0078}
# The turbinates are thin scrolls inside the nose: never seen, and noise to every tool that meets the mesh.
LEFT_OUT = ("concha", "incisor", "canine", "molar", "premolar")


@dataclass(frozen=True)
class Bone:
    """A bone in canonical metres: vertices (V, 3), triangles (T, 3), mirror (V,) index of the mirrored vertex."""

    vertices: NDArray[np.float64]
    triangles: NDArray[np.int32]
    mirror: NDArray[np.int64]


def _object(vertices: NDArray, triangles: NDArray) -> Any:
    mesh = bpy.data.meshes.new("bone")
    mesh.from_pydata(vertices.tolist(), [], triangles.tolist())
    mesh.update()
    obj = bpy.data.objects.new("bone", mesh)
    context: Any = bpy.context
    context.collection.objects.link(obj)
    return obj


def _applied(obj: Any) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.float64]]:
    """Vertices, triangles and vertex normals of an object with its modifiers applied; the object is removed."""
    evaluated = obj.evaluated_get(bpy.context.evaluated_depsgraph_get())
    mesh = bpy.data.meshes.new_from_object(evaluated)
    mesh.calc_loop_triangles()
    vertices = np.zeros(len(mesh.vertices) * 3)
    mesh.vertices.foreach_get("co", vertices)
    normals = np.zeros(len(mesh.vertices) * 3, np.float32)
    mesh.vertices.foreach_get("normal", normals)
    triangles = np.zeros(len(mesh.loop_triangles) * 3, np.int32)
    mesh.loop_triangles.foreach_get("vertices", triangles)
    bpy.data.meshes.remove(mesh)
    bpy.data.objects.remove(obj)
    return vertices.reshape(-1, 3), triangles.reshape(-1, 3).astype(np.int64), normals.reshape(-1, 3).astype(float)


def _remeshed(vertices: NDArray, triangles: NDArray) -> tuple[NDArray, NDArray, NDArray]:
    obj = _object(vertices, triangles)
    modifier = obj.modifiers.new("remesh", "REMESH")
    modifier.mode = "VOXEL"
    modifier.voxel_size = VOXEL
    return _applied(obj)


def _compact(vertices: NDArray, triangles: NDArray) -> tuple[NDArray, NDArray]:
    used, inverse = np.unique(triangles, return_inverse=True)
    return vertices[used], inverse.reshape(-1, 3)


def _largest_piece(vertices: NDArray, triangles: NDArray) -> tuple[NDArray, NDArray]:
    edges = np.concatenate([triangles[:, :2], triangles[:, 1:]])
    graph = coo_matrix((np.ones(len(edges)), edges.T), shape=(len(vertices),) * 2)
    label = connected_components(graph, directed=False)[1]
    return _compact(vertices, triangles[label[triangles[:, 0]] == np.bincount(label[triangles[:, 0]]).argmax()])


def _seen_from_outside(vertices: NDArray, triangles: NDArray, directions: int = 240, size: int = 720) -> NDArray:
    """Which triangles (T,) show in orthographic views from all round, grown by one ring of neighbours."""
    k = np.arange(directions) + 0.5
    up = 1 - 2 * k / directions
    turn = np.pi * (1 + 5**0.5) * k
    seen = np.zeros(len(triangles), bool)
    centre = 0.5 * (vertices.min(0) + vertices.max(0))
    extent = np.linalg.norm(vertices - centre, axis=1).max()
    for u, t in zip(up, turn, strict=True):
        forward = np.array([np.sqrt(1 - u * u) * np.cos(t), u, np.sqrt(1 - u * u) * np.sin(t)])
        right = np.cross(forward, [0.3, 0.5, 0.81])
        right /= np.linalg.norm(right)
        local = (vertices - centre) @ np.stack([right, np.cross(forward, right), forward]).T / extent
        shown, _, _ = rasterize((local[:, :2] + 1) * size / 2, 10 + local[:, 2], triangles, size, size)
        seen[np.unique(shown[shown >= 0])] = True
    for _ in range(2):
        touched = np.zeros(len(vertices), bool)
        touched[triangles[seen]] = True
        seen = touched[triangles].any(1)
    return seen


def _half_decimated(vertices: NDArray, triangles: NDArray, count: int) -> tuple[NDArray, NDArray]:
    """The subject's left half, cut at x = 0 and simplified to about `count` triangles."""
    obj = _object(vertices, triangles)
    context: Any = bpy.context
    context.view_layer.objects.active = obj
    obj.select_set(True)
    bpy.ops.object.mode_set(mode="EDIT")
    bpy.ops.mesh.select_all(action="SELECT")
    bpy.ops.mesh.bisect(plane_co=(0, 0, 0), plane_no=(1, 0, 0), clear_inner=True, threshold=1e-6)
    bpy.ops.object.mode_set(mode="OBJECT")
    modifier = obj.modifiers.new("decimate", "DECIMATE")
    modifier.ratio = min(1.0, count / max(1, len(obj.data.polygons)))
    modifier.use_collapse_triangulate = True
    half, faces, _ = _applied(obj)
    return half, faces


def _mirrored(half: NDArray, triangles: NDArray) -> Bone:
    middle = np.abs(half[:, 0]) < 3e-4
    half[middle, 0] = 0
    other = np.where(middle, np.arange(len(half)), len(half) + np.cumsum(~middle) - 1)
    vertices = np.concatenate([half, half[~middle] * [-1, 1, 1]])
    mirror = np.r_[other, np.flatnonzero(~middle)]
    flat = middle[triangles].all(1)  # a sliver in the plane would be drawn twice
    kept = triangles[~flat]
    faces = np.concatenate([kept, other[kept][:, ::-1]])
    return Bone(vertices, faces.astype(np.int32), mirror)


def _smoothed(vertices: NDArray, triangles: NDArray, rounds: int = 6) -> NDArray:
    """Taubin's smoothing: takes the steps of the voxels away without shrinking the bone."""
    edges = np.unique(
        np.sort(np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]]), 1), axis=0
    )
    both = np.concatenate([edges, edges[:, ::-1]])
    graph = coo_matrix((np.ones(len(both)), both.T), shape=(len(vertices),) * 2).tocsr()
    degree = np.asarray(graph.sum(1)).clip(1)
    for _ in range(rounds):
        for step in (0.5, -0.53):
            vertices = vertices + step * (graph @ vertices / degree - vertices)
    return vertices


def root_mass(teeth: list[tuple[str, NDArray, NDArray]]) -> tuple[NDArray, NDArray]:
    """The roots of teeth (name, vertices, triangles), grown by ROOT_COVER, crowns cut off: vertices and triangles.

    Fused with the jaws they become the thin bone over the roots that the source lacks.
    """
    vertices, triangles, start = [], [], 0
    for name, points, faces in teeth:
        crown = next(height for word, height in CROWN.items() if word in name)
        up = "lower" in name  # lower teeth point up
        neck = points[:, 1].max() - crown if up else points[:, 1].min() + crown
        cut = points.copy()
        cut[:, 1] = np.minimum(points[:, 1], neck) if up else np.maximum(points[:, 1], neck)
        normal = np.cross(points[faces[:, 1]] - points[faces[:, 0]], points[faces[:, 2]] - points[faces[:, 0]])
        smooth = np.zeros_like(points)
        for k in range(3):
            np.add.at(smooth, faces[:, k], normal)
        depth = np.abs(cut[:, 1:2] - neck)  # the bone thins out towards the crown
        cut += (
            ROOT_COVER
            * np.clip(0.15 + depth / 0.005, 0, 1)
            * smooth
            / np.linalg.norm(smooth, axis=1, keepdims=True).clip(1e-20)
        )
        vertices.append(cut)
        triangles.append(faces + start)
        start += len(points)
    return np.concatenate(vertices), np.concatenate(triangles)


def clean_bone(path: Path, which: str, origin: NDArray, roots: tuple[NDArray, NDArray]) -> Bone:
    """Fuse the source's labelled bones (`which`: "skull" or "mand", warped to the tissue depths) into one mesh.

    Teeth and turbinates are left out (the head has its own teeth). Gaps up to about 2 mm are closed by growing the
    surface, remeshing, and shrinking it again; what cannot be seen from outside is removed; the left half is
    simplified and mirrored, so that the bone is exactly symmetric. `origin` is the canonical origin in centimetres,
    `roots` the vertices and triangles of root_mass.
    """
    with np.load(path) as data:
        names = [str(n) for n in data[f"{which}_names"]]
        out = [i for i, n in enumerate(names) if any(word in n.lower() for word in LEFT_OUT)]
        triangles = data[f"{which}_faces"]
        triangles = triangles[~np.isin(data[f"{which}_label"][triangles[:, 0]], out)]
        vertices, triangles = _compact((data[f"{which}_tps"] - origin) * 0.01, triangles)
    triangles = np.concatenate([triangles, roots[1] + len(vertices)])
    vertices = np.concatenate([vertices, roots[0]])
    vertices, triangles, normals = _remeshed(vertices, triangles)
    vertices, triangles, normals = _remeshed(vertices + CLOSING * normals, triangles)
    vertices, triangles, normals = _remeshed(_smoothed(vertices - CLOSING * normals, triangles, 2), triangles)
    vertices, triangles = _compact(vertices, triangles[_seen_from_outside(vertices, triangles)])
    vertices, triangles = _largest_piece(vertices, triangles)
    half, faces = _half_decimated(_smoothed(vertices, triangles), triangles, HALF_TRIANGLES[which])
    return _mirrored(half, faces)
