"""ST maps between a plate and the head's texture atlas, and pictures carried through them.

All maps hold positions in [0, 1] with the origin at the lower left, u to the right and v up, of pixel centres: the
convention of Nuke's STMap node, where (0.5 / width, 0.5 / height) is the centre of the lower left pixel. Channels: R is
u, G is v, B is 0, A is 1 where the map holds. Plate positions are as filmed (distorted, squeezed).

- uv-to-pixel, in the atlas: where each texel's point of the skin is on the plate. STMap with the plate as source
  unwraps it.
- pixel-to-uv, on the plate: which point of the atlas each pixel shows. STMap with a texture as source puts it back.
- pixel-to-reference, on the plate: where the point that each pixel shows is in the reference frame; on that frame it is
  the identity. STMap with a painted reference frame as source carries it along.
"""

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from facequery.geometry.rasterize import rasterize
from facequery.head.model import HeadModel

Map = NDArray[np.float32]
DIRECTIONS = ("uv-to-pixel", "pixel-to-uv", "pixel-to-reference")
_BEHIND = 0.004  # metres behind the surface in front, from which a texel counts as hidden
_GRAZING = 0.1  # cosine of the viewing angle, below which a texel shows nothing of use


@dataclass(frozen=True, eq=False)
class HeadOnPlate:
    """The vertices of the face's parts in one frame: `xy` (V, 2) plate pixels, `depth` (V,) metres, positive; with
    `perspective`, depth is the distance from a camera, otherwise only its order means anything. NaN: not there."""

    xy: NDArray[np.float32]
    depth: NDArray[np.float32]
    width: int
    height: int
    perspective: bool = True


@dataclass(frozen=True, eq=False)
class Surface:
    """What each pixel of the plate shows: `triangle` (H, W), -1 for nothing; `bary` (H, W, 3) on it; `depth` (H, W)."""

    triangle: NDArray[np.int32]
    bary: NDArray[np.float32]
    depth: NDArray[np.float32]


class HeadMaps:
    """Makes the maps of a head whose atlas is drawn with `size` x `size` texels."""

    def __init__(self, size: int, model: HeadModel | None = None) -> None:
        self.size = size
        self.model = model or HeadModel.load()
        names = ("skin", "eye_left", "eye_right", "teeth_upper", "teeth_lower", "gums_tongue")
        last = max(self.model.parts[name].triangles.stop for name in names)
        self.triangles = np.ascontiguousarray(self.model.triangles[:last])
        skin = self.model.parts["skin"].triangles
        self.skin = np.zeros(last, bool)
        self.skin[skin] = True  # the atlas is the skin's; eyes and teeth only hide it
        self.corners = self.model.uv[self.model.triangles_uv[:last]].astype(np.float64)  # (T, 3, 2), v up
        flat = (self.corners[skin] * [size, -size] + [0, size]).reshape(-1, 2)
        drawn, _, self.texel_bary = rasterize(flat, np.ones(len(flat)), np.arange(len(flat)).reshape(-1, 3), size, size)
        self.texel_triangle = np.where(drawn >= 0, drawn + skin.start, -1)

    def surface(self, head: HeadOnPlate) -> Surface:
        """What the plate shows of a head; what is seen from inside, such as the back of the lips, hides nothing."""
        good = np.isfinite(head.xy).all(1) & np.isfinite(head.depth)
        front = np.flatnonzero(_area(head.xy, self.triangles) < 0)
        drawn, depth, bary = rasterize(
            np.nan_to_num(head.xy), np.where(good, head.depth, -1), self.triangles[front], head.width, head.height
        )
        triangle = np.where(drawn >= 0, front[np.maximum(drawn, 0)] if len(front) else -1, -1).astype(np.int32)
        return Surface(triangle, bary, depth)

    def pixel_to_uv(self, head: HeadOnPlate, surface: Surface | None = None) -> Map:
        """(H, W, 4) the atlas position that each pixel shows."""
        seen = surface or self.surface(head)
        weights = seen.bary if head.perspective else _on_screen(seen, head, self.triangles)
        return _masked(self._interpolated(seen, weights, self.corners), self._on_skin(seen))

    def pixel_to_reference(self, head: HeadOnPlate, reference: HeadOnPlate, surface: Surface | None = None) -> Map:
        """(H, W, 4) the position in the reference frame of what each pixel shows; at that frame the identity."""
        seen = surface or self.surface(head)
        places = _normalised(reference.xy, reference)[self.triangles]
        values = self._interpolated(seen, _on_screen(seen, head, self.triangles), places)
        there = np.isfinite(values).all(-1)
        return _masked(np.nan_to_num(values), self._on_skin(seen) & there)

    def uv_to_pixel(self, head: HeadOnPlate, surface: Surface | None = None) -> tuple[Map, NDArray[np.float32]]:
        """(S, S, 4) the plate position of each texel's point, A being 1 where it is seen; and how frontally (S, S), the
        cosine of the viewing angle."""
        seen = surface or self.surface(head)
        triangle = np.maximum(self.texel_triangle, 0)
        corners = self.triangles[triangle]
        weight = self.texel_bary.astype(np.float64)
        if head.perspective:
            weight = weight / np.maximum(head.depth[corners], 1e-6)
        weight = weight / np.maximum(weight.sum(-1, keepdims=True), 1e-12)
        xy = np.einsum("hwk,hwkc->hwc", weight, head.xy[corners].astype(np.float64))
        depth = np.einsum("hwk,hwk->hw", self.texel_bary, head.depth[corners])
        slope = self._slope(head)[triangle]
        inside = np.isfinite(xy).all(-1) & (xy >= 0).all(-1) & (xy < [head.width, head.height]).all(-1)
        column, row = (np.where(inside, np.nan_to_num(xy[..., axis]), 0).astype(int) for axis in (0, 1))
        hidden = depth > seen.depth[row, column] + _BEHIND
        mask = (self.texel_triangle >= 0) & inside & ~hidden & (slope > _GRAZING)
        return _masked(np.nan_to_num(_normalised(xy, head)), mask), np.where(mask, slope, 0).astype(np.float32)

    def _slope(self, head: HeadOnPlate) -> NDArray[np.float64]:
        """(T,) cosine between every triangle's outside and the way to the camera, negative when turned away."""
        xy = head.xy.astype(np.float64)
        # Metres across: a pixel's size at the head's distance does not matter for the sign, and little for the size.
        scale = _metres_a_pixel(head, self.model)
        points = np.concatenate([xy * scale, head.depth[:, None]], axis=1)
        a, b, c = (points[self.triangles[:, k]] for k in range(3))
        normal = np.cross(b - a, c - a)
        length = np.linalg.norm(normal, axis=1)
        return np.nan_to_num(-normal[:, 2] / np.maximum(length, 1e-18))

    def _interpolated(self, seen: Surface, weights: NDArray, values: NDArray) -> NDArray[np.float64]:
        return np.einsum("hwk,hwkc->hwc", weights, values[np.maximum(seen.triangle, 0)])

    def _on_skin(self, seen: Surface) -> NDArray[np.bool_]:
        return (seen.triangle >= 0) & self.skin[np.maximum(seen.triangle, 0)]


def sampled(picture: NDArray, st_map: Map) -> NDArray[np.float32]:
    """A picture (H, W, C) looked up through a map (h, w, 4), cubic between pixels: (h, w, C), 0 where the map does not
    hold. Values that are not finite count as 0."""
    height, width = picture.shape[:2]
    x = (st_map[..., 0] * width - 0.5).astype(np.float32)
    y = ((1.0 - st_map[..., 1]) * height - 0.5).astype(np.float32)
    clean = np.nan_to_num(np.asarray(picture, np.float32), nan=0.0, posinf=0.0, neginf=0.0)
    found = cv2.remap(clean, x, y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    found = found if found.ndim == 3 else found[..., None]
    return (found * (st_map[..., 3:] > 0)).astype(np.float32)


class TextureMean:
    """The mean of unwrapped frames, each texel weighted by how frontally it was seen."""

    def __init__(self, size: int, channels: int) -> None:
        self.total = np.zeros((size, size, channels))
        self.weight = np.zeros((size, size))

    def add(self, unwrapped: NDArray, slope: NDArray) -> None:
        """One frame (S, S, C) with the cosines (S, S) of its viewing angles, 0 where it is not seen."""
        weight = np.asarray(slope, np.float64) ** 2
        self.total += unwrapped * weight[..., None]
        self.weight += weight

    def texture(self, margin: int = 8) -> NDArray[np.float32]:
        """(S, S, C + 1), the last channel 1 where anything was seen; `margin` texels round it repeat the nearest, so
        that nothing black comes in when the texture is looked up at its seams."""
        seen = self.weight > 1e-9
        mean = np.where(seen[..., None], self.total / np.maximum(self.weight, 1e-9)[..., None], 0)
        if seen.any() and margin:
            distance, label = cv2.distanceTransformWithLabels(
                (~seen).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
            )
            source = np.zeros(label.max() + 1, np.int64)
            source[label[seen]] = np.flatnonzero(seen)
            near = ~seen & (distance <= margin)
            mean[near] = mean.reshape(-1, mean.shape[-1])[source[label[near]]]
        return np.concatenate([mean, seen[..., None]], axis=-1).astype(np.float32)


def _normalised(xy: NDArray, head: HeadOnPlate) -> NDArray[np.float64]:
    return np.asarray(xy, np.float64) / [head.width, -head.height] + [0.0, 1.0]


def _masked(values: NDArray, mask: NDArray) -> Map:
    out = np.zeros((*mask.shape, 4), np.float32)
    out[..., :2][mask] = values[mask]
    out[..., 3] = mask
    return out


def _area(xy: NDArray, triangles: NDArray) -> NDArray:
    """Twice the signed area of triangles on the plate; negative: turned to the camera."""
    a, b, c = (xy[triangles[:, k]] for k in range(3))
    return (b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) - (b[:, 1] - a[:, 1]) * (c[:, 0] - a[:, 0])


def _on_screen(seen: Surface, head: HeadOnPlate, triangles: NDArray) -> NDArray[np.float64]:
    """Barycentric weights on the plate itself, from those on the surface: each times its corner's depth."""
    weight = seen.bary * head.depth[triangles[np.maximum(seen.triangle, 0)]]
    return weight / np.where(seen.triangle >= 0, weight.sum(-1), 1.0)[..., None]


def _metres_a_pixel(head: HeadOnPlate, model: HeadModel) -> NDArray[np.float64]:
    """(2,) metres a pixel across and down at the head's distance, from how far its skin spreads in both."""
    edges = _skin_edges(model)
    flat = head.xy[edges[:, 0]].astype(np.float64) - head.xy[edges[:, 1]]
    deep = head.depth[edges[:, 0]].astype(np.float64) - head.depth[edges[:, 1]]
    length = np.linalg.norm(model.rest[edges[:, 0]] - model.rest[edges[:, 1]], axis=1)
    good = np.isfinite(flat).all(1) & np.isfinite(deep)
    rows = flat[good] ** 2
    if len(rows) < 2:
        return np.ones(2)
    solved = np.linalg.lstsq(rows, np.maximum(length[good] ** 2 - deep[good] ** 2, 0), rcond=None)[0]
    return np.sqrt(np.maximum(solved, 1e-12))


@lru_cache(maxsize=2)
def _skin_edges(model: HeadModel) -> NDArray[np.int64]:
    """(E, 2) edges of the skin, a fifth of them."""
    triangles = model.triangles[model.parts["skin"].triangles]
    pairs = np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]])
    return pairs[::5].astype(np.int64)
