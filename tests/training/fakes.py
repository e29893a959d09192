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
        grid = (np.arange(self.size) + 0.5) * 2 / self.size - 1
        distance = (grid[None, :] - centre[0]) ** 2 + (grid[:, None] - centre[1]) ** 2
        image = (np.exp(-distance / 0.05)[..., None] * [255, 200, 150]).astype(np.uint8)
        query = rng.uniform(-1, 1, (QUERIES, 3)).astype(np.float32)
        xy = (centre + 0.3 * query[:, :2] + self.offset).astype(np.float32)
        return Example(image, query, xy, np.ones(QUERIES, np.float32), self.dataset)


def blob_mix(*_: object) -> Mix:
    return Mix([BlobSource(0), BlobSource(1)], [2 / 3, 1 / 3])
