"""Shapes beside the identity basis for rendered heads: a fixed number of them for each split, made when first drawn."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from facequery.head.model import HeadModel
from facequery.synthesis.cycles.person import off_basis
from facequery.synthesis.library import SPLITS

_SEED = 77


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
