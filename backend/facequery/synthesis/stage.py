"""The meshes of a picture in one set of arrays: the head's, which stay, and what is put beside it, which changes."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from facequery.head.model import HeadModel
from facequery.synthesis import kernels
from facequery.synthesis.meshes import Extra, HeadMesh

_ROOM = 1 << 15  # vertices and triangles there is room for beside the head at first


class Stage:
    """Arrays as the kernels read them, kept from picture to picture: the head comes first, then the extras.

    points, normals, rest (V, 3) float32, points and normals in camera space; occlusion (V,); screen (V, 4) scratch;
    triangles (T, 3) int32, corner_uv (T, 3, 2), material (T,). runs: the triangles to draw, as (first, last) of each
    run; vertex_runs: the vertices they use. table and layers: rows of the materials and their alpha textures.
    """

    def __init__(self, model: HeadModel, mesh: HeadMesh):
        self._mesh, self._vertices, self._triangles = mesh, mesh.vertex_count, len(mesh.triangles)
        self.points = np.zeros((0, 3), np.float32)
        self.normals, self.rest, self.screen = self.points, self.points, np.zeros((0, 4), np.float32)
        self.occlusion = np.zeros(0, np.float32)
        self.triangles, self.corner_uv = np.zeros((0, 3), np.int32), np.zeros((0, 3, 2), np.float32)
        self.material = np.zeros(0, np.int32)
        self._make_room(self._vertices + _ROOM, self._triangles + _ROOM)
        self.rest[: self._vertices] = model.rest[: self._vertices]
        self.occlusion[: self._vertices] = mesh.occlusion
        self.triangles[: self._triangles] = mesh.triangles
        self.corner_uv[: self._triangles] = mesh.corner_uv
        self.material[: self._triangles] = mesh.material
        self.table, self.layers = np.zeros((0, 0), np.float32), np.zeros(0, np.int32)
        self.runs: list[tuple[int, int]] = []
        self.vertex_runs: list[slice] = []

    def _make_room(self, vertices: int, triangles: int) -> None:
        def longer(old: NDArray, count: int, value: float = 0) -> NDArray:
            if len(old) >= count:
                return old
            new = np.full((count, *old.shape[1:]), value, old.dtype)
            new[: len(old)] = old
            return new

        self.points, self.normals = longer(self.points, vertices), longer(self.normals, vertices)
        self.rest, self.screen = longer(self.rest, vertices), longer(self.screen, vertices)
        self.occlusion = longer(self.occlusion, vertices, 1)
        self.triangles, self.corner_uv = longer(self.triangles, triangles), longer(self.corner_uv, triangles)
        self.material = longer(self.material, triangles)

    def set(
        self, vertices: NDArray, normals: NDArray, rotation: NDArray, translation: NDArray,
        head_rows: Sequence[NDArray], extras: Sequence[Extra],
    ) -> None:  # fmt: skip
        """Puts canonical vertices (V, 3) of a head, with normals, into camera space, and extras beside it."""
        closed = self._mesh.mouth_is_closed(vertices)
        head = self._mesh.closed_vertices if closed else self._vertices
        kernels.moved(
            vertices[:head], normals[:head], rotation.astype(np.float32), translation.astype(np.float32),
            self.points, self.normals,
        )  # fmt: skip
        v, t = self._vertices, self._triangles
        self._make_room(v + sum(len(e.vertices) for e in extras), t + sum(len(e.triangles) for e in extras))
        rows, layers = list(head_rows), [-1] * len(head_rows)
        for extra in extras:
            v_end, t_end = v + len(extra.vertices), t + len(extra.triangles)
            self.points[v:v_end] = extra.vertices
            self.rest[v:v_end] = extra.rest
            kernels.vertex_normals(extra.vertices, extra.triangles, self.normals[v:v_end])
            np.add(extra.triangles, np.int32(v), out=self.triangles[t:t_end])
            if extra.corner_uv is not None:
                self.corner_uv[t:t_end] = extra.corner_uv
            self.material[t:t_end] = len(rows)
            rows.append(extra.row)
            layers.append(extra.layer)
            v, t = v_end, t_end
        self.table, self.layers = np.array(rows, np.float32), np.array(layers, np.int32)
        shown = self._mesh.closed_triangles if closed else self._triangles
        self.runs = [(0, shown), (self._triangles, t)]
        self.vertex_runs = [slice(0, head), slice(self._vertices, v)]
