"""Small moves of points over the skin, read off pictures of its texture.

What a picture shows as an edge (a lip's red, a nostril's rim) and where the source head has it can differ by a
millimetre or two. The table was set by eye on the mean of all textures that `tools/portrait_skins.py` bakes, with the
points drawn on it.
"""

import numpy as np
from facequery.head import HeadModel
from facequery.head.sampling import on_surface
from facequery.synthesis.meshes import source_uv
from numpy.typing import NDArray

TEXELS = 256  # of the face's tile: one is about 0.9 mm
# Texels towards the subject's left and up, for the points of the right half and of the middle of ibug68.
IBUG_RIGHT = {
    17: (0.5, 2.0),  # where the brow fades away
    31: (1.0, 1.0), 32: (0.0, 1.0), 33: (0.0, 1.0),  # the nostrils' lower rim, not the lip's skin under it
    49: (0.3, -0.7), 50: (0.0, -0.9), 51: (0.0, -0.9), 57: (0.0, 0.5), 58: (0.0, 0.5), 59: (0.4, 0.4),  # the lips' red
    61: (0.0, 1.6), 62: (0.0, 1.6), 66: (0.0, -1.4), 67: (0.0, -1.4),  # where lips meet, not behind it
}  # fmt: skip
IBUG_PARTNER = {17: 26, 31: 35, 32: 34, 49: 53, 50: 52, 58: 56, 59: 55, 61: 63, 67: 65}


def shifted(model: HeadModel, points: NDArray) -> NDArray[np.float64]:
    """The 68 points (68, 3) of ibug68, canonical metres on the skin, moved by the table; the left mirrors the right."""
    part = model.parts["skin"]
    triangles = model.triangles[part.triangles]
    uv = source_uv()[part.triangles].astype(np.float64)  # (T, 3, 2)
    a, ab, ac = uv[:, 0], uv[:, 1] - uv[:, 0], uv[:, 2] - uv[:, 0]
    area = ab[:, 0] * ac[:, 1] - ab[:, 1] * ac[:, 0]
    out = np.array(points, np.float64)
    numbers = list(IBUG_RIGHT)
    feet = on_surface(model, out[numbers])
    for number, triangle, bary in zip(numbers, feet.triangle, feet.bary, strict=True):
        target = bary @ uv[triangle - part.triangles.start] + np.array(IBUG_RIGHT[number]) / TEXELS
        way = target - a
        second = (way[:, 0] * ac[:, 1] - way[:, 1] * ac[:, 0]) / area
        third = (ab[:, 0] * way[:, 1] - ab[:, 1] * way[:, 0]) / area
        corners = np.stack([1 - second - third, second, third], 1)
        inside = int(corners.min(1).argmax())
        out[number] = corners[inside] @ model.rest[triangles[inside]].astype(np.float64)
        if number in IBUG_PARTNER:
            out[IBUG_PARTNER[number]] = out[number] * [-1, 1, 1]
        else:
            out[number, 0] = 0.0
    return out
