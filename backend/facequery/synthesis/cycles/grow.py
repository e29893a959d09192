"""Hair as strands: grown once on the neutral head, then carried by the skin.

Metres, in canonical space (x subject's left, y up, z out of the face) while growing. A strand is kept in the frame of
the triangle that its root stands in, so that it follows every expression and pose rigidly with its root.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree


@dataclass(frozen=True)
class Strands:
    """triangle (S,) index, bary (S, 3) root, local (S, P, 3) points in the triangle's frame, radius (S, P) metres."""

    triangle: np.ndarray
    bary: np.ndarray
    local: np.ndarray
    radius: np.ndarray

    def follow(self, vertices: np.ndarray, triangles: np.ndarray) -> np.ndarray:
        """Points (F, S, P, 3) on posed skin vertices (F, V, 3), float32."""
        corners = triangles[self.triangle]
        result = np.empty((len(vertices), *self.local.shape), np.float32)
        for index, posed in enumerate(vertices):
            root = np.einsum("sk,skc->sc", self.bary, posed[corners])
            frame = triangle_frames(posed, triangles)[self.triangle]
            result[index] = root[:, None] + np.einsum("sij,spj->spi", frame, self.local)
        return result

    @classmethod
    def bind(
        cls, points: np.ndarray, radius: np.ndarray, vertices: np.ndarray, triangles: np.ndarray, near: np.ndarray
    ) -> "Strands":
        """Tie strands (S, P, 3) to the nearest, by centroid, of the triangles `near` of a neutral head (V, 3)."""
        middle = vertices[triangles[near]].mean(1)
        triangle = near[cKDTree(middle).query(points[:, 0])[1]]
        corners = vertices[triangles[triangle]]
        bary = barycentric(points[:, 0], corners)
        root = np.einsum("sk,skc->sc", bary, corners)
        frame = triangle_frames(vertices, triangles)[triangle]
        local = np.einsum("sji,spj->spi", frame, points - root[:, None])
        return cls(triangle, bary, local.astype(np.float32), radius)


def triangle_frames(vertices: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """Rotation (T, 3, 3) of every triangle: columns are an edge, the normal, and their cross product."""
    a, b, c = (vertices[triangles[:, k]] for k in range(3))
    edge = unit(b - a)
    normal = unit(np.cross(b - a, c - a))
    return np.stack([edge, normal, np.cross(edge, normal)], -1)


def unit(vectors: np.ndarray) -> np.ndarray:
    """Vectors of length one along the last axis."""
    result: np.ndarray = vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)
    return result


def barycentric(points: np.ndarray, corners: np.ndarray) -> np.ndarray:
    """Barycentric coordinates (N, 3) of the projections of points (N, 3) on the planes of corners (N, 3, 3)."""
    e0, e1, d = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0], points - corners[:, 0]
    a, b, c = ((x * y).sum(1) for x, y in ((e0, e0), (e0, e1), (e1, e1)))
    p, q = (d * e0).sum(1), (d * e1).sum(1)
    det = np.maximum(a * c - b * b, 1e-18)
    v, w = (c * p - b * q) / det, (a * q - b * p) / det
    return np.stack([1 - v - w, v, w], 1)


def vertex_normals(vertices: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """Area-weighted unit normals (V, 3)."""
    a, b, c = (vertices[triangles[:, k]] for k in range(3))
    face = np.cross(b - a, c - a)
    result = np.zeros_like(vertices)
    for k in range(3):
        np.add.at(result, triangles[:, k], face)
    return unit(result)


def scatter(
    rng: np.random.Generator, vertices: np.ndarray, triangles: np.ndarray, density: np.ndarray, count: int
) -> tuple[np.ndarray, np.ndarray]:
    """Random roots by area times vertex density (V,): triangle indices (count,), barycentric coordinates (count, 3)."""
    a, b, c = (vertices[triangles[:, k]] for k in range(3))
    weight = np.linalg.norm(np.cross(b - a, c - a), axis=1) * density[triangles].mean(1)
    triangle = rng.choice(len(triangles), count, p=weight / weight.sum())
    u, v = rng.random((2, count))
    flip = u + v > 1
    u, v = np.where(flip, 1 - u, u), np.where(flip, 1 - v, v)
    return triangle, np.stack([1 - u - v, u, v], 1)


@dataclass(frozen=True)
class Style:
    """How a head of hair grows.

    comb: directions (N, 3) at points (N, 3), need not be unit or tangent. length: metres at points (N, 3). lift: how
    much a strand leaves the skin at its root, 0 flat to 1 upright. gravity pulls towards -y. clump: 0..1, how much tips
    gather, in locks of clump_size strands. frizz: metres of wander at the tip. thickness: radius of a root in metres.
    layer: metres that the hair stands out from the skin. points: of a strand.
    """

    comb: Callable[[np.ndarray], np.ndarray]
    length: Callable[[np.ndarray], np.ndarray]
    lift: float = 0.5
    gravity: float = 0.15
    clump: float = 0.35
    clump_size: int = 25
    frizz: float = 0.0015
    thickness: float = 0.00006
    layer: float = 0.012
    points: int = 9


def grow(
    rng: np.random.Generator,
    vertices: np.ndarray,
    triangles: np.ndarray,
    density: np.ndarray,
    count: int,
    style: Style,
    taper: np.ndarray | None = None,
) -> Strands:
    """Grow `count` strands where `density` (V,) is positive. Strands stay outside the skin.

    taper (V,): the length is multiplied by it (a soft hair line); None for 1.
    """
    triangle, bary = scatter(rng, vertices, triangles, density, count)
    corners = triangles[triangle]
    normals = vertex_normals(vertices, triangles)
    root = np.einsum("sk,skc->sc", bary, vertices[corners])
    length = style.length(root) * rng.normal(1.0, 0.12, count).clip(0.6, 1.4)
    if taper is not None:
        length = length * np.einsum("sk,sk->s", bary, taper[corners]).clip(0.05, 1.0)

    skin = cKDTree(vertices)
    points = np.empty((count, style.points, 3))
    points[:, 0] = here = root
    step = (length / (style.points - 1))[:, None]
    # Every strand has its own bent, and neighbours share most of it, so that the hair lies in locks.
    lock_count = max(count // style.clump_size, 1)
    leader = rng.choice(count, lock_count, replace=False)
    lock = cKDTree(root[leader]).query(root)[1]
    bent = rng.normal(size=(lock_count, 3))[lock] * 0.16 + rng.normal(size=(count, 3)) * 0.05
    # How far out of the skin a strand may lie: under or over its neighbours.
    ceiling = style.layer * (0.15 + 0.85 * rng.random(count)) * np.minimum(length / 0.03, 1.0)
    for k in range(1, style.points):
        part = k / (style.points - 1)
        nearest = skin.query(here)[1]
        normal = normals[nearest]
        height = ((here - vertices[nearest]) * normal).sum(1)
        along = unit(style.comb(here))
        # Near the skin hair lies along it; farther out it goes where it is combed.
        close = 0.7 * np.exp(-np.maximum(height, 0) / 0.015)[:, None]
        along = unit(along - (along * normal).sum(1, keepdims=True) * normal * close)
        rise = style.lift * (1 - part) * np.clip(1 - height / np.maximum(ceiling, 1e-4), -1.0, 1.0)
        direction = unit(along + rise[:, None] * normal + bent + np.array([0, -style.gravity * part, 0]))
        here = here + direction * step
        nearest = skin.query(here)[1]
        height = ((here - vertices[nearest]) * normals[nearest]).sum(1)
        floor = 0.0004 + 0.25 * ceiling * part
        here = here + normals[nearest] * np.maximum(floor - height, 0)[:, None]
        points[:, k] = here

    t = np.linspace(0, 1, style.points)
    guide = points[leader][lock]
    # Locks of strands of unlike length would be dragged over the skin: gather only as far as roots are near.
    near = np.exp(-((np.linalg.norm(root - root[leader][lock], axis=1) / 0.006) ** 2))
    pull = style.clump * near[:, None, None] * (t**1.5)[None, :, None]
    points = points + pull * (guide - points)
    wander = np.cumsum(rng.normal(size=points.shape), axis=1)
    wander *= style.frizz / np.sqrt(style.points) * (np.minimum(length / 0.03, 1.0))[:, None, None]
    wander[:, 0] = 0
    points = points + wander

    frame = triangle_frames(vertices, triangles)[triangle]
    local = np.einsum("sji,spj->spi", frame, points - root[:, None])
    radius = style.thickness * rng.uniform(0.7, 1.2, (count, 1)) * (1 - 0.75 * t**2)[None]
    return Strands(triangle, bary, local.astype(np.float32), radius.astype(np.float32))
