"""Z-buffer rasteriser for triangle meshes: which triangle a pixel shows, how deep, and where on it."""

import numba
import numpy as np
from numpy.typing import NDArray


@numba.njit(cache=True, fastmath=True, nogil=True)
def _fill(xy, inverse_depth, triangles, triangle_id, best, bary):  # type: ignore[no-untyped-def]
    height, width = triangle_id.shape
    for t in range(triangles.shape[0]):
        a, b, c = triangles[t, 0], triangles[t, 1], triangles[t, 2]
        wa, wb, wc = inverse_depth[a], inverse_depth[b], inverse_depth[c]
        if wa <= 0 or wb <= 0 or wc <= 0:  # behind the camera; no near clipping, faces do not reach the lens
            continue
        ax, ay, bx, by, cx, cy = xy[a, 0], xy[a, 1], xy[b, 0], xy[b, 1], xy[c, 0], xy[c, 1]
        area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
        if area == 0 or not np.isfinite(area):
            continue
        x0, x1 = max(int(np.ceil(min(ax, bx, cx) - 0.5)), 0), min(int(np.floor(max(ax, bx, cx) - 0.5)), width - 1)
        y0, y1 = max(int(np.ceil(min(ay, by, cy) - 0.5)), 0), min(int(np.floor(max(ay, by, cy) - 0.5)), height - 1)
        scale = 1.0 / area
        for y in range(y0, y1 + 1):
            py = y + 0.5
            for x in range(x0, x1 + 1):
                px = x + 0.5
                u = ((bx - px) * (cy - py) - (by - py) * (cx - px)) * scale
                v = ((cx - px) * (ay - py) - (cy - py) * (ax - px)) * scale
                w = 1.0 - u - v
                if u < 0 or v < 0 or w < 0:
                    continue
                inverse = u * wa + v * wb + w * wc
                if inverse > best[y, x]:
                    best[y, x] = inverse
                    triangle_id[y, x] = t
                    bary[y, x, 0] = u * wa / inverse
                    bary[y, x, 1] = v * wb / inverse
                    bary[y, x, 2] = w * wc / inverse


def rasterize(
    xy: NDArray, depth: NDArray, triangles: NDArray, width: int, height: int
) -> tuple[NDArray[np.int32], NDArray[np.float32], NDArray[np.float32]]:
    """Draw a mesh into a z-buffer of `height` x `width` pixels (pixel centres at +0.5, both windings drawn).

    `xy` (V, 2) are continuous pixels, `depth` (V,) positive distances along the camera's z axis (any unit; a triangle
    with a corner at or behind 0 is left out), `triangles` (T, 3) vertex indices.
    Returns the nearest triangle per pixel (H, W), -1 where there is none; its depth (H, W), inf where there is none;
    and perspective-correct barycentric coordinates (H, W, 3), 0 where there is none.
    """
    points = np.ascontiguousarray(xy, dtype=np.float32)
    with np.errstate(divide="ignore"):
        inverse_depth = np.where(np.asarray(depth) > 0, 1.0 / np.asarray(depth), 0.0).astype(np.float32)
    triangle_id = np.full((height, width), -1, dtype=np.int32)
    best = np.zeros((height, width), dtype=np.float32)
    bary = np.zeros((height, width, 3), dtype=np.float32)
    _fill(points, inverse_depth, np.ascontiguousarray(triangles, dtype=np.int32), triangle_id, best, bary)
    with np.errstate(divide="ignore"):
        return triangle_id, np.where(best > 0, 1.0 / best, np.inf).astype(np.float32), bary
