"""Prints: pictures that lie on the head's skin, as a texture on its UVs or as a decal placed in a frame."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from facequery.apps.dense import DenseFace, facing, hits
from facequery.errors import DAMAGED, UserError
from facequery.files import check_shapes, load_arrays, save_arrays
from facequery.head.model import HeadModel

VERSION: Final = 1  # of print.npz; files without a number are of the first


@dataclass(frozen=True, eq=False)
class Print:
    """A picture on triangles of the head: `picture` (H, W, 4) linear light, premultiplied; `corners` (T, 3, 2) where it
    lies on the corners of the head's triangles, [0, 1] from its top-left corner, v down; `used` (T,) which triangles
    carry it at all."""

    picture: NDArray[np.float32]
    corners: NDArray[np.float32]
    used: NDArray[np.bool_]

    def save(self, path: Path) -> None:
        """Write the .npz, with which the same print is put on other footage."""
        some = self.corners[self.used]
        save_arrays(path, version=np.array(VERSION, np.int32), picture=self.picture, corners=some, used=self.used)

    @staticmethod
    def load(path: Path, triangle_count: int) -> "Print":
        """Read what `save` wrote, for a head of `triangle_count` triangles. Raises UserError when it is not one."""
        try:
            data = load_arrays(path)
            check_shapes(data, version="i", picture="H W 4 f", corners="N 3 2 f", used="T b")
            picture, some, used = data["picture"], data["corners"], data["used"]
            version = int(data.get("version", 1))
        except DAMAGED as error:
            raise UserError(f'"{path}" is not a print.', "Give a picture, or a print.npz.", "FQ625") from error
        if version > VERSION:
            raise UserError(f'"{path}" was written by a newer FaceQuery.', "Update FaceQuery.", "FQ625")
        if len(used) != triangle_count or len(some) != used.sum():
            raise UserError(f'"{path}" was made for another head.', "Project its picture anew.", "FQ625")
        corners = np.zeros((triangle_count, 3, 2), np.float32)
        corners[used] = some
        return Print(picture, corners, used)

    def vertices(self, triangles: NDArray) -> NDArray[np.int64]:
        """The vertices of the triangles that carry it."""
        return np.unique(triangles[self.used])


def texture_print(model: HeadModel, picture: NDArray, triangle_count: int) -> Print:
    """A picture (H, W, 4) painted on the skin's UV atlas."""
    corners = np.asarray(model.uv[model.triangles_uv[:triangle_count]], np.float32) * [1, -1] + [0, 1]
    used = np.zeros(triangle_count, bool)
    used[model.parts["skin"].triangles] = True
    return Print(picture, corners.astype(np.float32), used)


def decal_print(
    face: DenseFace,
    model: HeadModel,
    triangles: NDArray,
    picture: NDArray,
    at: tuple[float, float],
    width: float,
    rotation: float = 0.0,
    pixel_aspect: float = 1.0,
) -> Print:
    """A picture (H, W, 4) as it would lie on a frame: its middle at the plate pixel `at`, `width` pixels wide, turned
    clockwise by `rotation` radians; it sticks to the skin that is seen there. On a squeezed plate it is squeezed as all
    else is.

    In the frame of `face` it looks exactly like the flat picture, whatever the shape below it.
    """
    square = np.array([pixel_aspect, 1.0])  # plate pixels to square ones
    size = width * pixel_aspect * np.array([1, picture.shape[0] / picture.shape[1]])
    c, s = np.cos(rotation), np.sin(rotation)
    away = (face.xy.astype(np.float64) - at) * square @ np.array([[c, -s], [s, c]])  # turned back
    place = away / size + 0.5
    corners = place[triangles]
    used = facing(face.xy, triangles) & _in_front(face, triangles)
    used[model.parts["skin"].triangles.stop :] = False
    used &= ((corners.max(1) > 0) & (corners.min(1) < 1)).all(1)
    return Print(picture, corners.astype(np.float32), used)


def _in_front(face: DenseFace, triangles: NDArray) -> NDArray[np.bool_]:
    """(T,) triangles of whose corners one at least is not behind another surface."""
    shown, bary = hits(face, triangles, face.xy, resolution=512)
    depth = (face.depth[triangles[np.maximum(shown, 0)]] * bary).sum(1)
    free = (shown < 0) | (face.depth < depth + 0.004)
    return free[triangles].any(1)
