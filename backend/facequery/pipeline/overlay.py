"""Drawing over a plate: landmarks coloured by error, shaded meshes, captions. Square pixels, RGB."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from facequery.geometry.rasterize import rasterize

Picture = NDArray[np.uint8]
Colour = tuple[int, int, int]

_GOOD, _FAIR, _POOR = np.array([70, 225, 120.0]), np.array([250, 210, 60.0]), np.array([240, 60, 50.0])
_LIGHT = np.array([-0.35, -0.55, -0.76])  # towards the light in camera space: above, left of and behind the camera
_WIRE_PIXELS = 7.0  # average edge, in pixels, from which on a wire reads as one
_SUPERSAMPLE = 2


def error_colours(sigma: NDArray, scale: float) -> NDArray[np.uint8]:
    """Colours (N, 3) for errors (N,) in pixels: green at 0, yellow at half of `scale`, red at `scale` and beyond."""
    t = np.clip(np.nan_to_num(np.asarray(sigma, dtype=np.float64), nan=1e9) / max(scale, 1e-9), 0, 1)[:, None]
    low, high = _GOOD + (_FAIR - _GOOD) * 2 * t, _FAIR + (_POOR - _FAIR) * (2 * t - 1)
    return np.round(np.where(t < 0.5, low, high)).astype(np.uint8)


def draw_points(picture: Picture, xy: NDArray, colours: NDArray, radius: float, opacity: NDArray | None = None) -> None:
    """Draw dots at continuous pixels xy (N, 2) into `picture`, in place; NaN is left out. `opacity` (N,) in [0, 1]."""
    shift = 4
    order = range(len(xy)) if opacity is None else np.argsort(opacity, kind="stable")
    dim = np.ones(len(xy)) if opacity is None else np.clip(opacity, 0, 1)
    for i in order:
        x, y = xy[i]
        if not (np.isfinite(x) and np.isfinite(y)) or abs(x) > 1e5 or abs(y) > 1e5:
            continue
        # OpenCV's pixel centres are integers
        centre = (round((x - 0.5) * 2**shift), round((y - 0.5) * 2**shift))
        colour = tuple(int(c) for c in colours[i])
        if dim[i] < 0.5:  # hidden: a ring
            cv2.circle(picture, centre, round(radius * 2**shift), colour, 1, cv2.LINE_AA, shift)
        else:
            cv2.circle(picture, centre, round((radius + 0.8) * 2**shift), (20, 20, 20), -1, cv2.LINE_AA, shift)
            cv2.circle(picture, centre, round(radius * 2**shift), colour, -1, cv2.LINE_AA, shift)


@dataclass(frozen=True, eq=False)
class DrawnMesh:
    """A mesh to draw: triangles (T, 3), one colour or one for each triangle (T, 3), opacity, and which edges (T, 3) its
    wire shows (None: no wire)."""

    triangles: NDArray[np.int32]
    colour: Colour | NDArray
    opacity: float
    edges: NDArray[np.bool_] | None = None


def quad_edges(vertices: NDArray, triangles: NDArray) -> NDArray[np.bool_]:
    """(T, 3): edges opposite to each corner that belong to the wire; diagonals of quads do not.

    A diagonal is the longest edge of both triangles that share it.
    """
    corners = vertices[triangles]
    opposite = np.stack([np.roll(triangles, -1, axis=1), np.roll(triangles, -2, axis=1)], axis=-1)
    length = np.linalg.norm(np.roll(corners, -1, axis=1) - np.roll(corners, -2, axis=1), axis=-1)
    longest = length == length.max(axis=1, keepdims=True)
    keys = np.sort(opposite, axis=-1).reshape(-1, 2).astype(np.int64)
    keys = keys[:, 0] * (len(vertices) + 1) + keys[:, 1]
    _, inverse, count = np.unique(keys, return_inverse=True, return_counts=True)
    votes = np.bincount(inverse.ravel(), weights=longest.ravel())
    return ~((votes == 2) & (count == 2))[inverse].reshape(triangles.shape)


def draw_mesh(picture: Picture, xy: NDArray, vertices: NDArray, mesh: DrawnMesh) -> None:
    """Shade a mesh over `picture`, in place.

    `xy` (V, 2) continuous pixels of the picture, `vertices` (V, 3) the same in camera space (OpenCV axes, metres).
    """
    height, width = picture.shape[:2]
    usable = np.isfinite(xy).all(axis=1) & (vertices[:, 2] > 0)
    if not usable.any():
        return
    depth = np.where(usable, vertices[:, 2], 0.0)
    x0, y0 = np.clip(np.floor(xy[usable].min(axis=0)).astype(int) - 1, 0, [width, height])
    x1, y1 = np.clip(np.ceil(xy[usable].max(axis=0)).astype(int) + 1, 0, [width, height])
    if x1 <= x0 or y1 <= y0:
        return
    s = _SUPERSAMPLE
    wide, high = (x1 - x0) * s, (y1 - y0) * s
    points = (np.nan_to_num(xy) - [x0, y0]) * s
    triangle, _, bary = rasterize(points, depth, mesh.triangles, wide, high)
    hit = triangle >= 0
    if not hit.any():
        return
    drawn, weights = triangle[hit], bary[hit]
    normals = vertex_normals(vertices, mesh.triangles)
    normal = np.einsum("pc,pcd->pd", weights, normals[mesh.triangles[drawn]])
    normal /= np.linalg.norm(normal, axis=1, keepdims=True) + 1e-12
    normal *= np.where(normal[:, 2:] > 0, -1.0, 1.0)  # both sides are lit from the front
    light = 0.30 + 0.70 * np.clip(normal @ (_LIGHT / np.linalg.norm(_LIGHT)), 0, 1)
    layer: NDArray = np.zeros((high, wide, 4), np.float32)
    layer[hit, :3] = light[:, None] * np.broadcast_to(np.asarray(mesh.colour), mesh.triangles.shape)[drawn]
    layer[hit, 3] = mesh.opacity
    if mesh.edges is not None:
        _wire(layer, hit, drawn, weights, points, mesh)
    layer[..., :3] *= layer[..., 3:]
    layer = cv2.resize(layer, (x1 - x0, y1 - y0), interpolation=cv2.INTER_AREA)
    region = picture[y0:y1, x0:x1]
    region[:] = np.clip(region * (1 - layer[..., 3:]) + layer[..., :3] + 0.5, 0, 255).astype(np.uint8)


def _wire(layer: NDArray, hit: NDArray, drawn: NDArray, weights: NDArray, points: NDArray, mesh: DrawnMesh) -> None:
    """Brighten the pixels nearest to the wire's edges, where triangles are large enough to show one."""
    assert mesh.edges is not None
    corners = points[mesh.triangles]
    a, b = np.roll(corners, -1, axis=1), np.roll(corners, -2, axis=1)
    length = np.linalg.norm(a - b, axis=-1)
    shown = np.unique(drawn)
    if np.median(length[shown]) < _WIRE_PIXELS * _SUPERSAMPLE:
        return
    first, second = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    area = np.abs(first[:, 0] * second[:, 1] - first[:, 1] * second[:, 0])
    tallness = area[:, None] / np.maximum(length, 1e-6)  # of each corner over the edge opposite to it, pixels
    distance = np.where(mesh.edges[drawn], weights * tallness[drawn], np.inf).min(axis=1)
    on = distance < 0.55 * _SUPERSAMPLE
    where = np.flatnonzero(hit.ravel())[on]
    flat = layer.reshape(-1, 4)
    flat[where, :3] = 0.25 * flat[where, :3] + 0.75 * 255
    flat[where, 3] = np.maximum(flat[where, 3], 0.65)


def vertex_normals(vertices: NDArray, triangles: NDArray) -> NDArray[np.float64]:
    """(V, 3) area-weighted unit normals of a mesh; zero where a vertex has no triangle."""
    a, b, c = (vertices[triangles[:, k]] for k in range(3))
    face = np.cross(b - a, c - a)
    normals = np.stack(
        [np.bincount(triangles.ravel(), np.repeat(face[:, k], 3), minlength=len(vertices)) for k in range(3)], axis=1
    )
    return normals / (np.linalg.norm(normals, axis=1, keepdims=True) + 1e-20)


def caption(picture: Picture, text: str, corner: tuple[int, int] = (0, 0), height: int | None = None) -> None:
    """Write a line of text at `corner` (x, y of its top-left), in place, readable on any ground."""
    size = height or max(12, picture.shape[0] // 30)
    scale = size / 30
    x, y = corner[0] + size // 2, corner[1] + round(size * 1.3)
    for colour, width in (((15, 15, 15), 3), ((240, 240, 240), 1)):
        thickness = max(1, round(width * scale * 1.5))
        cv2.putText(picture, text, (x, y), cv2.FONT_HERSHEY_SIMPLEX, scale, colour, thickness, cv2.LINE_AA)


def error_legend(picture: Picture, scale: float) -> None:
    """A bar of the error's colours in the lower left corner, in place, with its range in pixels."""
    height, width = picture.shape[:2]
    bar_width, bar_height = max(60, width // 5), max(5, height // 70)
    x, y = bar_height * 2, height - bar_height * 3
    colours = error_colours(np.linspace(0, scale, bar_width), scale)
    bar_width = min(bar_width, width - x)
    picture[y : y + bar_height, x : x + bar_width] = colours[:bar_width]
    size = max(11, height // 38)
    caption(picture, f"Error 0 - {scale:.2g} px", (x - size // 2, y - round(size * 1.9)), size)
