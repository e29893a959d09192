"""What each sub-sample of a plate shows of a head: the triangle in front and the place on it, in strips."""

from collections.abc import Iterator
from dataclasses import dataclass

import numba
import numpy as np
from numpy.typing import NDArray

from facequery.apps.dense import DenseFace, facing
from facequery.geometry.rasterize import rasterize
from facequery.head.model import HeadModel

_STRIP = 4_000_000  # sub-samples held at once


@dataclass(frozen=True, eq=False)
class Strip:
    """Sub-samples of the plate's rows [top, top + h) and columns [left, left + w), `samples` a pixel and axis.

    triangle (h s, w s), -1 where the head is not; bary (h s, w s, 3)."""

    left: int
    top: int
    samples: int
    triangle: NDArray[np.int32]
    bary: NDArray[np.float32]

    def of_vertices(self, values: NDArray, triangles: NDArray) -> NDArray[np.float32]:
        """Values (V,) of vertices, interpolated; 0 where the head is not."""
        return self.of_corners(np.asarray(values, np.float32)[triangles][..., None])[..., 0]

    def of_corners(self, values: NDArray) -> NDArray[np.float32]:
        """Values (T, 3, C) of triangles' corners, interpolated (h s, w s, C); 0 where the head is not."""
        out = np.zeros((*self.triangle.shape, values.shape[2]), np.float32)
        _interpolate(self.triangle, self.bary, np.ascontiguousarray(values, np.float32), out)
        return out

    def pixels(self, samples: NDArray) -> NDArray[np.float32]:
        """Sub-samples (h s, w s[, C]) averaged over pixels (h, w[, C])."""
        s = self.samples
        h, w = samples.shape[0] // s, samples.shape[1] // s
        return samples.reshape(h, s, w, s, *samples.shape[2:]).mean((1, 3), dtype=np.float32)

    @property
    def window(self) -> tuple[slice, slice]:
        """The rows and columns of the plate."""
        h, w = (n // self.samples for n in self.triangle.shape)
        return slice(self.top, self.top + h), slice(self.left, self.left + w)


def strips(
    face: DenseFace, triangles: NDArray, width: int, height: int, samples: int = 3, within: NDArray | None = None
) -> Iterator[Strip]:
    """The part of a plate of `width` x `height` pixels that a dense face covers, strip by strip from the top.

    `within` (n,) vertices bound the part that is wanted; all of the head hides. A picture of 4K takes no more memory
    than a small one.
    """
    bounds = face.xy if within is None else face.xy[within]
    bounds = bounds[np.isfinite(bounds).all(1)]
    if not len(bounds):
        return
    low = np.maximum(np.floor(bounds.min(0)).astype(int) - 1, 0)
    high = np.minimum(np.ceil(bounds.max(0)).astype(int) + 1, [width, height])
    if (high <= low).any():
        return
    columns = int(high[0] - low[0])
    rows = max(1, _STRIP // (columns * samples * samples))
    corners = face.xy[triangles]
    front = facing(face.xy, triangles)  # what is seen from inside, such as the back of the lips, hides nothing
    lowest, highest = corners[..., 1].min(1), corners[..., 1].max(1)
    beside = (corners[..., 0].max(1) < low[0]) | (corners[..., 0].min(1) > high[0])
    for top in range(int(low[1]), int(high[1]), rows):
        count = min(rows, int(high[1]) - top)
        near = np.flatnonzero((highest >= top) & (lowest <= top + count) & front & ~beside)
        xy = (face.xy - [low[0], top]) * samples
        drawn, _, bary = rasterize(xy, face.depth, triangles[near], columns * samples, count * samples)
        if len(near):
            drawn = np.where(drawn >= 0, near[np.maximum(drawn, 0)], -1).astype(np.int32)
        yield Strip(int(low[0]), top, samples, drawn, bary)


def corner_uv(model: HeadModel, count: int) -> NDArray[np.float32]:
    """(T, 3, 2) texture coordinates of the corners of the first `count` triangles, v up."""
    return np.asarray(model.uv[model.triangles_uv[:count]], np.float32)


@numba.njit(cache=True)
def _interpolate(triangle, bary, values, out):  # type: ignore[no-untyped-def]
    for y in range(triangle.shape[0]):
        for x in range(triangle.shape[1]):
            t = triangle[y, x]
            if t >= 0:
                for c in range(values.shape[2]):
                    out[y, x, c] = (
                        bary[y, x, 0] * values[t, 0, c]
                        + bary[y, x, 1] * values[t, 1, c]
                        + bary[y, x, 2] * values[t, 2, c]
                    )
