"""Points that slide over the skin as the head turns: the contour of 2D layouts is where the face ends in the picture.

A layout may carry, for some of its points, their canonical positions at several yaws of the head against the camera. A
detector asks for the positions at rest first, tells the yaw from the landmarks of the other points, and asks again for
those that slide.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Slide:
    """indices (K,) of the layout's points that slide; yaws (Y,) degrees, ascending, positive when the face turns to the
    subject's left; positions (Y, K, 3) canonical metres at each of them. Between them it is linear, beyond constant."""

    indices: NDArray[np.int64]
    yaws: NDArray[np.float64]
    positions: NDArray[np.float32]

    def at(self, yaw: NDArray | float) -> NDArray[np.float32]:
        """Positions (..., K, 3) at yaws (...,) in degrees."""
        place = np.interp(np.asarray(yaw, np.float64), self.yaws, np.arange(len(self.yaws)))
        low = np.minimum(place.astype(int), len(self.yaws) - 2)
        share = (place - low)[..., None, None]
        return ((1 - share) * self.positions[low] + share * self.positions[low + 1]).astype(np.float32)

    def followed(self, positions: NDArray, xy: NDArray) -> NDArray[np.float32]:
        """The queries (B, N, 3) to ask for, given positions (N, 3) or (B, N, 3) and their first landmarks (B, N, 2), in
        any square coordinates with x right and y down.

        Positions that are not the layout's own (calibrated ones) keep their distance from it.
        """
        still = np.setdiff1d(np.arange(xy.shape[-2]), self.indices)
        moved = np.broadcast_to(np.asarray(positions, np.float32), (*xy.shape[:-1], 3)).copy()
        moved[:, self.indices] += self.at(yaw_of(moved[:, still], xy[:, still])) - self.at(0.0)
        return moved

    def repeated(self, count: int) -> "Slide":
        """For a layout of `count` points that is asked for twice, one copy after the other."""
        both = np.concatenate([self.indices, self.indices + count])
        return Slide(both, self.yaws, np.concatenate([self.positions, self.positions], axis=1))

    def subset(self, rows: NDArray) -> "Slide | None":
        """For a layout of which only `rows` (M,) are kept, in that order; None when none of them slides."""
        where = {int(i): k for k, i in enumerate(self.indices)}
        kept = [(new, where[int(old)]) for new, old in enumerate(rows) if int(old) in where]
        if not kept:
            return None
        new, old = (np.array(column, np.int64) for column in zip(*kept, strict=True))
        return Slide(new, self.yaws, self.positions[:, old])


def yaw_of(positions: NDArray, xy: NDArray) -> NDArray[np.float64]:
    """Yaw (B,) in degrees, positive to the subject's left, of faces whose points (B, N, 3), canonical, lie at xy
    (B, N, 2), x right and y down.

    The head at rest is laid over the landmarks by scaled orthography: least squares for two rows of a rotation, whose
    third gives the direction in which the nose points. At least four points not in a plane are needed.
    """
    head = np.asarray(positions, np.float64) * [1, -1, -1]
    head = head - head.mean(-2, keepdims=True)
    seen = np.asarray(xy, np.float64)
    seen = seen - seen.mean(-2, keepdims=True)
    rows = np.swapaxes(seen, -1, -2) @ np.swapaxes(np.linalg.pinv(head), -1, -2)  # (B, 2, 3)
    u, _, vt = np.linalg.svd(rows, full_matrices=False)
    rows = u @ vt  # the nearest pair of orthonormal rows
    depth = np.cross(rows[..., 0, :], rows[..., 1, :])
    return np.degrees(np.arctan2(-rows[..., 0, 2], depth[..., 2]))
