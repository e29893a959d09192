"""Hair that needs no source data: lashes along the lids, wigs lofted round the skull."""

import numpy as np
from numpy.typing import NDArray

from facequery.head.model import HeadModel
from facequery.synthesis import shading
from facequery.synthesis.looks import row
from facequery.synthesis.meshes import Extra
from facequery.synthesis.scene import Scene
from facequery.synthesis.surface import EYE_RIGHT, mirrored

_LASH_COLUMNS = 12
_FADE = np.interp(np.arange(_LASH_COLUMNS), [0, 2, 8, 11], [1.0, 1.0, 0.75, 0.2])[:, None]  # length along the lid


class Strands:
    """Builds lashes and wigs for heads of one model; `layers` are their layers of the library's alpha textures."""

    def __init__(self, model: HeadModel, lash_layer: int, strand_layer: int):
        self.model, self._lash_layer, self._strand_layer = model, lash_layer, strand_layer
        part = model.parts["skin"].vertices
        skin = model.rest[part]
        self._lash_grid = self._lash_triangles()
        t = np.linspace(0, 3, _LASH_COLUMNS)
        self._rims = []
        for eye in (np.array(EYE_RIGHT), mirrored(EYE_RIGHT)):
            for order in ([0, 1, 2, 3], [0, 5, 4, 3]):
                corners = eye[order]
                path = np.stack([np.interp(t, np.arange(4), corners[:, k]) for k in range(3)], -1)
                bulge = np.interp(t, [0, 0.5, 1, 1.5, 2, 2.5, 3], [0, 1, 0, 1, 0, 1, 0]) * 0.0006
                path[:, 1] += bulge if order[1] == 1 else -bulge
                self._rims.append(np.array([int(np.argmin(((skin - p) ** 2).sum(1))) for p in path]))
        crown = (skin[:, 1] > 0.02) & (skin[:, 1] < 0.08)
        self._crown = np.flatnonzero(crown & ~(model.region_mask("ear_left") | model.region_mask("ear_right")))
        self._top = int(np.argmax(skin[:, 1]))

    def lashes(
        self, rng: np.random.Generator, scene: Scene, vertices: NDArray, normals: NDArray, strong: bool
    ) -> list[Extra]:
        """Upper and lower lashes of both eyes, along the lids of canonical vertices (V, 3)."""
        upper = rng.uniform(0.007, 0.011) if strong else rng.uniform(0.004, 0.008)
        material = row(shading.PLAIN, np.minimum(scene.hair * 0.4, 0.03), specular=0.02, shine=10)
        points = []
        for k, rim in enumerate(self._rims):
            below = k % 2
            length = upper * (0.45 if below else 1.0)
            root = vertices[rim].astype(np.float64)
            out = normals[rim] * 0.8 + np.array([-0.35 if k < 2 else 0.35, -0.5 if below else 0.35, 0.35])
            out /= np.sqrt((out * out).sum(1, keepdims=True))
            fade = _FADE * length
            up = np.array([0, -0.2 if below else 0.55, 0.0])
            points += [root - 0.0003 * out, root + out * fade * 0.55, root + (out * 0.85 + up) * fade]
        return [self._extra(scene, np.concatenate(points), *self._lash_grid, material, self._lash_layer)]

    @staticmethod
    def _lash_triangles() -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """Triangles and corner UVs of four strips of three rows."""
        i, j = np.meshgrid(np.arange(2), np.arange(_LASH_COLUMNS - 1), indexing="ij")
        a = i * _LASH_COLUMNS + j
        quads = np.stack([a, a + 1, a + 1 + _LASH_COLUMNS, a + _LASH_COLUMNS], -1).reshape(-1, 4)
        uv = np.stack([(quads % _LASH_COLUMNS) / (_LASH_COLUMNS - 1), (quads // _LASH_COLUMNS) / 2], -1)
        triangles = np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])
        corner_uv = np.concatenate([uv[:, [0, 1, 2]], uv[:, [0, 2, 3]]]).astype(np.float32)
        strips = [triangles + 3 * _LASH_COLUMNS * k for k in range(4)]
        return np.concatenate(strips).astype(np.int32), np.concatenate([corner_uv] * 4)

    def wig(self, rng: np.random.Generator, scene: Scene, vertices: NDArray, material: NDArray) -> Extra:
        """A sheet of hair round the skull of canonical vertices (V, 3), open at the face, of any length."""
        crown = vertices[self._crown]
        low, high = crown.min(0), crown.max(0)
        volume = np.exp(rng.uniform(np.log(0.006), np.log(0.035)))
        half_x, half_z = 0.5 * (high[0] - low[0]) + volume, 0.5 * (high[2] - low[2]) + volume
        middle = 0.5 * (low + high)
        top = vertices[self._top][1] + volume
        height = top - 0.02
        length = np.exp(rng.uniform(np.log(0.05), np.log(0.5)))
        opening = rng.uniform(0.55, 1.35)
        columns, rows = 30, 16
        turn = np.linspace(opening, 2 * np.pi - opening, columns)[None]
        along = np.linspace(0, 1, rows)[:, None]
        arc = 0.45 if length > 0.12 else 0.6
        polar = np.clip(along / arc, 0, 1) * (np.pi / 2)
        drop = np.clip((along - arc) / (1 - arc), 0, 1)
        flare = 1 + drop * rng.normal(0.05, 0.12)
        tuck = 1 - 0.35 * drop * np.clip(length / 0.3, 0, 1) * np.clip(np.cos(turn) * -1, 0, 1)  # in at the nape
        x = middle[0] + half_x * np.sin(polar) * np.sin(turn) * flare
        z = middle[2] + half_z * np.sin(polar) * np.cos(turn) * flare * tuck
        y = 0.02 + height * np.cos(polar) - drop * length
        # The front edge swings: a fringe, or hair behind the ears.
        front = np.exp(-(((np.minimum(turn - opening, 2 * np.pi - opening - turn)) / 0.5) ** 2))
        z = z + front * np.sin(polar) * rng.normal(-0.005, 0.015)
        points = np.stack(np.broadcast_arrays(x, y, z), -1)
        waves = rng.normal(0, 10 * 2 * np.pi, (3, 4))
        points = points + volume * 0.2 * np.sin(points @ waves + rng.uniform(0, 6, 4)).sum(-1, keepdims=True) * [
            1,
            0.3,
            1,
        ]
        i, j = np.meshgrid(np.arange(rows - 1), np.arange(columns - 1), indexing="ij")
        a = i * columns + j
        quads = np.stack([a, a + columns, a + columns + 1, a + 1], -1).reshape(-1, 4)
        uv = np.stack([(quads % columns) / (columns - 1), 1 - (quads // columns) / (rows - 1)], -1)
        triangles = np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])
        corner_uv = np.concatenate([uv[:, [0, 1, 2]], uv[:, [0, 2, 3]]])
        return self._extra(scene, points.reshape(-1, 3), triangles, corner_uv, material, self._strand_layer)

    @staticmethod
    def _extra(
        scene: Scene, points: NDArray, triangles: NDArray, corner_uv: NDArray, material: NDArray, layer: int
    ) -> Extra:
        camera = points @ scene.view.rotation.T + scene.view.translation
        return Extra(
            camera.astype(np.float32), points.astype(np.float32), triangles.astype(np.int32), material,
            corner_uv.astype(np.float32), layer,
        )  # fmt: skip
