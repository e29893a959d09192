"""Small stand-ins for data sources, importable by the processes that make images."""

import numpy as np
from facequery.training.examples import Example, Mix

SIZE, QUERIES = 64, 16


class BlobSource:
    """A bright blob on a dark ground; each query's landmark is the blob's centre plus the query's x and y, scaled."""

    def __init__(self, dataset: int = 0, offset: float = 0.0, size: int = SIZE) -> None:
        self.dataset, self.offset, self.size = dataset, offset, size

    def sample(self, rng: np.random.Generator) -> Example:
        centre = rng.uniform(-0.5, 0.5, 2)
        return self.at(centre, rng.uniform(-1, 1, (QUERIES, 3)).astype(np.float32))

    def at(self, centre: np.ndarray, query: np.ndarray) -> Example:
        grid = (np.arange(self.size) + 0.5) * 2 / self.size - 1
        distance = (grid[None, :] - centre[0]) ** 2 + (grid[:, None] - centre[1]) ** 2
        image = (np.exp(-distance / 0.05)[..., None] * [255, 200, 150]).astype(np.uint8)
        xy = (centre + 0.3 * query[:, :2] + self.offset).astype(np.float32)
        return Example(image, query, xy, np.ones(QUERIES, np.float32), self.dataset)


def blob_mix(*_: object) -> Mix:
    return Mix([BlobSource(0), BlobSource(1)], [2 / 3, 1 / 3])


class BlobClips:
    """A blob that moves; every frame has the same queries."""

    def __init__(self, frames: int = 4, dataset: int = 0) -> None:
        self.frames, self.still = frames, BlobSource(dataset)

    def clip(self, rng: np.random.Generator) -> list[Example]:
        seed, step = int(rng.integers(2**31)), rng.normal(0, 0.02, 2)
        query = rng.uniform(-1, 1, (QUERIES, 3)).astype(np.float32)
        frames = []
        for number in range(self.frames):
            one = self.still.at(np.random.default_rng(seed).uniform(-0.4, 0.4, 2) + number * step, query)
            frames.append(one)
        return frames


def clip_mix(*_: object) -> Mix:
    return Mix([BlobSource(0), BlobClips()], [0.5, 0.5])
