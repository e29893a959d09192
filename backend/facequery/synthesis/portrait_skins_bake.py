"""Unprojecting a portrait onto the head's texture, and filling what its picture does not show."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix, diags
from scipy.sparse.linalg import splu
from scipy.spatial import cKDTree

from facequery.geometry.rasterize import rasterize
from facequery.head.layouts import load_layout
from facequery.head.model import HeadModel
from facequery.synthesis import kernels
from facequery.synthesis.library import Library
from facequery.synthesis.portrait_skins import SIDE
from facequery.synthesis.portrait_skins_fit import PortraitFit

# MediaPipe's outline of the face, from the middle of the forehead towards the subject's left and round.
OVAL = (10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377, 152, 148, 176, 149,
        150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109)  # fmt: skip
_BONES = ("cranium", "mandible")
_TEXEL_MM = 0.8  # the picture is reduced to about this before it is read
_FADE = 7  # texels over which the portrait fades at the outline of the face
_BEHIND = 0.004  # metres behind the nearest surface: hidden
_DARKEST = 0.012  # linear; keeps ratios of dark colours in bounds
_STIFFNESS = 1.0  # of the colour ratio that fills what is hidden, against texels


@dataclass(frozen=True)
class Baked:
    """texture (H, 2 H, 3) uint8 sRGB on the source's tiles; seen: share of the face that the picture shows; mean (3,)
    linear colour of the face; colourful: 0 for a gray picture."""

    texture: NDArray[np.uint8]
    seen: float
    mean: NDArray[np.float32]
    colourful: float


class PortraitBaker:
    """Bakes portraits onto one head's texture. What they do not show comes from the library's skins, recoloured."""

    def __init__(self, model: HeadModel, library: Library, side: int = SIDE):
        self.model = model
        surface = library.surface
        part = model.parts["skin"]
        height, width = self.shape = side, 2 * side
        corner_uv = (surface.corner_uv * [width, -height] + [0, height]).reshape(-1, 2)
        ids, _, bary = rasterize(
            corner_uv, np.ones(len(corner_uv)), np.arange(len(corner_uv)).reshape(-1, 3), width, height
        )
        self.rows, self.columns = np.nonzero(ids >= 0)
        self.corners = model.triangles[part.triangles][ids[self.rows, self.columns]]
        self.bary = bary[self.rows, self.columns].astype(np.float64)
        fine = (2 * side, side)
        self.bases = [cv2.resize(s.texture, fine, interpolation=cv2.INTER_AREA) for s in library.skins]
        self.base_means = np.array([skin.mean for skin in library.skins])
        positions = np.einsum("nk,nkc->nc", self.bary, model.rest[self.corners].astype(np.float64))
        self.mirror = cKDTree(positions).query(positions * [-1, 1, 1])[1]
        # The face's outline on the texture.
        outline = load_layout("mediapipe478").positions[list(OVAL)]
        front = self.columns < width // 2
        nearest = np.flatnonzero(front)[cKDTree(positions[front]).query(outline)[1]]
        mask = np.zeros((height, width), np.uint8)
        cv2.fillPoly(mask, [np.stack([self.columns[nearest], self.rows[nearest]], -1).astype(np.int32)], (1,))
        inwards = cv2.distanceTransform(mask, cv2.DIST_L2, 5)
        self.inside = np.clip(inwards[self.rows, self.columns] / _FADE, 0, 1)
        self.drawn = np.concatenate([model.triangles[p.triangles] for n, p in model.parts.items() if n not in _BONES])
        skin = model.triangles[part.triangles] - part.vertices.start
        pairs = np.concatenate([skin[:, [0, 1]], skin[:, [1, 2]], skin[:, [2, 0]]])
        count = part.vertices.stop - part.vertices.start
        ones = np.ones(2 * len(pairs))
        edges = coo_matrix((ones, (pairs.T.ravel(), pairs[:, ::-1].T.ravel())), (count, count)).tocsr()
        edges.data[:] = 1.0
        self.laplacian = diags(np.asarray(edges.sum(1)).ravel()) - edges
        self.front = front

    def bake(self, image: NDArray[np.uint8], fit: PortraitFit) -> Baked:
        """Texture of a fitted portrait, image (H, W, 3) uint8 sRGB."""
        screen, image = self._reduced(image, fit)
        place = np.einsum("nk,nkc->nc", self.bary, screen[self.corners]).astype(np.float32)
        weight = self._smoothed(self.inside * self._visible(fit, screen, place, image.shape[:2]))
        taps = np.zeros((*self.shape, 2), np.float32)
        taps[self.rows, self.columns] = place - 0.5  # OpenCV counts from pixel centres
        read = cv2.remap(image, taps[..., 0], taps[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        seen = _linear(np.asarray(read)[self.rows, self.columns])
        sure = weight > 0.5
        face = self.front & (self.inside > 0.99)
        mean = np.median(seen[sure], 0) if sure.any() else np.ones(3)
        base = int(np.abs(np.log(self.base_means.mean(1) / max(float(mean.mean()), 1e-3))).argmin())
        under = _linear(self.bases[base][self.rows, self.columns])
        ratio = self._ratio(np.log((seen + _DARKEST) / (under + _DARKEST)), weight)
        filled = (under + _DARKEST) * np.exp(ratio) - _DARKEST
        # The other half of the face, under this half's light, where only that was seen.
        other = seen[self.mirror] * np.exp(ratio - ratio[self.mirror])
        share = (self._smoothed(weight[self.mirror] * (weight < 0.05)) * (1 - weight))[:, None]
        filled += share * (other - filled)
        colour = np.clip(filled + weight[:, None] * (seen - filled), 0, 1)
        spread = _srgb(colour[sure]) if sure.any() else np.zeros((1, 3))
        chroma = float((spread.max(1) - spread.min(1)).mean())
        texture = self._padded(_srgb(colour))
        return Baked(texture, float((weight[face] > 0.5).mean()), np.median(colour[face], 0).astype(np.float32), chroma)

    def _reduced(self, image: NDArray[np.uint8], fit: PortraitFit) -> tuple[NDArray[np.float64], NDArray[np.uint8]]:
        factor = fit.millimetres / _TEXEL_MM
        if factor >= 1:
            return fit.screen, image
        size = max(round(image.shape[1] * factor), 1), max(round(image.shape[0] * factor), 1)
        scale = np.array([size[0] / image.shape[1], size[1] / image.shape[0]])
        return fit.screen * scale, np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)

    def _visible(self, fit: PortraitFit, screen: NDArray, place: NDArray, shape: tuple[int, ...]) -> NDArray:
        """How well texels (n,) are seen that lie at `place` (n, 2) of a picture: 0 hidden or aslant .. 1."""
        height, width = shape
        _, nearest, _ = rasterize(screen, fit.camera[:, 2], self.drawn, width, height)
        depth = np.einsum("nk,nk->n", self.bary, fit.camera[:, 2][self.corners])
        i, j = (np.floor(place[:, axis]).astype(int) for axis in (1, 0))
        inside = (i >= 2) & (j >= 2) & (i < height - 2) & (j < width - 2)
        front = nearest[i.clip(0, height - 1), j.clip(0, width - 1)]
        normals = np.empty_like(fit.vertices)
        kernels.vertex_normals(fit.vertices, self.drawn, normals)
        outwards = normals @ fit.rotation.T.astype(np.float32)
        away = fit.camera / np.linalg.norm(fit.camera, axis=1, keepdims=True)
        facing = -np.einsum("nk,nk->n", self.bary, (outwards * away).sum(1)[self.corners])
        return np.asarray(inside * (depth < front + _BEHIND) * _smoothstep(0.2, 0.5, facing))

    def _smoothed(self, weight: NDArray) -> NDArray[np.float64]:
        """Weights (n,) of texels, drawn in from what is not seen and faded over some texels."""
        canvas = np.zeros(self.shape, np.float32)
        canvas[self.rows, self.columns] = weight
        smooth = cv2.blur(cv2.erode(canvas, np.ones((3, 3), np.uint8)), (3, 3))
        return np.asarray(smooth, np.float64)[self.rows, self.columns]

    def _ratio(self, values: NDArray, weight: NDArray) -> NDArray[np.float64]:
        """Values (n, 3) of texels where they have weight, carried on smoothly over the skin elsewhere."""
        count = self.laplacian.shape[0]
        corner, share = self.corners.ravel(), (self.bary * weight[:, None]).ravel()
        total = np.bincount(corner, share, count)
        mean = np.stack([np.bincount(corner, share * np.repeat(values[:, c], 3), count) for c in range(3)], -1)
        middle = mean.sum(0) / max(float(total.sum()), 1e-9)
        matrix = (diags(total + 1e-3) + _STIFFNESS * self.laplacian).tocsc()
        factors = splu(matrix, permc_spec="MMD_AT_PLUS_A", options={"SymmetricMode": True})
        solved = factors.solve(mean + 1e-3 * middle)
        return np.einsum("nk,nkc->nc", self.bary, solved[self.corners])

    def _padded(self, colour: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """A texture of texels' colours (n, 3), its empty parts taking the nearest one."""
        texture = np.zeros((*self.shape, 3), np.uint8)
        empty = np.ones(self.shape, np.uint8)
        texture[self.rows, self.columns], empty[self.rows, self.columns] = colour, 0
        _, label = cv2.distanceTransformWithLabels(empty, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
        lookup = np.zeros((label.max() + 1, 3), np.uint8)
        lookup[label[empty == 0]] = texture[empty == 0]
        return lookup[label]


def _smoothstep(low: float, high: float, value: NDArray) -> NDArray:
    t = np.clip((value - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def _linear(srgb: NDArray) -> NDArray[np.float64]:
    v = np.asarray(srgb, np.float64) / 255
    return np.where(v <= 0.04045, v / 12.92, ((v + 0.055) / 1.055) ** 2.4)


def _srgb(linear: NDArray) -> NDArray[np.uint8]:
    v = np.clip(linear, 0, 1)
    return np.round(255 * np.where(v <= 0.0031308, 12.92 * v, 1.055 * v ** (1 / 2.4) - 0.055)).astype(np.uint8)
