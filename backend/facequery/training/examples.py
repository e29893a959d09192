"""What training sees: examples, where they are drawn from, and mixes of sources.

An `Example` is a picture with 3D queries and the 2D points where they lie: every data set is a set of queries defined
once (CLD, section 3.3). A source has `sample(rng) -> Example`; a source of clips has `frames` and `clip(rng)`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

RENDERS, PORTRAITS = 0, 1  # data set numbers; 0 is the reference of the semantic correction
FIRST_SET = 2  # number of the first data set on disk


@dataclass(frozen=True)
class Example:
    """One training picture: `image` (S, S, 3) uint8 RGB, `query` (n, 3) network units, `xy` (n, 2) in the picture's
    [-1, 1] coordinates, `weight` (n,) (0 = unlabelled), `dataset` its number; `unit`, the half side of the face's
    normalised crop over the picture's: 1 when the picture is that crop.
    """

    image: NDArray[np.uint8]
    query: NDArray[np.float32]
    xy: NDArray[np.float32]
    weight: NDArray[np.float32]
    dataset: int
    unit: float = 1.0


@runtime_checkable
class Source(Protocol):
    """Anything that single examples can be drawn from."""

    def sample(self, rng: np.random.Generator) -> Example: ...


@runtime_checkable
class ClipSource(Protocol):
    """Anything that clips can be drawn from: `frames` examples that follow each other, all with the same queries."""

    frames: int

    def clip(self, rng: np.random.Generator) -> list[Example]: ...


def draw(source: Source | ClipSource, rng: np.random.Generator) -> list[Example]:
    """One example, or the frames of one clip."""
    return source.clip(rng) if isinstance(source, ClipSource) else [source.sample(rng)]


def frames_of(source: Source | ClipSource) -> int:
    """How many examples one draw gives."""
    return source.frames if isinstance(source, ClipSource) else 1


class Mix:
    """Sources with weights; `shares` tell a stream how to split batches."""

    def __init__(self, sources: Sequence[Source | ClipSource], weights: Sequence[float]) -> None:
        total = sum(weights)
        if not sources or total <= 0:
            raise ValueError("a mix needs at least one source with a positive weight")
        self.sources = list(sources)
        self.shares = [w / total for w in weights]
        self.frames = [frames_of(source) for source in self.sources]
