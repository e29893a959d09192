"""Named regions of the skin, as masks over its vertices."""

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix

from tools.head_skin import Skin
from tools.head_source import Source


def _rings(skin: Skin, start: NDArray, count: int) -> NDArray[np.bool_]:
    """Vertices within `count` edges of the `start` vertices."""
    corner = np.where(skin.quads < 0, skin.quads[:, :1], skin.quads)
    pairs = np.concatenate([corner[:, [k, (k + 1) % 4]] for k in range(4)])
    graph = coo_matrix((np.ones(len(pairs)), pairs.T), shape=(len(skin.rest),) * 2).tocsr()
    graph = graph + graph.T
    inside = np.zeros(len(skin.rest))
    inside[start] = 1
    for _ in range(count):
        inside = ((graph @ inside + inside) > 0).astype(float)
    return inside > 0


def skin_regions(source: Source, skin: Skin) -> dict[str, NDArray[np.bool_]]:
    """Masks (V,) over the skin's vertices by region name. Regions overlap; `face` is the region fits are scored on."""
    p = skin.rest
    x, y, z = np.abs(p[:, 0]), p[:, 1], p[:, 2]
    strip = skin.strip_eye >= 0
    face = (skin.source < source.vertex_range["narrow_face"][1]) & ~strip
    rigid = np.isin(skin.source, source.rigid) & ~strip
    lips = _rings(skin, skin.loops["mouth"], 9) & face
    nose = face & (x < 0.021) & (y < 0.006) & (y > -0.046) & (z > 0.0175 + 0.35 * x) & ~lips
    nose |= face & (x < 0.012) & (y >= 0.006) & (y < 0.012)
    brow_line = 0.0215 + 0.10 * np.minimum(x, 0.038) - 0.25 * np.maximum(x - 0.038, 0)
    back = skin.source >= source.vertex_range["face"][1]
    ears = (x > 0.0715) & (np.abs(y + 0.010) < 0.050) & (z < -0.060) & (z > -0.115)
    regions = {
        "face": face,
        "rigid": rigid,
        "eye_left": _rings(skin, skin.loops["eye_left"], 6) & (face | (skin.strip_eye == 0)),
        "eye_right": _rings(skin, skin.loops["eye_right"], 6) & (face | (skin.strip_eye == 1)),
        "brow_left": face & (np.abs(y - brow_line) < 0.008) & (p[:, 0] > 0.009) & (x < 0.056),
        "brow_right": face & (np.abs(y - brow_line) < 0.008) & (p[:, 0] < -0.009) & (x < 0.056),
        "nose": nose,
        "lips": lips,
        "forehead": face & (y > 0.032),
        "chin": face & (y < -0.085) & (x < 0.030),
        "cheek_left": face & (y < 0.0) & (y > -0.085) & (p[:, 0] > 0.024) & ~lips & ~nose,
        "cheek_right": face & (y < 0.0) & (y > -0.085) & (p[:, 0] < -0.024) & ~lips & ~nose,
        "ear_left": ears & (p[:, 0] > 0),
        "ear_right": ears & (p[:, 0] < 0),
        "neck": (y < -0.118) | (back & (y < -0.075)) & ~ears,
        "scalp": (back & (y > -0.060) | (y > 0.085)) & ~ears & ~face,
    }
    return regions
