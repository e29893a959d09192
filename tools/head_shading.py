"""Simple pictures of meshes for looking at the head: orthographic-like camera, three lights, supersampled, layered."""

from dataclasses import dataclass

import cv2
import numpy as np
from facequery.geometry.rasterize import rasterize
from facequery.geometry.rotations import euler_to_matrix
from numpy.typing import NDArray

COLOURS = {  # sRGB 0..1
    "skin": (0.80, 0.66, 0.58), "eye_left": (0.93, 0.93, 0.92), "eye_right": (0.93, 0.93, 0.92),
    "teeth_upper": (0.93, 0.91, 0.85), "teeth_lower": (0.93, 0.91, 0.85), "gums_tongue": (0.72, 0.38, 0.38),
    "cranium": (0.89, 0.83, 0.71), "mandible": (0.84, 0.72, 0.52),
}  # fmt: skip
BACKGROUND = 0.94
SUPERSAMPLE = 2


@dataclass(frozen=True)
class View:
    """A camera far in front of the head: yaw and pitch in degrees, centre in canonical metres, height shown."""

    yaw: float = 0.0
    pitch: float = 0.0
    centre: tuple[float, float, float] = (0.0, -0.02, -0.06)
    height: float = 0.36
    size: tuple[int, int] = (640, 640)  # width, height in pixels

    def project(self, points: NDArray) -> tuple[NDArray, NDArray]:
        """Pixels (N, 2) and depth (N,) of canonical points (N, 3)."""
        rotation = euler_to_matrix(np.radians(self.yaw), np.radians(self.pitch), 0.0)
        local = (np.asarray(points, np.float64) - self.centre) @ rotation.T
        depth = 1.6 - local[:, 2]
        width, height = self.size
        focal = height * 1.6 / self.height
        return np.stack([width / 2 + focal * local[:, 0] / depth, height / 2 - focal * local[:, 1] / depth], 1), depth

    def turned(self, normals: NDArray) -> NDArray:
        """Directions (N, 3) in the camera's axes (x right, y up, z towards the camera)."""
        return normals @ euler_to_matrix(np.radians(self.yaw), np.radians(self.pitch), 0.0).T


def vertex_normals(points: NDArray, triangles: NDArray) -> NDArray[np.float64]:
    """Area-weighted unit normals (V, 3)."""
    corner = np.asarray(points, np.float64)[triangles]
    face = np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0])
    out = np.zeros((len(points), 3))
    for k in range(3):
        for axis in range(3):
            out[:, axis] += np.bincount(triangles[:, k], face[:, axis], len(points))
    return out / np.linalg.norm(out, axis=1, keepdims=True).clip(1e-12)


def layer(
    view: View, vertices: NDArray, triangles: NDArray, colour: NDArray, normals: NDArray | None = None
) -> tuple[NDArray, NDArray, NDArray]:
    """Shaded colours (H, W, 3) at supersampled size, coverage (H, W), depth (H, W) of one mesh; colour (V, 3)."""
    xy, depth = view.project(vertices)
    width, height = view.size[0] * SUPERSAMPLE, view.size[1] * SUPERSAMPLE
    index, z, bary = rasterize(xy * SUPERSAMPLE, depth, triangles, width, height)
    hit = index >= 0
    corner = triangles[index[hit]]
    if normals is None:
        normals = vertex_normals(vertices, triangles)
    normal = view.turned(np.einsum("nk,nkc->nc", bary[hit], normals[corner]))
    normal /= np.linalg.norm(normal, axis=1, keepdims=True).clip(1e-9)
    normal *= np.where(normal[:, 2:] < 0, -1, 1)  # both sides are drawn
    albedo = np.einsum("nk,nkc->nc", bary[hit], colour[corner]) ** 2.2
    light = np.full((len(normal), 1), 0.16)
    for direction, strength in (((-0.5, 0.6, 0.65), 0.62), ((0.8, 0.1, 0.5), 0.22), ((0.0, 0.9, -0.3), 0.12)):
        d = np.array(direction) / np.linalg.norm(direction)
        light = light + strength * np.maximum(0, normal @ d)[:, None]
    shine = np.maximum(0, normal @ (np.array([-0.3, 0.4, 1.6]) / np.linalg.norm([-0.3, 0.4, 1.6])))[:, None] ** 40
    picture = np.full((height, width, 3), BACKGROUND**2.2)
    picture[hit] = albedo * light * 1.15 + 0.05 * shine
    return picture, hit.astype(float), z


def finished(picture: NDArray) -> NDArray[np.uint8]:
    """Linear supersampled picture to 8-bit sRGB-like RGB."""
    h, w = picture.shape[:2]
    small = cv2.resize(picture, (w // SUPERSAMPLE, h // SUPERSAMPLE), interpolation=cv2.INTER_AREA)
    return (np.clip(small, 0, 1) ** (1 / 2.2) * 255 + 0.5).astype(np.uint8)


def over(top: NDArray, alpha: NDArray, under: NDArray) -> NDArray:
    """Composite a layer with coverage times opacity `alpha` (H, W) over another picture."""
    return top * alpha[..., None] + under * (1 - alpha[..., None])
