"""Named regions of the skin, as masks over its vertices."""

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from tools.head_outline import inside
from tools.head_skin import Skin, source_from_atlas
from tools.head_source import Source

# Middle line of a brow, |x| and y in metres (real brows: the mean of the Face Research Lab London Set, CC BY 4.0).
BROW_LINE = np.array(
    [(0.009, 0.0125), (0.014, 0.0139), (0.031, 0.0188), (0.045, 0.0190), (0.053, 0.0155), (0.060, 0.007)]
)
BROW_HALF_WIDTH = 0.0065
RIGID_SHARE = 0.22  # of the face: its calmest skin (forehead, temples, bridge of the nose) counts as rigid
RIGID_MOTION = 0.0005  # metres: outside the face, skin that no expression moves farther
EYE_REACH = 0.009  # metres round the lids' rim that count as the eye


def skin_regions(source: Source, skin: Skin) -> dict[str, NDArray[np.bool_]]:
    """Masks (V,) over the skin's vertices by region name. Regions overlap; `face` is the region fits are scored on."""
    p = skin.rest
    x, y, z = np.abs(p[:, 0]), p[:, 1], p[:, 2]
    strip = skin.strip_eye >= 0
    face = (skin.source < source.vertex_range["narrow_face"][1]) & ~strip
    # The vermilion: inside the outline of the outer lip landmarks, and the rim that turns into the mouth.
    outline = source.neutral[source.landmarks68[48:60]]
    lips = face & (z > outline[:, 2].min() - 0.012) & inside(p[:, :2], outline[:, :2])
    lips |= face & (cKDTree(p[skin.loops["mouth"]]).query(p)[0] < 0.004)
    eyes = [cKDTree(p[skin.loops[n]]).query(p)[0] < EYE_REACH for n in ("eye_left", "eye_right")]
    nose = face & (x < 0.021) & (y < 0.006) & (y > -0.046) & (z > 0.0155 + 0.35 * x) & ~lips
    nose |= face & (x < 0.012) & (y >= 0.006) & (y < 0.012)
    brow = face & (np.abs(y - np.interp(x, *BROW_LINE.T)) < BROW_HALF_WIDTH) & (x > 0.008) & (x < 0.061) & (z > -0.02)
    eyes = [near & (face | (skin.strip_eye == k)) & ~brow for k, near in enumerate(eyes)]
    back = skin.source >= source.vertex_range["face"][1]
    ears = _ears(skin)
    over_brow = y > np.interp(x, *BROW_LINE.T) + BROW_HALF_WIDTH
    cheek = face & (y < 0.0) & (y > -0.085) & (x > 0.012) & ~lips & ~nose
    regions = {
        "face": face,
        "rigid": _rigid(source, skin, face),
        "eye_left": eyes[0],
        "eye_right": eyes[1],
        "brow_left": brow & (p[:, 0] > 0),
        "brow_right": brow & (p[:, 0] < 0),
        "nose": nose,
        "lips": lips,
        "mouth": face & (x < 0.028) & (y < -0.036) & (y > -0.092) & ~nose & ~lips,
        "forehead": ~strip & over_brow & (y < 0.085) & (z > -0.045) & ~nose & ~back,
        "chin": face & (y < -0.085) & (x < 0.030),
        "cheek_left": cheek & (p[:, 0] > 0) & ~eyes[0],
        "cheek_right": cheek & (p[:, 0] < 0) & ~eyes[1],
        "jaw": ~back & (y < -0.060) & (y > -0.120) & ~cheek & ~lips & ~nose & ~strip & ~ears,
        "ear_left": ears & (p[:, 0] > 0),
        "ear_right": ears & (p[:, 0] < 0),
        "neck": ((y < -0.112) | (back & (y < -0.060))) & ~ears,
        "scalp": ((back & (y > -0.060)) | (y > 0.085) | ((z < -0.045) & (y > 0.0))) & ~ears & ~face,
    }
    partner = {"left": "right", "right": "left"}

    def mirrored(name: str) -> str:
        stem, _, side = name.rpartition("_")
        return f"{stem}_{partner[side]}" if side in partner else name

    return {name: mask | regions[mirrored(name)][skin.mirror] for name, mask in regions.items()}


def _rigid(source: Source, skin: Skin, face: NDArray) -> NDArray[np.bool_]:
    """Skin (V,) from which the head's pose may be read: what expressions move least, and the still scalp."""
    motion = np.sqrt((source.expression[:, skin.source] ** 2).sum((0, 2)))
    upper = face & (skin.rest[:, 1] > -0.03)
    calm = upper & (motion <= np.quantile(motion[face], RIGID_SHARE))
    largest = np.linalg.norm(source.expression[:, skin.source], axis=2).max(0)
    still = ~face & (skin.strip_eye < 0) & (largest < RIGID_MOTION) & (skin.rest[:, 1] > -0.045)
    return calm | still


def _ears(skin: Skin) -> NDArray[np.bool_]:
    """Skin (V,) of both ears: the flaps at the sides of the source's face tile and of its back tile."""
    tile = np.zeros(len(skin.uv))
    for q, t in zip(skin.quads_uv, skin.quads_tile, strict=True):
        tile[q[q >= 0]] = t
    uv = source_from_atlas(skin.uv, tile)
    side, height = np.abs(uv[:, 0] - tile - 0.5), uv[:, 1]
    front = (tile == 0) & (side > 0.40) & (height > 0.455) & (height < 0.69)
    back = (tile == 1) & (side > 0.29) & (height > 0.365) & (height < 0.57)
    ear = np.zeros(len(skin.rest), bool)
    corner = skin.quads_uv >= 0
    hit = (front | back)[skin.quads_uv]
    ear[skin.quads[corner & hit]] = True
    return ear
