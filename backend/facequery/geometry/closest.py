"""The point of a mesh that is closest to a point: exact, through a tree of boxes."""

import numba
import numpy as np
from numpy.typing import ArrayLike, NDArray

_LEAF = 6  # triangles in a leaf
_DEPTH = 64  # of the stack; a median split halves, so 2^58 triangles fit


@numba.njit(cache=True)
def _build(centroids, low, high):  # type: ignore[no-untyped-def]
    """Tree by median splits: triangle order, and per node its box, first triangle, count and right child (-1: leaf)."""
    count = centroids.shape[0]
    order = np.arange(count)
    size = 4 * (count // _LEAF + 2)
    box_low, box_high = np.empty((size, 3)), np.empty((size, 3))
    first, number, right = np.empty(size, np.int64), np.empty(size, np.int64), np.full(size, -1)
    first[0], number[0] = 0, count
    waiting = [0]
    nodes = 1
    while len(waiting) > 0:
        node = waiting.pop()
        start, stop = first[node], first[node] + number[node]
        for axis in range(3):
            box_low[node, axis], box_high[node, axis] = np.inf, -np.inf
        spread_low, spread_high = np.full(3, np.inf), np.full(3, -np.inf)
        for i in range(start, stop):
            t = order[i]
            for axis in range(3):
                box_low[node, axis] = min(box_low[node, axis], low[t, axis])
                box_high[node, axis] = max(box_high[node, axis], high[t, axis])
                spread_low[axis] = min(spread_low[axis], centroids[t, axis])
                spread_high[axis] = max(spread_high[axis], centroids[t, axis])
        if stop - start <= _LEAF:
            continue
        part = order[start:stop].copy()
        longest = np.argmax(spread_high - spread_low)
        part = part[np.argsort(centroids[part, longest])]
        order[start:stop] = part
        half = (stop - start) // 2
        # Children are neighbours: left at right[node] - 1.
        first[nodes], number[nodes] = start, half
        first[nodes + 1], number[nodes + 1] = start + half, stop - start - half
        right[node] = nodes + 1
        waiting.append(nodes)
        waiting.append(nodes + 1)
        nodes += 2
    return order, box_low[:nodes], box_high[:nodes], first[:nodes], number[:nodes], right[:nodes]


@numba.njit(cache=True, inline="always")
def _dot(x0, x1, x2, y0, y1, y2):  # type: ignore[no-untyped-def]
    return x0 * y0 + x1 * y1 + x2 * y2


@numba.njit(cache=True)
def _on_triangle(p0, p1, p2, t):  # type: ignore[no-untyped-def]
    """Second and third barycentric coordinate of the point of triangle t (3, 3) closest to p.

    Region by region of the triangle's Voronoi cells: Ericson, "Real-Time Collision Detection", section 5.1.5.
    Degenerate triangles act as their edge or corner.
    """
    ab0, ab1, ab2 = t[1, 0] - t[0, 0], t[1, 1] - t[0, 1], t[1, 2] - t[0, 2]
    ac0, ac1, ac2 = t[2, 0] - t[0, 0], t[2, 1] - t[0, 1], t[2, 2] - t[0, 2]
    x0, x1, x2 = p0 - t[0, 0], p1 - t[0, 1], p2 - t[0, 2]
    d1, d2 = _dot(ab0, ab1, ab2, x0, x1, x2), _dot(ac0, ac1, ac2, x0, x1, x2)
    if d1 <= 0 and d2 <= 0:
        return 0.0, 0.0
    x0, x1, x2 = p0 - t[1, 0], p1 - t[1, 1], p2 - t[1, 2]
    d3, d4 = _dot(ab0, ab1, ab2, x0, x1, x2), _dot(ac0, ac1, ac2, x0, x1, x2)
    if d3 >= 0 and d4 <= d3:
        return 1.0, 0.0
    x0, x1, x2 = p0 - t[2, 0], p1 - t[2, 1], p2 - t[2, 2]
    d5, d6 = _dot(ab0, ab1, ab2, x0, x1, x2), _dot(ac0, ac1, ac2, x0, x1, x2)
    if d6 >= 0 and d5 <= d6:
        return 0.0, 1.0
    vc = d1 * d4 - d3 * d2
    if vc <= 0 and d1 >= 0 and d3 <= 0 and d1 - d3 > 0:
        return d1 / (d1 - d3), 0.0
    vb = d5 * d2 - d1 * d6
    if vb <= 0 and d2 >= 0 and d6 <= 0 and d2 - d6 > 0:
        return 0.0, d2 / (d2 - d6)
    va = d3 * d6 - d5 * d4
    if va <= 0 and d4 - d3 >= 0 and d5 - d6 >= 0 and (d4 - d3) + (d5 - d6) > 0:
        w = (d4 - d3) / ((d4 - d3) + (d5 - d6))
        return 1 - w, w
    total = va + vb + vc
    if total > 0:
        return vb / total, vc / total
    return 0.0, 0.0


@numba.njit(cache=True, inline="always")
def _box_gap(p0, p1, p2, low, high, n):  # type: ignore[no-untyped-def]
    """Squared distance of a point to a node's box."""
    x = max(low[n, 0] - p0, p0 - high[n, 0], 0.0)
    y = max(low[n, 1] - p1, p1 - high[n, 1], 0.0)
    z = max(low[n, 2] - p2, p2 - high[n, 2], 0.0)
    return x * x + y * y + z * z


@numba.njit(cache=True)
def _query(points, corners, order, box_low, box_high, first, number, right):  # type: ignore[no-untyped-def]
    count = points.shape[0]
    triangle, distance = np.full(count, -1), np.full(count, np.inf)
    bary = np.zeros((count, 3))
    stack, near = np.empty(_DEPTH, np.int64), np.empty(_DEPTH)
    for i in range(count):
        p0, p1, p2 = points[i, 0], points[i, 1], points[i, 2]
        best = np.inf
        stack[0], near[0] = 0, 0.0
        top = 1
        while top > 0:
            top -= 1
            node = stack[top]
            if near[top] >= best:
                continue
            if right[node] < 0:
                for k in range(first[node], first[node] + number[node]):
                    t = order[k]
                    v, w = _on_triangle(p0, p1, p2, corners[t])
                    u = 1.0 - v - w
                    gap0 = p0 - (u * corners[t, 0, 0] + v * corners[t, 1, 0] + w * corners[t, 2, 0])
                    gap1 = p1 - (u * corners[t, 0, 1] + v * corners[t, 1, 1] + w * corners[t, 2, 1])
                    gap2 = p2 - (u * corners[t, 0, 2] + v * corners[t, 1, 2] + w * corners[t, 2, 2])
                    square = gap0 * gap0 + gap1 * gap1 + gap2 * gap2
                    if square < best:
                        best = square
                        triangle[i] = t
                        bary[i, 0], bary[i, 1], bary[i, 2] = u, v, w
                continue
            r = right[node]
            left_gap = _box_gap(p0, p1, p2, box_low, box_high, r - 1)
            right_gap = _box_gap(p0, p1, p2, box_low, box_high, r)
            # The nearer child goes on top of the stack.
            if left_gap < right_gap:
                stack[top], near[top], stack[top + 1], near[top + 1] = r, right_gap, r - 1, left_gap
            else:
                stack[top], near[top], stack[top + 1], near[top + 1] = r - 1, left_gap, r, right_gap
            top += 2
        distance[i] = np.sqrt(best)
    return triangle, bary, distance


def closest_point_on_mesh(
    points: ArrayLike, vertices: ArrayLike, triangles: ArrayLike
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    """The closest point of a mesh to each of `points` (N, 3): exact, about ten microseconds a point.

    `vertices` (V, 3) in the points' unit, `triangles` (T, 3) vertex indices. Returns the triangle (N,), the place on it
    as barycentric coordinates (N, 3), and the distance (N,). Of equally close triangles one is taken. A point that is
    not finite gets triangle -1 and distance inf. Raises ValueError for a mesh without triangles.
    """
    p = np.ascontiguousarray(points, dtype=np.float64)
    corners = np.ascontiguousarray(np.asarray(vertices, dtype=np.float64)[np.asarray(triangles)])
    if not len(corners):
        raise ValueError("closest_point_on_mesh: the mesh has no triangles")
    tree = _build(corners.mean(axis=1), corners.min(axis=1), corners.max(axis=1))
    triangle, bary, distance = _query(p.reshape(-1, 3), corners, *tree)
    return triangle, bary, distance
