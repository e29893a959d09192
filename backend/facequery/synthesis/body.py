"""Neck, shoulders and clothes: lofted from the head's neck loop down to the chest."""

import numpy as np
from numpy.typing import NDArray

from facequery.geometry.rotations import euler_to_matrix
from facequery.head.model import HeadModel
from facequery.synthesis import shading
from facequery.synthesis.backgrounds import muted
from facequery.synthesis.chance import pick
from facequery.synthesis.looks import row
from facequery.synthesis.meshes import Extra
from facequery.synthesis.scene import Scene

# Rows of the loft below the neck loop: y, half width (hanging arms included), half depth, metres.
_ROWS = np.array(
    [(-0.178, 0.064, 0.060), (-0.192, 0.078, 0.068), (-0.207, 0.110, 0.080), (-0.226, 0.150, 0.092),
     (-0.262, 0.190, 0.105), (-0.33, 0.232, 0.115), (-0.50, 0.258, 0.120), (-0.80, 0.262, 0.120)]
)  # fmt: skip
_SHARE = np.clip(np.arange(len(_ROWS) + 1) / 3.0, 0, 1)[:, None, None]  # how far a ring turns with the chest
_ALONG = np.linspace(0, 1, 10)[:, None]  # rings of clothes
_PIVOT = np.array([0.0, -0.11, -0.08])  # where the head turns on the neck


class Body:
    """Builds bodies for heads of one model."""

    def __init__(self, model: HeadModel):
        loop = np.asarray(model.loops["neck"])[::2]
        rest = model.rest[loop]
        centre = rest.mean(0)
        order = np.argsort(np.arctan2(rest[:, 2] - centre[2], rest[:, 0] - centre[0]))
        self._loop = loop[order]
        n = len(loop)
        self._columns = n
        self._angle = np.arctan2(rest[order, 2] - centre[2], rest[order, 0] - centre[0])
        cos, sin = np.cos(self._angle), np.sin(self._angle)
        # Shoulders are boxes with round corners rather than ellipses.
        self._box_x, self._box_z = np.sign(cos) * np.abs(cos) ** 0.85, np.sign(sin) * np.abs(sin) ** 0.85
        self._front = np.clip(sin, 0, 1)
        self._outwards = np.stack([cos, 0.35 + 0 * cos, sin], -1)
        self._flat_outwards = self._outwards * [1, 0, 1]
        self._grids: dict[int, NDArray[np.int32]] = {}

    def grid(self, rows: int) -> NDArray[np.int32]:
        """Triangles of a closed tube of `rows` rings."""
        if rows in self._grids:
            return self._grids[rows]
        i, j = np.meshgrid(np.arange(rows - 1), np.arange(self._columns), indexing="ij")
        a, b = i * self._columns + j, i * self._columns + (j + 1) % self._columns
        c, d = a + self._columns, b + self._columns
        both = np.stack([np.stack([a, b, d], -1), np.stack([a, d, c], -1)], 2)
        self._grids[rows] = both.reshape(-1, 3).astype(np.int32)
        return self._grids[rows]

    def build(self, rng: np.random.Generator, scene: Scene, vertices: NDArray) -> list[Extra]:
        """Skin below the neck, and clothes on it, for canonical head vertices (V, 3)."""
        top = vertices[self._loop].astype(np.float64)
        width = np.exp(rng.normal(0, 0.09))
        middle = top.mean(0)
        shift = middle - np.array([0.0, -0.16, -0.0826])
        body = np.empty((len(_ROWS) + 1, self._columns, 3))
        body[0] = top
        body[1:, :, 0] = self._box_x * (_ROWS[:, 1:2] * width) + shift[0]
        body[1:, :, 1] = _ROWS[:, :1] + shift[1]
        body[1:, :, 2] = self._box_z * (_ROWS[:, 2:] * width) - 0.083 + shift[2]
        euler = scene.view.yaw, scene.view.pitch
        turn = euler_to_matrix(
            float(np.clip(-euler[0] * rng.uniform(0, 0.8), -0.7, 0.7)),
            float(np.clip(-euler[1] * rng.uniform(0, 0.8), -0.35, 0.3)),
            float(rng.normal(0, 0.06)),
        )
        pivot = _PIVOT + shift
        turned = (body - pivot).reshape(-1, 3) @ turn.T + pivot
        body += _SHARE * (turned.reshape(body.shape) - body)
        skin_row = row(
            shading.PLAIN, scene.albedo * 0.95, scene.albedo * 0.8, pattern=40, amount=0.4, specular=0.04, shine=14
        )
        extras = [self._extra(scene, body, skin_row)]
        if rng.random() > 0.05:
            extras.append(self._extra(scene, self._cloth(rng, body), cloth_row(rng)))
        if rng.random() < 0.05:
            extras.append(self._extra(scene, self._scarf(rng, top), cloth_row(rng)))
        return extras

    def _cloth(self, rng: np.random.Generator, body: NDArray) -> NDArray[np.float64]:
        start = rng.uniform(0.25, 2.2) + (rng.uniform(0, 2.5) * self._front**6 if rng.random() < 0.4 else 0.0)
        along = start + (len(body) - 1.001 - start) * _ALONG**1.3
        low = np.clip(along.astype(int), 0, len(body) - 2)
        part = (along - low)[..., None]
        column = np.arange(self._columns)[None]
        upper = body[low, column]
        folds = 0.003 * rng.standard_normal((10, self._columns, 1)) * _ALONG[..., None]
        folds += rng.uniform(0.004, 0.012)
        return upper + part * (body[low + 1, column] - upper) + self._outwards * folds

    def _scarf(self, rng: np.random.Generator, top: NDArray) -> NDArray[np.float64]:
        thick = rng.uniform(0.012, 0.032)
        outwards = self._flat_outwards
        turn = np.linspace(-0.5 * np.pi, 1.5 * np.pi, 10)[:, None, None]
        lumps = 1 + 0.12 * rng.standard_normal((1, self._columns, 1))
        ring = top + outwards * thick * 0.8 + [0, -0.012, 0]
        up = np.array([0, 1.3, 0])
        return ring + thick * lumps * (np.cos(turn) * outwards + np.sin(turn) * up)

    def _extra(self, scene: Scene, rings: NDArray, material: NDArray) -> Extra:
        points = rings.reshape(-1, 3)
        view = scene.view
        camera = points @ view.rotation.T + view.translation
        return Extra(camera.astype(np.float32), points.astype(np.float32), self.grid(len(rings)), material)


def cloth_row(rng: np.random.Generator) -> NDArray[np.float32]:
    """A fabric: plain, mottled, striped or checked."""
    kind = pick(rng, (0, 0, 1, 2))
    amount = rng.uniform(0.1, 0.6) if kind == 0 else rng.uniform(0.3, 1.0) * (rng.random() < 0.5)
    return row(
        shading.CLOTH, muted(rng) * 0.8, muted(rng) * 0.8, pattern=np.exp(rng.uniform(np.log(12), np.log(90))),
        amount=amount, stripe=kind, specular=0.01, shine=8,
    )  # fmt: skip
