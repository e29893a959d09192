"""Things in front of a face: where a picture does not show the skin that the rest of the shot shows there.

The colours of the skin are learned from some frames of the shot, at every vertex of the head: their median, after the
light is taken out as a function of the surface's direction (spherical harmonics of the second order: Ramamoorthi,
Hanrahan, An efficient representation for irradiance environment maps, SIGGRAPH 2001). A hand is a large patch of pixels
that differ from what the skin would look like there by much more than they do in other frames. What is in front in most
frames, such as hair, is learned as skin and is not found here.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix, diags
from scipy.sparse.linalg import cg

from facequery.apps.colours import colour_odds, distance_in, lab_of, resized, small_window
from facequery.apps.dense import DenseFace, DenseHead
from facequery.apps.refine import visible_vertices
from facequery.apps.surface_pass import strips
from facequery.apps.visibility import not_covered

SAMPLES = 24  # frames that the skin is learned from
_FEWEST = 5  # frames, and sights of a vertex, from which anything can be learned
_FINEST = 110.0  # pixels a crop unit at which pictures are compared
_DARK = 0.01  # linear light added before the logarithm
_NOISE = 0.1  # logarithmic: how far skin may always differ
_SHADOW = 0.5  # how much of it counts that skin is darker, which shadows make it too
_LIKELY = 2.5  # difference, over what is usual, at which a pixel is as likely hidden as seen
_SURE = 5.0  # and at which it surely is
_LEAST = 0.22  # of the skin that must look as it usually does, or nothing can be told of a frame
_CORE = 0.003  # crop units squared that a patch of sure pixels has at least
_ISLAND = 0.03  # crop units squared that a patch of skin has at least beside a thing in front


@dataclass(frozen=True, eq=False)
class SkinLook:
    """What a person's skin looks like in a shot, at V vertices of the skin: `colour` (V, 3) logarithm of linear light,
    NaN where it was hardly seen; `spread` (V,) how much it differs from frame to frame; `light` (9, 3) the light."""

    triangles: NDArray[np.int32]
    skin_triangles: NDArray[np.int32]
    colour: NDArray[np.float32]
    spread: NDArray[np.float32]
    light: NDArray[np.float64]

    @staticmethod
    def learn(head: DenseHead, frames: Iterable[tuple[NDArray[np.uint8], DenseFace]]) -> "SkinLook | None":
        """From display pictures (H, W, 3) of a shot with their dense faces; None if there are fewer than five."""
        part = head.model.parts["skin"]
        triangles, count = head.triangles[part.triangles], part.vertices.stop
        seen_colours, bases, weights = [], [], []
        for picture, face in frames:
            colours = _at_vertices(picture, face, count)
            colours[~visible_vertices(face, head.triangles)[:count]] = np.nan
            seen_colours.append(colours)
            bases.append(_light_basis(face, triangles, count))
            weights.append(not_covered(face)[:count])
        if len(seen_colours) < _FEWEST:
            return None
        shown, basis, weight = np.stack(seen_colours), np.stack(bases), np.stack(weights)
        known = np.isfinite(shown[..., 0])
        often = known.sum(0) >= _FEWEST
        known &= often
        shown[~known] = np.nan
        if not often.any():
            return None
        own = np.where(known[..., None], basis, 0)
        centred = basis - own.sum(0) / np.maximum(known.sum(0), 1)[:, None]  # the median takes the mean light in
        light, offsets = np.zeros((basis.shape[2], 3)), np.zeros((len(shown), basis.shape[2], 3))
        colour = np.full((count, 3), np.nan)
        for _ in range(4):
            rest = shown - np.einsum("fvb,fbc->fvc", basis, light + offsets)
            colour[often] = np.nanmedian(rest[:, often], 0)
            left = rest - colour + np.einsum("fvb,bc->fvc", centred, light)
            trusted = weight * known / (1 + (_size(rest - colour) / (2 * _NOISE)) ** 2) ** 2
            light = _solved(centred[known], left[known], trusted[known], 1e-3)
            for f in range(len(shown)):
                offsets[f] = _frame_light(shown[f] - basis[f] @ light - colour, basis[f], weight[f])
        rest = shown - np.einsum("fvb,fbc->fvc", basis, light + offsets)
        colour[often] = np.nanmedian(rest[:, often], 0)
        spread = np.full(count, np.nan, np.float32)
        spread[often] = 1.48 * np.nanmedian(_size(rest - colour, np.nan)[:, often], 0)
        return SkinLook(head.triangles, triangles, colour.astype(np.float32), spread, light)

    def covered(self, picture: NDArray[np.uint8], face: DenseFace) -> NDArray[np.float32]:
        """(H, W) in [0, 1]: how much of each pixel of a display picture of the shot shows a thing in front of the
        face."""
        covered = np.zeros(picture.shape[:2], np.float32)
        finest = min(1.0, _FINEST / face.scale)
        window, small = small_window(picture, face.xy, 0.1 * face.scale, finest)
        unit = face.scale * finest
        corner = np.array([window[1].start, window[0].start])
        placed = replace(face, xy=((face.xy - corner) * finest).astype(np.float32))
        difference, on = self._difference(picture, face, small, placed)
        known = np.isfinite(difference)
        lab = lab_of(small)
        sure = (difference > _SURE) & known & (distance_in(on) > 0.03 * unit)  # the outline itself is often missed
        sure = cv2.morphologyEx(sure.astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3), np.uint8)) > 0
        sure = _large(sure, _CORE * unit**2)
        if not sure.any():
            return covered
        # A hand's colour may by chance be the skin's that it hides, here and there but not all round.
        near = np.where(known, np.minimum(difference, _SURE), _LIKELY).astype(np.float32)
        skin = known & (cv2.GaussianBlur(near, (0, 0), 0.01 * unit) < 0.6 * _LIKELY)
        skin &= cv2.GaussianBlur(near, (0, 0), 0.03 * unit) < 0.8 * _LIKELY
        skin = _large(skin, _ISLAND * unit**2)
        told = colour_odds(lab, sure.astype(np.float32), skin.astype(np.float32))
        belief = np.where(sure, 1.0, np.where(skin, 0.0, 0.5 + 0.5 * np.tanh(told / 2)))
        trust = np.where(sure | skin, 1.0, 0.01)
        matte = _spread(np.where(on, belief, 0), np.where(on, trust, 1.0), lab)
        matte = np.clip(2 * matte - 0.5, 0, 1).astype(np.float32)
        _, parts = cv2.connectedComponents((matte > 0.5).astype(np.uint8))
        matte[~np.isin(parts, np.setdiff1d(parts[sure], 0))] = 0
        h, w = window[0].stop - window[0].start, window[1].stop - window[1].start
        covered[window] = resized(matte, (w, h))
        return covered

    def _difference(
        self, picture: NDArray[np.uint8], face: DenseFace, small: NDArray[np.uint8], placed: DenseFace
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """How far the pixels of a small picture (h, w, 3), over which the face is `placed`, are from the skin, in
        spreads; NaN where no known skin is, and everywhere if hardly any of it looks as usual, so that the frame's
        light cannot be told. And where the head is, (h, w)."""
        count = len(self.colour)
        basis = _light_basis(face, self.skin_triangles, count)
        shown = _at_vertices(picture, face, count)
        shown[~visible_vertices(face, self.triangles)[:count]] = np.nan
        change = _frame_light(shown - basis @ self.light - self.colour, basis, not_covered(face)[:count])
        expected = self.colour + basis @ (self.light + change)
        sights = np.isfinite(shown + expected).all(1)
        as_usual = _size(shown - expected)[sights] < _NOISE + self.spread[sights]
        if as_usual.sum() <= _LEAST * len(as_usual):
            return np.full(small.shape[:2], np.nan, np.float32), np.zeros(small.shape[:2], bool)
        values = np.full((len(face.xy), 5), np.nan, np.float32)
        values[:count, :3] = expected
        values[:count, 3] = self.spread
        values[:, 4] = 1
        known = np.isfinite(values).all(1)
        values[~known, 4] = 0
        corners = np.nan_to_num(values)[self.triangles]
        height, width = small.shape[:2]
        looks = np.zeros((height, width, 5), np.float32)
        on = np.zeros((height, width), bool)
        for strip in strips(placed, self.triangles, width, height, 1):
            looks[strip.window], on[strip.window] = strip.of_corners(corners), strip.triangle >= 0
        off = _logarithm(small) - looks[..., :3]
        off -= (1 - _SHADOW) * np.minimum(off.mean(-1, keepdims=True), 0)
        difference = _size(off) / (_NOISE + looks[..., 3])
        return np.where(looks[..., 4] > 0.999, difference, np.nan).astype(np.float32), on


def _logarithm(picture: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Of the light of a display picture, about."""
    made: NDArray[np.float32] = np.log((np.arange(256, dtype=np.float32) / 255) ** 2.2 + _DARK)[picture]
    return made


def _size(values: NDArray, missing: float = 0.0) -> NDArray:
    """Lengths of (..., 3), `missing` where they are NaN."""
    return np.nan_to_num(np.linalg.norm(values, axis=-1), nan=missing)


def _at_vertices(picture: NDArray[np.uint8], face: DenseFace, count: int) -> NDArray[np.float32]:
    """(count, 3) colours of a picture about a face's vertices; NaN off the picture."""
    finest = min(1.0, _FINEST / face.scale)
    window, small = small_window(picture, face.xy, 0.05 * face.scale, finest)
    soft = cv2.GaussianBlur(_logarithm(small), (0, 0), 1.0)
    at = (face.xy[:count] - [window[1].start, window[0].start]) * finest - 0.5
    x, y = (np.ascontiguousarray(at[None, :, k], np.float32) for k in (0, 1))
    found: NDArray = cv2.remap(soft, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)[0]
    height, width = small.shape[:2]
    found[((at < 0) | (at > [width - 1, height - 1])).any(1)] = np.nan
    return found


def _light_basis(face: DenseFace, triangles: NDArray, count: int) -> NDArray[np.float64]:
    """(count, 9) spherical harmonics, unscaled, of the directions of a dense face's skin."""
    metres = 0.13 / face.scale  # about: a crop's half side shows some 13 cm
    points = np.concatenate([face.xy[:count] * metres, face.depth[:count, None]], 1).astype(np.float64)
    a, b, c = (points[triangles[:, k]] for k in range(3))
    across = np.cross(b - a, c - a)
    total = np.zeros((count, 3))
    for k in range(3):
        for axis in range(3):
            total[:, axis] += np.bincount(triangles[:, k], across[:, axis], count)
    x, y, z = (total / (np.linalg.norm(total, axis=1, keepdims=True) + 1e-12)).T
    return np.stack([np.ones_like(x), x, y, z, x * y, y * z, x * z, x * x - y * y, 3 * z * z - 1], 1)


def _solved(basis: NDArray, left: NDArray, weight: NDArray, stiff: float | NDArray) -> NDArray[np.float64]:
    """(9, 3) what of the basis (n, 9) explains `left` (n, 3), held back by `stiff` times the number of rows."""
    square = (basis * weight[:, None]).T @ basis
    square += np.diag(np.broadcast_to(stiff, len(square))) * len(basis)
    return np.linalg.solve(square, (basis * weight[:, None]).T @ left)


def _frame_light(left: NDArray, basis: NDArray, weight: NDArray) -> NDArray[np.float64]:
    """(9, 3) by how much one frame's light differs from the shot's: hardly, but in exposure; what a thing in front
    shows, which is far off, does not count."""
    known = np.isfinite(left).all(1) & (weight > 0)
    made = np.zeros((basis.shape[1], 3))
    if known.sum() < 50:
        return made
    stiff = np.array([0.02] + [0.1] * (basis.shape[1] - 1))
    basis, left, weight = basis[known], left[known], weight[known]
    for _ in range(4):
        off = _size(left - basis @ made)
        made = _solved(basis, left, weight / (1 + (off / (2 * _NOISE)) ** 2) ** 2, stiff)
    return made


def _spread(belief: NDArray, trust: NDArray, lab: NDArray[np.float32]) -> NDArray[np.float32]:
    """A matte (h, w): beliefs spread over the picture, hardly across its edges (Grady, Random walks for image
    segmentation, PAMI 2006, with beliefs as soft seeds)."""
    height, width = belief.shape
    index = np.arange(height * width).reshape(height, width)
    rows, columns, links = [], [], []
    for a, b in ((np.s_[:, 1:], np.s_[:, :-1]), (np.s_[1:], np.s_[:-1])):
        step = ((lab[a] - lab[b]) ** 2).sum(-1)
        weight = np.exp(-step / (2 * max(float(np.median(step)) * 4, 1.0))) + 1e-4
        rows += [index[a].ravel(), index[b].ravel()]
        columns += [index[b].ravel(), index[a].ravel()]
        links += [weight.ravel()] * 2
    graph = coo_matrix((np.concatenate(links), (np.concatenate(rows), np.concatenate(columns)))).tocsr()
    total = np.asarray(graph.sum(1)).ravel() + trust.ravel()
    found, _ = cg(diags(total) - graph, (trust * belief).ravel(), belief.ravel(), rtol=1e-3, M=diags(1 / total))
    made: NDArray[np.float32] = found.reshape(height, width).astype(np.float32)
    return made


def _large(mask: NDArray[np.bool_], least: float) -> NDArray[np.bool_]:
    """The connected parts of a mask that have `least` pixels."""
    _, parts, facts, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    big = facts[:, cv2.CC_STAT_AREA] >= least
    big[0] = False
    return big[parts]
