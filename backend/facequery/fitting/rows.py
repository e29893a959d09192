"""The Jacobian's rows of one frame of one view, point by point, in machine code."""

import numba
import numpy as np


@numba.njit(cache=True, fastmath=True, nogil=True)
def fill_rows(points, some, columns, root, head, camera, scales, places, near, out):  # type: ignore[no-untyped-def]
    """Write the derivatives of the pixels of some landmarks, each multiplied by its root, into `out` (n, 2, 62 + S).

    points (N, 3) canonical and columns (N, 3, 56 + K), their derivatives by expression, eyes and shape, of which the
    rows `some` (n,) are used; root (n,). head (3, 4): rotation and translation to the world. camera (3, 5): rotation
    and translation to the camera, and the solved part of that translation. scales: fx, fy, and the factor by which a
    step in depth counts. places: columns of `out` of the first view's focal length, of this view's, and of this view's
    pose; -1 where they are not solved. near: nothing is seen nearer than this.
    """
    wide = columns.shape[2]
    turned, by_world, by_point, lens = np.empty(3), np.empty((2, 3)), np.empty((2, 3)), np.empty((2, 3))
    for i in range(len(some)):
        n = some[i]
        for a in range(3):
            turned[a] = head[a, 0] * points[n, 0] + head[a, 1] * points[n, 1] + head[a, 2] * points[n, 2]
        x, y, z = camera[0, 3], camera[1, 3], camera[2, 3]
        for a in range(3):
            world = turned[a] + head[a, 3]
            x += camera[0, a] * world
            y += camera[1, a] * world
            z += camera[2, a] * world
        z = max(z, near)
        fx, fy = scales[0] * root[i], scales[1] * root[i]
        lens[0, 0], lens[0, 1], lens[0, 2] = fx / z, 0.0, -fx * x / z**2
        lens[1, 0], lens[1, 1], lens[1, 2] = 0.0, fy / z, -fy * y / z**2
        for r in range(2):
            for a in range(3):
                by_world[r, a] = lens[r, 0] * camera[0, a] + lens[r, 1] * camera[1, a] + lens[r, 2] * camera[2, a]
            for a in range(3):
                by_point[r, a] = by_world[r, 0] * head[0, a] + by_world[r, 1] * head[1, a] + by_world[r, 2] * head[2, a]
            b0, b1, b2 = by_world[r, 0], by_world[r, 1], by_world[r, 2]
            out[i, r, 0] = turned[1] * b2 - turned[2] * b1
            out[i, r, 1] = turned[2] * b0 - turned[0] * b2
            out[i, r, 2] = turned[0] * b1 - turned[1] * b0
            out[i, r, 3] = b0
            out[i, r, 4] = b1
            out[i, r, 5] = b2 * scales[2]
            p0, p1, p2 = np.float32(by_point[r, 0]), np.float32(by_point[r, 1]), np.float32(by_point[r, 2])
            for c in range(wide):
                out[i, r, 6 + c] = p0 * columns[n, 0, c] + p1 * columns[n, 1, c] + p2 * columns[n, 2, c]
            for c in range(6 + wide, out.shape[2]):
                out[i, r, c] = 0.0
            if places[0] >= 0:  # the head's depth goes with the focal length
                out[i, r, places[0]] += b2 * head[2, 3]
            if places[2] >= 0:  # the turn goes about the camera's own origin, before the solved translation is added
                l0, l1, l2 = x - camera[0, 4], y - camera[1, 4], z - camera[2, 4]
                at = places[2]
                out[i, r, at] = l1 * lens[r, 2] - l2 * lens[r, 1]
                out[i, r, at + 1] = l2 * lens[r, 0] - l0 * lens[r, 2]
                out[i, r, at + 2] = l0 * lens[r, 1] - l1 * lens[r, 0]
                for a in range(3):
                    out[i, r, at + 3 + a] = lens[r, a]
        if places[1] >= 0:
            out[i, 0, places[1]] += fx * x / z
            out[i, 1, places[1]] += fy * y / z
