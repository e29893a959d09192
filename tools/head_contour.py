"""Where the face ends in the picture: the outline of the head at rest, seen from several directions.

The skin is unwrapped about the axis that points out of the face, so that every half-plane through it (a meridian)
crosses the face once from front to side. On each, the outline is where the skin turns away from the camera, and at the
farthest where it does so for a camera straight in front: what lies behind that belongs to ear, neck and nape.
"""

import numpy as np
from facequery.geometry.rasterize import rasterize
from facequery.geometry.rotations import euler_to_matrix
from facequery.head import HeadModel
from facequery.head.slide import Slide
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

YAWS = (-60.0, -45.0, -30.0, -15.0, 0.0, 15.0, 30.0, 45.0, 60.0)
TOP = -0.0067  # canonical height at which contours begin: in front of the ear (MediaPipe's points 127 and 356)
_MIDDLE = np.array([0.0, -0.045])  # x, y of the axis
_DISTANCE = 1.2  # metres from the camera
_COLUMNS, _ROWS = 320, 480  # of the unwrapped skin: turn and depth
_TURN, _DEPTH = (-8.0, 130.0), (-0.07, 0.06)  # degrees from straight down to the subject's right, metres of z
_GRAZING = ((25.0, 70.0), (0.2, 0.06))  # cosine at which skin counts as turned away, below the chin and at the cheeks
_INNER = 0.55  # share of a meridian's width inside which there are nose and lips, no outline


class Outline:
    """The unwrapped skin of one head at rest."""

    def __init__(self, model: HeadModel):
        skin = model.parts["skin"]
        vertices, triangles = model.rest.astype(np.float64), model.triangles[skin.triangles]
        ear = np.zeros(len(vertices), bool)
        ear[skin.vertices] = model.region_mask("ear_left") | model.region_mask("ear_right")
        across = vertices[:, :2] - _MIDDLE
        width = np.linalg.norm(across, axis=1)
        turn = np.degrees(np.arctan2(-across[:, 0], -across[:, 1]))
        kept = (
            (np.abs(turn[triangles]).max(1) < 150) & (vertices[triangles][:, :, 2].max(1) > -0.09)
            & (width[triangles].min(1) > 0.004) & ~ear[triangles].any(1)
        )  # fmt: skip
        triangles = triangles[kept]
        place = np.stack(
            [(turn - _TURN[0]) / np.ptp(_TURN) * _COLUMNS, (_DEPTH[1] - vertices[:, 2]) / np.ptp(_DEPTH) * _ROWS], 1
        )
        ids, _, bary = rasterize(place, 1 - width, triangles, _COLUMNS, _ROWS)  # the outermost skin wins
        self.seen = ids >= 0
        self.points = np.einsum("hwk,hwkc->hwc", bary, vertices[triangles[ids]])
        normals = np.zeros_like(vertices)
        face = np.cross(
            vertices[triangles[:, 1]] - vertices[triangles[:, 0]], vertices[triangles[:, 2]] - vertices[triangles[:, 0]]
        )
        for corner in range(3):
            np.add.at(normals, triangles[:, corner], face)
        normals /= np.linalg.norm(normals, axis=1, keepdims=True) + 1e-12
        self.normals = np.einsum("hwk,hwkc->hwc", bary, normals[triangles[ids]])
        self.width = np.where(self.seen, np.linalg.norm(self.points[..., :2] - _MIDDLE, axis=-1), 0)
        self.farthest = np.full(_COLUMNS, _ROWS)
        self.farthest = self._ends(0.0, 1.0)

    def _ends(self, yaw: float, side: float) -> NDArray[np.int64]:
        """Row of each column's outline; side -1: of the mirrored half, the subject's left."""
        flip = np.array([side, 1.0, 1.0])
        rotation = rotation_of(yaw)
        camera = (self.points * flip) @ rotation.T + [0, 0, _DISTANCE]
        away = camera / np.linalg.norm(camera, axis=-1, keepdims=True)
        facing = -(((self.normals * flip) @ rotation.T) * away).sum(-1)
        turns = _TURN[0] + (np.arange(_COLUMNS) + 0.5) / _COLUMNS * np.ptp(_TURN)
        ends = np.zeros(_COLUMNS, np.int64)
        for j in range(_COLUMNS):
            rows = np.flatnonzero(self.seen[:, j])
            rows = rows[(self.width[rows, j] > _INNER * self.width[:, j].max(initial=0)) & (rows <= self.farthest[j])]
            if len(rows):
                hidden = np.flatnonzero(gaussian_filter1d(facing[rows, j], 3) < np.interp(turns[j], *_GRAZING))
                ends[j] = rows[hidden[0]] if len(hidden) else rows[-1]
        return ends

    def half(self, yaw: float, side: float, count: int) -> NDArray[np.float64]:
        """`count` points (count, 3) from the chin upwards, even in the picture of a head of this yaw, degrees."""
        first = int(-_TURN[0] / np.ptp(_TURN) * _COLUMNS)  # straight down
        ends = self._ends(yaw, side)
        columns = np.arange(first, _COLUMNS)[ends[first:] > 0]
        line = gaussian_filter1d(self.points[ends[columns], columns], 3, axis=0, mode="nearest") * [side, 1, 1]
        above = np.flatnonzero(line[:, 1] > TOP)
        line = line[: above[0] + 1] if len(above) else line
        flat = (line @ rotation_of(yaw).T)[:, :2]
        along = np.r_[0, np.cumsum(np.linalg.norm(np.diff(flat, axis=0), axis=1))]
        return np.stack([np.interp(np.linspace(0, along[-1], count), along, line[:, k]) for k in range(3)], 1)

    def contour(self, yaw: float = 0.0, count: int = 17) -> NDArray[np.float64]:
        """`count` (odd) points (count, 3) of the outline from the right ear over the chin to the left ear, each side
        evenly spaced, as the annotators of 300-W and WFLW have them."""
        right, left = (self.half(yaw, side, count // 2 + 1) for side in (1.0, -1.0))
        return np.concatenate([right[:0:-1], 0.5 * (right[:1] + left[:1]), left[1:]])

    def slide(self, count: int = 17) -> Slide:
        """The outline at all YAWS, as the first `count` points of a layout."""
        forward = {yaw: self.contour(yaw, count) for yaw in YAWS if yaw >= 0}
        rows = [forward[yaw] if yaw >= 0 else forward[-yaw][::-1] * [-1, 1, 1] for yaw in YAWS]
        return Slide(np.arange(count), np.array(YAWS), np.stack(rows).astype(np.float32))


def rotation_of(yaw: float) -> NDArray[np.float64]:
    """Canonical space to a camera before a head of this yaw, degrees (3, 3)."""
    to_camera = np.diag([1.0, -1.0, -1.0])
    return np.asarray(to_camera @ euler_to_matrix(np.radians(yaw), 0.0, 0.0), np.float64)
