"""Meshes as the renderer draws them: the head's, and whatever is put on or in front of it."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from facequery.assets import asset
from facequery.geometry.rasterize import rasterize
from facequery.head.model import HeadModel

HEAD_ROWS = {"skin": 0, "eye_left": 1, "eye_right": 2, "teeth_upper": 3, "teeth_lower": 3, "gums_tongue": 4}


@dataclass(frozen=True)
class Extra:
    """A mesh beside the head's: vertices (V, 3) camera space, metres; rest (V, 3) coordinates of its pattern; triangles
    (T, 3); row of the material table; corner_uv (T, 3, 2) or None; layer of the alpha textures, -1 for none."""

    vertices: NDArray[np.float32]
    rest: NDArray[np.float32]
    triangles: NDArray[np.int32]
    row: NDArray[np.float32]
    corner_uv: NDArray[np.float32] | None = None
    layer: int = -1
    cutoff: int = 110


@dataclass(frozen=True)
class HeadMesh:
    """The drawn parts of a head model (everything but bones): triangles (T, 3), material (T,) as HEAD_ROWS, corner_uv
    (T, 3, 2) of the skin on its texture (0 elsewhere), occlusion (V,) how open each vertex lies to the sky;
    the first skin_triangles are the skin's; rim (2, n) vertices of the upper and lower lip that meet."""

    model: HeadModel
    vertex_count: int
    triangles: NDArray[np.int32]
    material: NDArray[np.int32]
    corner_uv: NDArray[np.float32]
    occlusion: NDArray[np.float32]
    skin_triangles: int
    rim: NDArray[np.int32]

    @cached_property
    def closed_triangles(self) -> int:
        """How many triangles, from the first on, can be seen while the lips are closed: no teeth, no gums."""
        return int(np.argmax(self.material >= HEAD_ROWS["teeth_upper"]))

    @cached_property
    def closed_vertices(self) -> int:
        """How many vertices, from the first on, they use."""
        return int(self.triangles[: self.closed_triangles].max()) + 1

    def mouth_is_closed(self, vertices: NDArray) -> bool:
        """Whether the lips of canonical vertices (V, 3) touch at three places, as they do at rest."""
        rim = vertices[self.rim]
        return bool((rim[0, :, 1] - rim[1, :, 1]).max() < 0.0009)

    @staticmethod
    def of(model: HeadModel) -> "HeadMesh":
        """Prepares a model; takes about a second."""
        names = [n for n in model.parts if n in HEAD_ROWS]
        pieces = {n: model.triangles[model.parts[n].triangles] for n in names}
        for eye, name in enumerate(("eye_left", "eye_right")):  # an eyeball's back is never seen
            behind = model.rest[pieces[name]].mean(1)[:, 2] < model.eye_centres_rest[eye, 2] - 0.002
            pieces[name] = pieces[name][~behind]
        triangles = np.concatenate(list(pieces.values())).astype(np.int32)
        material = np.repeat([HEAD_ROWS[n] for n in names], [len(p) for p in pieces.values()]).astype(np.int32)
        source = source_uv()
        corner_uv = np.zeros((len(triangles), 3, 2), np.float32)
        count = int((material == 0).sum())
        corner_uv[:count] = source[:count] * [0.5, 1.0]
        vertex_count = max(model.parts[n].vertices.stop for n in names)
        return HeadMesh(
            model, vertex_count, triangles, material, corner_uv, _occlusion(model, triangles, vertex_count), count,
            _lip_rims(model),
        )  # fmt: skip


def _lip_rims(model: HeadModel) -> NDArray[np.int32]:
    """Pairs (2, n) of vertices of the upper and the lower lip, which meet when the mouth is closed."""
    lips = np.flatnonzero(model.region_mask("lips"))
    rest = model.rest[lips]
    upper = [(-0.010, -0.0691, 0.0322), (0.0, -0.0694, 0.0342), (0.010, -0.0691, 0.0322)]
    lower = [(-0.0107, -0.0699, 0.0318), (0.0, -0.0701, 0.0339), (0.0107, -0.0699, 0.0318)]
    return np.array([[lips[int(np.argmin(((rest - p) ** 2).sum(1)))] for p in row] for row in (upper, lower)], np.int32)


def source_uv() -> NDArray[np.float32]:
    """Corner UVs (T, 3, 2) of the head's triangles on the source's tiles, u = tile + fraction, v up."""
    with np.load(asset("head/render.npz"), allow_pickle=False) as data:
        return data["uv_source"].astype(np.float32)


def _occlusion(model: HeadModel, triangles: NDArray, vertex_count: int, directions: int = 48) -> NDArray[np.float32]:
    """Share of a hemisphere of sky, cosine weighted, that each vertex sees: lips apart for what is inside the mouth."""
    rest = np.asarray(model.rest)[:vertex_count]
    expression = np.zeros(len(model.expression_names), np.float32)
    expression[model.expression_names.index("jawOpen")] = 0.35
    opened = model.vertices(None, expression)[:vertex_count]
    closed = _visible_sky(rest, triangles, directions)
    inside = np.ones(vertex_count, bool)
    inside[: model.parts["eye_right"].vertices.stop] = False
    result = np.where(inside, np.clip(_visible_sky(opened, triangles, directions) * 2.2, 0.42, 1), closed)
    for name in ("teeth_upper", "teeth_lower"):
        teeth = model.parts[name].vertices
        result[teeth] = np.clip(result[teeth] * 1.5, 0.6, 1)
    for name in ("eye_left", "eye_right"):
        result[model.parts[name].vertices] = 0.58
    lips = np.flatnonzero(model.region_mask("lips"))
    result[lips] = np.maximum(result[lips], 0.55)  # lips move; their contact shadow cannot be baked
    return np.clip(result, 0.03, 1.0).astype(np.float32)


def _visible_sky(vertices: NDArray, triangles: NDArray, directions: int) -> NDArray[np.float64]:
    face = np.cross(
        vertices[triangles[:, 1]] - vertices[triangles[:, 0]], vertices[triangles[:, 2]] - vertices[triangles[:, 0]]
    )
    normals = np.zeros_like(vertices)
    for corner in range(3):
        np.add.at(normals, triangles[:, corner], face)
    normals /= np.linalg.norm(normals, axis=1, keepdims=True) + 1e-12
    k = np.arange(directions) + 0.5
    polar, turn = np.arccos(1 - 2 * k / directions), np.pi * (1 + 5**0.5) * k
    sky = np.stack([np.cos(turn) * np.sin(polar), np.sin(turn) * np.sin(polar), np.cos(polar)], -1)
    seen, total = np.zeros(len(vertices)), np.zeros(len(vertices))
    size, half = 160, 0.26
    middle = vertices.mean(0)
    for d in sky:
        helper = np.array([0, 1.0, 0]) if abs(d[1]) < 0.9 else np.array([1.0, 0, 0])
        right = np.cross(helper, d)
        right /= np.linalg.norm(right)
        p = vertices - middle
        xy = np.stack([p @ right, -(p @ np.cross(d, right))], -1) / half * size / 2 + size / 2
        height = p @ d
        _, depth, _ = rasterize(xy, 1.0 / (2.0 + height), triangles, size, size)
        i = np.clip(xy[:, 1].astype(int), 0, size - 1)
        j = np.clip(xy[:, 0].astype(int), 0, size - 1)
        top = 1.0 / depth[i, j] - 2.0
        cosine = np.clip(normals @ d, 0, None)
        total += cosine
        seen += cosine * (height > top - 0.004)
    return seen / np.maximum(total, 1e-6)
