"""Heads that the identity basis does not hold: smooth shapes beside it, and brows and lips where it never puts them."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from facequery.head.layouts import load_layout
from facequery.head.model import HeadModel
from facequery.synthesis import kernels
from facequery.synthesis.cycles.person import off_basis
from facequery.synthesis.library import SPLITS

_SEED = 77
# The basis varies brows and lips less than photographs do (brow height over the eye distance: 1.5 % against some 4 %),
# and a detector that learns from it answers the mean. These shapes move them; as features of a person they may be
# negative, and the two sides hardly differ: weight of both sides, standard deviation.
_FEATURES = {
    "browInnerUp": 0.32, "browOuterUp": 0.42, "mouthRollUpper": 0.22, "mouthRollLower": 0.12, "mouthShrugUpper": 0.22,
    "mouthPucker": 0.2,
}  # fmt: skip
_ASYMMETRY = 0.25  # of a side's own deviation, over that of both
# How far along themselves brows reach is a person's own too, and no basis has it: of the subject's right brow, the end
# (a point of ibug68), the end that it moves away from, standard deviation in metres, reach of the move in metres.
_BROW_ENDS = ((17, 19, 0.003, 0.013), (21, 19, 0.0025, 0.013))


@dataclass(frozen=True)
class OffBasisShapes(Sequence[NDArray[np.float32]]):
    """`total` smooth shapes (V, 3), metres, of `rms` metres over the face, that the basis does not hold (see
    `off_basis`); split and number alone decide on a shape, and no two splits share one."""

    model: HeadModel
    split: str
    rms: float
    total: int
    _made: dict[int, NDArray[np.float32]] = field(default_factory=dict, repr=False)

    def __len__(self) -> int:
        return self.total

    def __getitem__(self, index: int) -> NDArray[np.float32]:  # type: ignore[override]
        if not 0 <= index < self.total:
            raise IndexError(index)
        if index not in self._made:
            rng = np.random.default_rng([SPLITS.index(self.split), _SEED, index])
            self._made[index] = off_basis(rng, self.model, self.rms).astype(np.float32)
        return self._made[index]


def _along_brow(model: HeadModel, end: int, middle: int, reach: float, side: float) -> NDArray[np.float64]:
    """Offsets (n, 3) of the skin's vertices, 1 at the end of a brow and fading over `reach` metres, along the skin away
    from the brow's middle; side 1: the subject's right, -1: left."""
    part = model.parts["skin"]
    points = load_layout("ibug68").positions[[end, middle]] * [side, 1, 1]
    rest = np.ascontiguousarray(model.rest[part.vertices], np.float32)
    normals = np.empty_like(rest)
    kernels.vertex_normals(rest, model.triangles[part.triangles] - part.vertices.start, normals)
    way = points[0] - points[1]
    way = way / np.linalg.norm(way)
    along = way - (normals @ way)[:, None] * normals
    near = np.exp(-(((rest - points[0]) / reach) ** 2).sum(1))
    return np.asarray(near[:, None] * along)


@dataclass(frozen=True)
class Features:
    """Heights and lengths of brows and thickness and place of lips as features of people: shapes that expressions use
    too, and moves of the brows' ends along the skin, which carry the texture with them.

    `shapes` (k, n, 3), metres, of the skin at full weight; `spread` (k,) standard deviations; `pair` (k,) which shapes
    are the two sides of one.
    """

    vertices: slice
    total: int
    shapes: NDArray[np.float32]
    spread: NDArray[np.float32]
    pair: NDArray[np.int64]

    @staticmethod
    def of(model: HeadModel) -> "Features":
        skin = model.parts["skin"].vertices
        rows, spread, pair = [], [], []
        for number, (name, deviation) in enumerate(_FEATURES.items()):
            for full in (name, name + "Left", name + "Right"):
                if full in model.expression_names:
                    rows.append(np.asarray(model.expression_basis[model.expression_names.index(full), skin]))
                    spread.append(deviation)
                    pair.append(number)
        for end, middle, deviation, reach in _BROW_ENDS:
            for side in (1.0, -1.0):
                rows.append(_along_brow(model, end, middle, reach, side))
                spread.append(deviation)
                pair.append(pair[-1] + (side > 0))
        shapes = np.stack(rows).astype(np.float32)
        return Features(skin, len(model.rest), shapes, np.array(spread, np.float32), np.array(pair))

    def draw(self, rng: np.random.Generator, strength: float) -> NDArray[np.float32]:
        """Offsets (V, 3), metres, of one person; `strength` 1 for the variety of photographs."""
        both = rng.normal(0, 1, self.pair.max() + 1)[self.pair] + _ASYMMETRY * rng.normal(0, 1, len(self.pair))
        weights = (strength * self.spread * both.clip(-2, 2)).astype(np.float32)
        offsets = np.zeros((self.total, 3), np.float32)
        offsets[self.vertices] = np.tensordot(weights, self.shapes, 1)
        return offsets
