"""Numba kernels of the renderer: a z-buffer with alpha-tested cards, and the samples that a picture must shade.

Nothing here knows what a face is. Colour lives in `shading.py`.
"""

import numba
import numpy as np


@numba.njit(cache=True, fastmath=True, error_model="numpy")
def fill(  # type: ignore[no-untyped-def]
    first, last, screen, triangles, material, culled, alpha_of, corner_uv, alpha, cutoff, ids, best
):
    """Draw the triangles first to last - 1 into a z-buffer that may already hold others.

    screen (V, 4) float32: x, y in pixels of the buffer, inverse depth > 0 that grows towards the camera (0: behind it),
    unused; triangles (T, 3), material (T,), culled (M,) 1: back faces of that material are left out, alpha_of (M,)
    layer of `alpha` (L, H, W) uint8 that cuts the material's cards out at `cutoff`, -1 for none, corner_uv (T, 3, 2) in
    [0, 1], v up.
    Writes ids (H, W) int32 and best (H, W) float32, the largest inverse depth.
    """
    height, width = ids.shape
    side_y, side_x = alpha.shape[1], alpha.shape[2]
    half = np.float32(0.5)
    one = np.float32(1.0)
    wide, high = np.float32(width), np.float32(height)
    for t in range(first, last):
        a, b, c = triangles[t, 0], triangles[t, 1], triangles[t, 2]
        ax, ay, wa = screen[a, 0], screen[a, 1], screen[a, 2]
        bx, by, wb = screen[b, 0], screen[b, 1], screen[b, 2]
        cx, cy, wc = screen[c, 0], screen[c, 1], screen[c, 2]
        area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
        m = material[t]
        if area == 0 or (area > 0 and culled[m] == 1) or min(min(wa, wb), wc) <= 0:
            continue
        x_low, x_high = min(ax, bx, cx), max(ax, bx, cx)
        y_low, y_high = min(ay, by, cy), max(ay, by, cy)
        if not (x_high > 0 and y_high > 0 and x_low < wide and y_low < high):
            continue
        x0, x1 = int(max(x_low, np.float32(0.0)) + half), int(min(x_high, wide) + half) - 1
        y0, y1 = int(max(y_low, np.float32(0.0)) + half), int(min(y_high, high) + half) - 1
        if x0 > x1 or y0 > y1:
            continue
        x1, y1 = min(x1, width - 1), min(y1, height - 1)
        scale = one / area
        ux, uy = (by - cy) * scale, (cx - bx) * scale  # u = ux (x - cx) + uy (y - cy)
        vx, vy = (cy - ay) * scale, (ax - cx) * scale
        layer = alpha_of[m]
        left = np.float32(x0) + half - cx
        dy = np.float32(y0) + half - cy
        u_row, v_row = ux * left + uy * dy, vx * left + vy * dy
        # Inverse depth is linear over the picture, too.
        across = ux * (wa - wc) + vx * (wb - wc)
        for y in range(y0, y1 + 1):
            u, v = u_row, v_row
            inverse = wc + u * (wa - wc) + v * (wb - wc)
            for x in range(x0, x1 + 1):
                # One test instead of four: which pixels of a small triangle are hit cannot be predicted.
                if (min(min(u, v), one - u - v) >= 0) & (inverse > best[y, x]):
                    keep = True
                    if layer >= 0:
                        pu, pv = u * wa / inverse, v * wb / inverse
                        pw = one - pu - pv
                        s = pu * corner_uv[t, 0, 0] + pv * corner_uv[t, 1, 0] + pw * corner_uv[t, 2, 0]
                        r = pu * corner_uv[t, 0, 1] + pv * corner_uv[t, 1, 1] + pw * corner_uv[t, 2, 1]
                        i = min(max(int((one - r) * np.float32(side_y)), 0), side_y - 1)
                        j = min(max(int(s * np.float32(side_x)), 0), side_x - 1)
                        keep = alpha[layer, i, j] >= cutoff
                    if keep:
                        best[y, x] = inverse
                        ids[y, x] = t
                u += ux
                v += vx
                inverse += across
            u_row += uy
            v_row += vy


@numba.njit(cache=True, fastmath=True, error_model="numpy")
def plan_samples(ids, best, material, group, sample_tri, sample_xy, sample_pixel, sample_weight, depth):  # type: ignore[no-untyped-def]
    """Which points to shade so that edges are smooth and flat places cost one sample a pixel.

    ids, best (2 S, 2 S) of `fill`. Where the four of a pixel belong to one group (`group` (M,) by material) and lie at
    about one depth, one sample in the middle stands for them; elsewhere every surface has its own.
    Writes the samples (triangle, position in pixels of the S x S picture, flat pixel index, weight) and the nearest
    depth of each pixel (S, S), inf for none; returns their number.
    """
    size = depth.shape[0]
    count = 0
    sample_near = np.zeros(4, np.float32)
    for y in range(size):
        for x in range(size):
            t0 = ids[2 * y, 2 * x]
            t1 = ids[2 * y, 2 * x + 1]
            t2 = ids[2 * y + 1, 2 * x]
            t3 = ids[2 * y + 1, 2 * x + 1]
            b0 = best[2 * y, 2 * x]
            b1 = best[2 * y, 2 * x + 1]
            b2 = best[2 * y + 1, 2 * x]
            b3 = best[2 * y + 1, 2 * x + 1]
            high = max(max(b0, b1), max(b2, b3))
            if high <= 0:
                depth[y, x] = np.inf
                continue
            depth[y, x] = 1.0 / high
            low = min(min(b0, b1), min(b2, b3))
            flat = False
            if low > 0:
                g = group[material[t0]]
                same = g == group[material[t1]] and g == group[material[t2]] and g == group[material[t3]]
                flat = same and (high - low) < 0.012 * high
            if flat:
                sample_tri[count] = t0
                sample_xy[count, 0] = x + 0.5
                sample_xy[count, 1] = y + 0.5
                sample_pixel[count] = y * size + x
                sample_weight[count] = 1.0
                count += 1
                continue
            first = count
            for k in range(4):
                t = t0 if k == 0 else (t1 if k == 1 else (t2 if k == 2 else t3))
                if t < 0:
                    continue
                near = b0 if k == 0 else (b1 if k == 1 else (b2 if k == 2 else b3))
                px = x + np.float32(0.25) + np.float32(0.5) * (k & 1)
                py = y + np.float32(0.25) + np.float32(0.5) * (k >> 1)
                # What continues one surface shares a sample in its middle.
                merged = False
                for s in range(first, count):
                    step = near - sample_near[s - first]
                    if group[material[t]] == group[material[sample_tri[s]]] and abs(step) < np.float32(0.012) * near:
                        total = sample_weight[s] + np.float32(0.25)
                        share = np.float32(0.25) / total
                        sample_xy[s, 0] += (px - sample_xy[s, 0]) * share
                        sample_xy[s, 1] += (py - sample_xy[s, 1]) * share
                        sample_weight[s] = total
                        merged = True
                        break
                if not merged:
                    sample_tri[count] = t
                    sample_xy[count, 0] = px
                    sample_xy[count, 1] = py
                    sample_pixel[count] = y * size + x
                    sample_weight[count] = 0.25
                    sample_near[count - first] = near
                    count += 1
    return count


@numba.njit(cache=True, fastmath=True, error_model="numpy")
def vertex_normals(vertices, triangles, normals):  # type: ignore[no-untyped-def]
    """Area-weighted unit normals (V, 3) of vertices (V, 3) and triangles (T, 3), written into `normals`."""
    normals[:] = 0
    for t in range(triangles.shape[0]):
        a, b, c = triangles[t, 0], triangles[t, 1], triangles[t, 2]
        e0 = vertices[b, 0] - vertices[a, 0]
        e1 = vertices[b, 1] - vertices[a, 1]
        e2 = vertices[b, 2] - vertices[a, 2]
        f0 = vertices[c, 0] - vertices[a, 0]
        f1 = vertices[c, 1] - vertices[a, 1]
        f2 = vertices[c, 2] - vertices[a, 2]
        n0, n1, n2 = e1 * f2 - e2 * f1, e2 * f0 - e0 * f2, e0 * f1 - e1 * f0
        for k in (a, b, c):
            normals[k, 0] += n0
            normals[k, 1] += n1
            normals[k, 2] += n2
    for i in range(normals.shape[0]):
        length = np.sqrt(normals[i, 0] ** 2 + normals[i, 1] ** 2 + normals[i, 2] ** 2)
        if length > 0:
            normals[i, 0] /= length
            normals[i, 1] /= length
            normals[i, 2] /= length


@numba.njit(cache=True, fastmath=True, error_model="numpy")
def moved(vertices, normals, rotation, translation, points, turned):  # type: ignore[no-untyped-def]
    """Rigid motion x -> rotation x + translation of vertices (V, 3) and normals (V, 3) into points and turned."""
    for i in range(vertices.shape[0]):
        x, y, z = vertices[i, 0], vertices[i, 1], vertices[i, 2]
        p, q, r = normals[i, 0], normals[i, 1], normals[i, 2]
        for k in range(3):
            points[i, k] = rotation[k, 0] * x + rotation[k, 1] * y + rotation[k, 2] * z + translation[k]
            turned[i, k] = rotation[k, 0] * p + rotation[k, 1] * q + rotation[k, 2] * r


@numba.njit(cache=True, fastmath=True, error_model="numpy")
def project(vertices, fx, fy, cx, cy, scale, screen):  # type: ignore[no-untyped-def]
    """x, y in pixels `scale` times as fine as the picture's, and 1 / z, into screen (V, 4), of camera-space vertices
    (V, 3); 0 for what is nearer than 2 cm or behind."""
    for i in range(vertices.shape[0]):
        z = vertices[i, 2]
        if z < np.float32(0.02):
            screen[i, 0] = 0.0
            screen[i, 1] = 0.0
            screen[i, 2] = 0.0
            continue
        w = np.float32(1.0) / z
        screen[i, 0] = (fx * vertices[i, 0] * w + cx) * scale
        screen[i, 1] = (fy * vertices[i, 1] * w + cy) * scale
        screen[i, 2] = w


@numba.njit(cache=True, fastmath=True, error_model="numpy")
def project_light(vertices, basis, centre, half, size, screen):  # type: ignore[no-untyped-def]
    """Orthographic view from a light into screen (V, 4), nearness last: basis (3, 3) rows right, down, towards the
    light; `half` metres to the border."""
    scale = np.float32(0.5) * size / half
    middle = np.float32(0.5) * size
    for i in range(vertices.shape[0]):
        x, y, z = vertices[i, 0] - centre[0], vertices[i, 1] - centre[1], vertices[i, 2] - centre[2]
        screen[i, 0] = (basis[0, 0] * x + basis[0, 1] * y + basis[0, 2] * z) * scale + middle
        screen[i, 1] = (basis[1, 0] * x + basis[1, 1] * y + basis[1, 2] * z) * scale + middle
        screen[i, 2] = basis[2, 0] * x + basis[2, 1] * y + basis[2, 2] * z + np.float32(1.0)


@numba.njit(cache=True)
def seen(pixels, points, normals, surface, nearness, tolerance, edge_on, visible):  # type: ignore[no-untyped-def]
    """Which points (N, 3) of a surface are seen, into visible (N,).

    pixels (N, 2) theirs in a picture whose z-buffer `nearness` (2 S, 2 S), inverse depths, is twice as fine; normals
    (N, 3) unit; surface (N,) bool: the others never are. A point may lie `tolerance` metres behind what is drawn, and
    its normal's cosine towards the eye must exceed `edge_on`.
    """
    side = nearness.shape[0]
    for k in range(points.shape[0]):
        x, y = 2 * pixels[k, 0], 2 * pixels[k, 1]
        px, py, pz = points[k, 0], points[k, 1], points[k, 2]
        visible[k] = False
        if not (surface[k] and x > 0 and y > 0 and x < side and y < side and pz > 0):
            continue
        # The farthest of the four samples round the point: a pixel of a steep surface shows nearer parts of it.
        i, j = int(np.floor(y - 0.5)), int(np.floor(x - 0.5))
        i0, i1, j0, j1 = max(i, 0), min(i + 1, side - 1), max(j, 0), min(j + 1, side - 1)
        shown = min(min(nearness[i0, j0], nearness[i0, j1]), min(nearness[i1, j0], nearness[i1, j1]))
        towards = normals[k, 0] * px + normals[k, 1] * py + normals[k, 2] * pz
        facing = -towards / np.sqrt(px * px + py * py + pz * pz)
        visible[k] = (shown <= 0 or pz - 1.0 / shown < tolerance) and facing > edge_on


@numba.njit(cache=True, fastmath=True, error_model="numpy")
def dim(colour, light):  # type: ignore[no-untyped-def]
    """Multiplies colour (H, W, 3), in place, by light (H, W)."""
    for y in range(colour.shape[0]):
        for x in range(colour.shape[1]):
            for c in range(3):
                colour[y, x, c] *= light[y, x]
