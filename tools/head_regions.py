"""Named regions of the skin, as masks over its vertices."""

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from tools.head_outline import inside
from tools.head_skin import Skin
from tools.head_source import Source

# Middle line of a brow, |x| and y in metres (real brows: the mean of the Face Research Lab London Set, CC BY 4.0).
BROW_LINE = np.array(
    [(0.009, 0.0125), (0.014, 0.0139), (0.031, 0.0188), (0.045, 0.0190), (0.053, 0.0155), (0.060, 0.007)]
)
BROW_HALF_WIDTH = 0.0065
RIGID_MOTION = 0.001  # metres: skin that no expression moves farther is rigid
EYE_REACH = 0.009  # metres round the lids' rim that count as the eye


def skin_regions(source: Source, skin: Skin) -> dict[str, NDArray[np.bool_]]:
    """Masks (V,) over the skin's vertices by region name. Regions overlap; `face` is the region fits are scored on."""
    p = skin.rest
    x, y, z = np.abs(p[:, 0]), p[:, 1], p[:, 2]
    strip = skin.strip_eye >= 0
    face = (skin.source < source.vertex_range["narrow_face"][1]) & ~strip
    motion = np.linalg.norm(source.expression[:, skin.source], axis=2).max(0)
    rigid = (motion < RIGID_MOTION) & ~strip & (y > -0.045)
    # The vermilion: inside the outline of the outer lip landmarks, and the rim that turns into the mouth.
    outline = source.neutral[source.landmarks68[48:60]]
    lips = face & (z > outline[:, 2].min() - 0.012) & inside(p[:, :2], outline[:, :2])
    lips |= face & (cKDTree(p[skin.loops["mouth"]]).query(p)[0] < 0.004)
    eyes = [cKDTree(p[skin.loops[n]]).query(p)[0] < EYE_REACH for n in ("eye_left", "eye_right")]
    nose = face & (x < 0.021) & (y < 0.006) & (y > -0.046) & (z > 0.0175 + 0.35 * x) & ~lips
    nose |= face & (x < 0.012) & (y >= 0.006) & (y < 0.012)
    brow = face & (np.abs(y - np.interp(x, *BROW_LINE.T)) < BROW_HALF_WIDTH) & (x > 0.008) & (x < 0.061) & (z > -0.02)
    eyes = [near & (face | (skin.strip_eye == k)) & ~brow for k, near in enumerate(eyes)]
    back = skin.source >= source.vertex_range["face"][1]
    ears = (x > 0.0715) & (np.abs(y + 0.010) < 0.050) & (z < -0.060) & (z > -0.115)
    regions = {
        "face": face,
        "rigid": rigid,
        "eye_left": eyes[0],
        "eye_right": eyes[1],
        "brow_left": brow & (p[:, 0] > 0),
        "brow_right": brow & (p[:, 0] < 0),
        "nose": nose,
        "lips": lips,
        "forehead": face & (y > np.interp(x, *BROW_LINE.T) + BROW_HALF_WIDTH) & ~nose,
        "chin": face & (y < -0.085) & (x < 0.030),
        "cheek_left": face & (y < 0.0) & (y > -0.085) & (p[:, 0] > 0.012) & ~eyes[0] & ~lips & ~nose,
        "cheek_right": face & (y < 0.0) & (y > -0.085) & (p[:, 0] < -0.012) & ~eyes[1] & ~lips & ~nose,
        "ear_left": ears & (p[:, 0] > 0),
        "ear_right": ears & (p[:, 0] < 0),
        "neck": (y < -0.118) | (back & (y < -0.075)) & ~ears,
        "scalp": (back & (y > -0.060) | (y > 0.085)) & ~ears & ~face,
    }
    partner = {"left": "right", "right": "left"}

    def mirrored(name: str) -> str:
        stem, _, side = name.rpartition("_")
        return f"{stem}_{partner[side]}" if side in partner else name

    return {name: mask | regions[mirrored(name)][skin.mirror] for name, mask in regions.items()}
