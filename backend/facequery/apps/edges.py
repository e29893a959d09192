"""Mattes that end where the picture does: at the outline of the head, at hair and clothes, at the lips.

Dense landmarks are off by a few pixels and know nothing of hair. What is surely skin and what surely is not, by the
landmarks, says which colours are which (histograms in Lab); their odds are joined with how far a pixel is from the
border that the landmarks see, and smoothed along the edges of the picture (He, Sun, Tang, Guided image filtering, ECCV
2010). Where colours do not tell, the landmarks' border stays.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from facequery.apps.colours import along_edges, colour_odds, distance_in, lab_of, resized, small_window, told_apart
from facequery.apps.dense import DenseFace
from facequery.apps.regions import Region
from facequery.apps.surface_pass import strips
from facequery.head.model import HeadModel

_OFF, _FACE, _FOREHEAD, _NECK, _EARS, _SCALP, _FEATURES, _EYES_UP = -1, 1, 2, 3, 4, 5, 6, 7
_FRINGE = -0.015  # metres from the level of the eyes, down to which hair may hang over the face
_FINEST = 110.0  # pixels a crop unit at which the head is looked at
_FINEST_LIPS = 160.0
_MOST = 4.0  # log odds: surely lip


@dataclass(frozen=True, eq=False)
class HeadZones:
    """What the parts of the head are to the search for edges: `zone` (V,) of vertices, `open_end` (E, 2) vertices of
    edges at which the model ends though the neck goes on."""

    triangles: NDArray[np.int32]
    zone: NDArray[np.int8]
    open_end: NDArray[np.int64]

    @staticmethod
    def of(model: HeadModel, triangles: NDArray, count: int) -> "HeadZones":
        """Of a head with `triangles` (T, 3) over its first `count` vertices."""
        skin = model.parts["skin"].vertices.stop
        zone = np.full(count, _FEATURES, np.int8)
        zone[:skin] = _SCALP
        mask = model.region_mask
        for value, names in (
            (_NECK, ("neck",)), (_EARS, ("ear_left", "ear_right")), (_FACE, ("face",)), (_FOREHEAD, ("forehead",)),
            (_FEATURES, ("brow_left", "brow_right", "lips", "mouth")),
        ):  # fmt: skip
            for name in names:
                zone[:skin][mask(name)] = value
        zone[:skin][(zone[:skin] == _FACE) & (model.rest[:skin, 1] > _FRINGE)] = _EYES_UP
        own = model.part_triangles("skin")
        edges = np.sort(np.concatenate([own[:, [0, 1]], own[:, [1, 2]], own[:, [2, 0]]]), 1)
        once, times = np.unique(edges, axis=0, return_counts=True)
        once = once[times == 1]
        return HeadZones(triangles, zone, once[mask("neck")[once].all(1)].astype(np.int64))


def follow_edges(
    mattes: NDArray, regions: Sequence[Region], picture: NDArray[np.uint8], face: DenseFace, zones: HeadZones
) -> NDArray[np.float32]:
    """Mattes (R, H, W) of regions of a dense face, moved to the edges of its `picture` (H, W, 3), RGB as displayed.

    All regions end at the head's outline and at hair and clothes; of the standard set, lips and mouth end where the
    lips do.
    """
    made = np.array(mattes, np.float32)
    names = [region.name for region in regions]
    if "lips" in names:
        lips = names.index("lips")
        mouth = made[names.index("mouth")] if "mouth" in names else np.zeros_like(made[lips])
        own, inside = _lips(made[lips], mouth, picture, face)
        made[lips] = own
        if "mouth" in names:
            made[names.index("mouth")] = inside
    window, skin, nearest = _skin(picture, face, zones)
    for index in range(len(made)):
        part = made[index][window]
        part = np.where(nearest >= 0, part.ravel()[np.maximum(nearest, 0)], part)  # beyond the landmarks' outline
        made[index][window] = part * skin
    return made


def _skin(
    picture: NDArray, face: DenseFace, zones: HeadZones
) -> tuple[tuple[slice, slice], NDArray[np.float32], NDArray[np.int64]]:
    """The window of the plate round the head; in it how much of each pixel is the head's bare skin, and for pixels
    just outside the landmarks' outline the flat index of the nearest one inside, else -1."""
    finest = min(1.0, _FINEST / face.scale)
    window, small = small_window(picture, face.xy, 0.35 * face.scale, finest)
    unit = face.scale * finest
    corner = np.array([window[1].start, window[0].start])
    placed = replace(face, xy=((face.xy - corner) * finest).astype(np.float32))
    height, width = small.shape[:2]
    zone = np.full((height, width), _OFF, np.int8)
    for strip in strips(placed, zones.triangles, width, height, 1):
        shown = zones.zone[zones.triangles[np.maximum(strip.triangle, 0), 0]]
        zone[strip.window] = np.where(strip.triangle >= 0, shown, _OFF)
    on = zone != _OFF
    inner, outer = distance_in(on), distance_in(~on)
    blur = max(float(np.median(face.sigma)) * finest, 0.02 * unit)  # how far off the outline may be

    lab = lab_of(small)
    bare = np.isin(zone, (_FACE, _EYES_UP))
    sure = (distance_in(bare) > 0.06 * unit) + 0.3 * (distance_in(zone == _NECK) > 0.12 * unit)
    sure, away = sure.astype(np.float32), ((outer > 0.08 * unit) & (outer < 0.45 * unit)).astype(np.float32)
    told = colour_odds(lab, sure, away)
    # Where hair is, if there is any: on the scalp, and round it, which in views from below is all that shows of it.
    top = np.isin(zone, (_FOREHEAD, _SCALP))
    scalp = distance_in(zone == _SCALP) > 0.06 * unit
    scalp |= (outer > 0.03 * unit) & (distance_in(~top) < 0.12 * unit)
    if scalp.any():
        hair = colour_odds(lab, sure, scalp.astype(np.float32))
        trust = told_apart(hair, sure > 0, scalp)  # hair may have the skin's colour, or be none
        told = np.where(zone == _FOREHEAD, hair * trust, told)
        told = np.where(zone == _EYES_UP, trust * hair + (1 - trust) * told, told).astype(np.float32)
    odds = np.where(on, 0.3 + np.minimum(inner / blur, 2.5), 0.3 - outer / blur)
    odds = np.where(zone == _FOREHEAD, np.minimum(odds, 1.0), odds)  # where hair hangs
    odds = np.where(zone == _NECK, np.minimum(odds, 1.3), odds)  # where clothes begin
    odds += told
    # Brows have hair's colour themselves: they and the eyes are hidden where what is round them is.
    bare = np.isin(zone, (_FACE, _EYES_UP, _FOREHEAD))
    said = cv2.GaussianBlur(np.where(bare, np.tanh(odds / 2), 0).astype(np.float32), (0, 0), 0.04 * unit)
    near = cv2.GaussianBlur(bare.astype(np.float32), (0, 0), 0.04 * unit)
    free = np.where(near > 0.02, said / np.maximum(near, 0.02), 1)
    odds = np.where(zone == _FEATURES, 6 * np.clip(1 + 3 * free, -1, 1), odds).astype(np.float32)
    skin = along_edges(odds, lab, max(round(0.03 * unit), 1))
    skin[outer > 4 * blur] = 0
    # What is cut hangs together with the outside; holes amid the face are nostrils, moles and shadows. What is left of
    # the forehead hangs together with the face; islands are locks that shine.
    _, parts = cv2.connectedComponents((skin < 0.5).astype(np.uint8))
    skin[~np.isin(parts, parts[(zone == _OFF) | (zone == _SCALP)])] = 1
    _, parts = cv2.connectedComponents((skin >= 0.5).astype(np.uint8))
    skin[~np.isin(parts, parts[(zone != _FOREHEAD) & (zone != _SCALP)])] = 0
    skin[(zone == _FEATURES) & (odds > 0)] = 1

    end = np.zeros((height, width), np.uint8)
    lines = np.round(placed.xy[zones.open_end]).astype(np.int32)
    cv2.polylines(end, [line for line in lines], False, (1,), max(round(4 * blur), 1))
    h, w = window[0].stop - window[0].start, window[1].stop - window[1].start
    large = resized(skin, (w, h))
    return window, large, _nearest(on, end > 0, (h, w), 4 * blur / finest)


def _nearest(on: NDArray, end: NDArray, size: tuple[int, int], reach: float) -> NDArray[np.int64]:
    """For pixels of a window of `size` off the head but within `reach`, the flat index of the nearest pixel on it;
    -1 for others, and for those whose nearest lies at an `end` of the model."""
    h, w = size
    large = cv2.resize(on.astype(np.uint8), (w, h), interpolation=cv2.INTER_NEAREST)
    # one pixel further in, where pixels are covered wholly
    away, labels = cv2.distanceTransformWithLabels(
        1 - cv2.erode(large, np.ones((5, 5), np.uint8)), cv2.DIST_L2, 3, labelType=cv2.DIST_LABEL_PIXEL
    )
    places = np.flatnonzero(away == 0)
    of_label = np.zeros(int(labels.max()) + 1, np.int64)
    of_label[labels.ravel()[places]] = places
    nearest = of_label[labels]
    ends = cv2.resize(end.astype(np.uint8), (w, h), interpolation=cv2.INTER_NEAREST).ravel()
    return np.where((away > 0) & (away < reach) & (ends[nearest] == 0), nearest, -1)


def _lips(
    lips: NDArray, mouth: NDArray, picture: NDArray, face: DenseFace
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Mattes (H, W) of the lips and of the open mouth between them, moved to the edges of the picture."""
    made, inside = np.array(lips, np.float32), np.array(mouth, np.float32)
    rows, columns = np.nonzero(lips > 0.5)
    if len(rows) < 100:
        return made, inside
    finest = min(1.0, _FINEST_LIPS / face.scale)
    unit = face.scale * finest
    window, small = small_window(picture, np.stack([columns, rows], 1), 0.15 * face.scale, finest)
    height, width = small.shape[:2]
    lab = lab_of(small)
    own = cv2.resize(made[window], (width, height), interpolation=cv2.INTER_AREA)
    between = cv2.resize(inside[window], (width, height), interpolation=cv2.INTER_AREA)
    blur = max(float(np.median(face.sigma)) * finest, 0.012 * unit)
    whole = own + between > 0.5
    inner, outer = distance_in(whole), distance_in(~whole)
    sure = (distance_in(own > 0.5) > 0.02 * unit).astype(np.float32)
    around = ((outer > 0.03 * unit) & (outer < 0.12 * unit)).astype(np.float32)
    if sure.sum() < 30 or around.sum() < 30:
        return made, inside
    open_, closed = distance_in(between > 0.5), distance_in(between <= 0.5)
    amid = open_ > 0.3 * open_.max() if open_.any() else np.zeros_like(whole)
    lip_or_skin = colour_odds(lab, sure + amid, around)
    outline = np.clip((inner - outer) / blur, -5, 3) + np.where(inner > 3 * blur, _MOST, lip_or_skin)
    shape = along_edges(outline, lab, max(round(0.015 * unit), 1))
    shape[outer > 5 * blur] = 0
    gap = np.zeros_like(shape)
    if amid.sum() > 10:  # an open mouth: teeth or the dark between them, of which the landmarks see too little
        teeth_or_lip = colour_odds(lab, amid.astype(np.float32), sure * (1 - amid), 5.0 if amid.sum() > 200 else 1.0)
        hole = np.clip((open_ - closed) / (2.5 * blur), -5, 3) + teeth_or_lip
        gap = along_edges(hole, lab, max(round(0.015 * unit), 1))
        gap[closed > 8 * blur] = 0
    h, w = window[0].stop - window[0].start, window[1].stop - window[1].start
    shape, gap = resized(shape, (w, h)), resized(gap, (w, h))
    trust = told_apart(lip_or_skin, sure > 0, around > 0)
    made[window] += trust * (shape * (1 - gap) - made[window])
    inside[window] += trust * (shape * gap - inside[window])
    return made, inside
