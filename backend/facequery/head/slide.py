"""Points that slide over the skin as the head turns: the contour of 2D layouts is where the face ends in the picture.

A layout may carry, for some of its points or for all, their canonical positions at several yaws of the head against the
camera, and how fast they move with its pitch. A detector asks for the positions at rest first, tells the pose from the
landmarks, and asks again for the points that slide.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

STEEPEST = 30.0  # degrees of pitch beyond which points do not go on sliding
_FEWEST = 4  # points that a pose is told from


@dataclass(frozen=True, eq=False)
class Slide:
    """indices (K,) of the layout's points that slide; yaws (Y,) degrees, ascending, positive when the face turns to the
    subject's left; positions (Y, K, 3) canonical metres at each of them. Between them it is linear, beyond constant.
    tilts (K, 3): metres by which they move with every degree of pitch, positive when the face looks up, to 30 degrees;
    None: they do not."""

    indices: NDArray[np.int64]
    yaws: NDArray[np.float64]
    positions: NDArray[np.float32]
    tilts: NDArray[np.float32] | None = None

    def at(self, yaw: NDArray | float, pitch: NDArray | float = 0.0) -> NDArray[np.float32]:
        """Positions (..., K, 3) at yaws (...,) and pitches (...,) in degrees."""
        place = np.interp(np.asarray(yaw, np.float64), self.yaws, np.arange(len(self.yaws)))
        low = np.minimum(place.astype(int), len(self.yaws) - 2)
        share = (place - low)[..., None, None]
        found = (1 - share) * self.positions[low] + share * self.positions[low + 1]
        if self.tilts is not None:
            found = found + np.clip(pitch, -STEEPEST, STEEPEST)[..., None, None] * self.tilts
        return np.asarray(found, np.float32)

    def followed(self, positions: NDArray, xy: NDArray) -> NDArray[np.float32]:
        """The queries (B, N, 3) to ask for, given positions (N, 3) or (B, N, 3) and their first landmarks (B, N, 2), in
        any square coordinates with x right and y down.

        Positions that are not the layout's own (calibrated ones) keep their distance from it.
        """
        still = self.still(xy.shape[-2])
        moved = np.broadcast_to(np.asarray(positions, np.float32), (*xy.shape[:-1], 3)).copy()
        moved[:, self.indices] += self.at(*pose_of(moved[:, still], xy[:, still])) - self.at(0.0)
        return moved

    def still(self, count: int) -> NDArray[np.int64]:
        """Numbers of the points, of `count`, that tell the pose: those that do not slide, or all where hardly one is
        left."""
        others = np.setdiff1d(np.arange(count), self.indices)
        return others if len(others) >= _FEWEST else np.arange(count)

    def beside(self, other: "Slide | None", count: int) -> "Slide":
        """For a layout of `count` points that is asked for together with another, which comes after it and has the
        same yaws."""
        if other is None:
            return self
        still = (np.zeros((len(each.indices), 3), np.float32) for each in (self, other))
        tilts = [zero if each.tilts is None else each.tilts for each, zero in zip((self, other), still, strict=True)]
        return Slide(
            np.concatenate([self.indices, other.indices + count]), self.yaws,
            np.concatenate([self.positions, other.positions], axis=1), np.concatenate(tilts),
        )  # fmt: skip

    def subset(self, rows: NDArray) -> "Slide | None":
        """For a layout of which only `rows` (M,) are kept, in that order; None when none of them slides."""
        where = {int(i): k for k, i in enumerate(self.indices)}
        kept = [(new, where[int(old)]) for new, old in enumerate(rows) if int(old) in where]
        if not kept:
            return None
        new, old = (np.array(column, np.int64) for column in zip(*kept, strict=True))
        tilts = None if self.tilts is None else self.tilts[old]
        return replace(self, indices=new, positions=self.positions[:, old], tilts=tilts)


def pose_of(positions: NDArray, xy: NDArray) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Yaw and pitch (B,) in degrees, positive to the subject's left and upwards, of faces whose points (B, N, 3),
    canonical, lie at xy (B, N, 2), x right and y down: from where the camera sees the head, whatever its roll.

    The head at rest is laid over the landmarks by scaled orthography: least squares for two rows of a rotation, whose
    third is the camera's axis in the head's. At least four points not in a plane are needed.
    """
    head = np.asarray(positions, np.float64) * [1, -1, -1]
    head = head - head.mean(-2, keepdims=True)
    seen = np.asarray(xy, np.float64)
    seen = seen - seen.mean(-2, keepdims=True)
    rows = np.swapaxes(seen, -1, -2) @ np.swapaxes(np.linalg.pinv(head), -1, -2)  # (B, 2, 3)
    u, _, vt = np.linalg.svd(rows, full_matrices=False)
    rows = u @ vt  # the nearest pair of orthonormal rows
    x, y, z = np.moveaxis(np.cross(rows[..., 0, :], rows[..., 1, :]), -1, 0)
    return np.degrees(np.arctan2(x, z)), np.degrees(np.arcsin(np.clip(-y, -1, 1)))
