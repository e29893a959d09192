"""The skin's own topology: face and head welded, neck trimmed, lids closed inwards, one UV atlas."""

from collections import defaultdict
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from tools.head_eyes import RADIUS
from tools.head_source import Source

# The neck is cut by a plane through x: source centimetres y = CUT_Y + CUT_SLOPE * z, lower in front than behind.
CUT_Y, CUT_SLOPE = -12.5, -0.30
FACE_SCALE = 0.70  # size of the face's tile in the atlas; the back of the head fills the rest
HEAD_SCALE = 0.335


@dataclass(frozen=True)
class Skin:
    """The skin and how it is made from the source.

    source (V,): the source vertex that a vertex is, or that carries its expression (lid strips); strip_eye (V,): 0 or
    1 for a vertex of the left or right inner lid, -1 else; rest (V, 3); quads (Q, 4); uv (U, 2), quads_uv (Q, 4);
    quads_tile (Q,): source tile; mirror (V,); loops: vertex loops by name.
    """

    source: NDArray[np.int64]
    strip_eye: NDArray[np.int64]
    rest: NDArray[np.float64]
    quads: NDArray[np.int32]
    uv: NDArray[np.float64]
    quads_uv: NDArray[np.int32]
    quads_tile: NDArray[np.int8]
    mirror: NDArray[np.int64]
    loops: dict[str, NDArray[np.int32]]


def boundary_loops(quads: NDArray) -> list[list[int]]:
    """Closed loops of directed boundary edges of quads (Q, 4) (triangles end with -1), each in its faces' order."""
    edges: set[tuple[int, int]] = set()
    for q in quads.tolist():
        corners = [v for v in q if v >= 0]
        edges |= set(zip(corners, corners[1:] + corners[:1], strict=True))
    after = {a: b for a, b in edges if (b, a) not in edges}
    loops = []
    while after:
        start = next(iter(after))
        loop = [start]
        while (step := after.pop(loop[-1])) != start:
            loop.append(step)
        loops.append(loop)
    return loops


def _above_cut(quads: NDArray, height: NDArray) -> NDArray[np.bool_]:
    """Mask (Q,) of faces that stay when the neck is cut where the vertices' `height` (V,) over the plane is 0.

    Faces are judged by their middle; a corner left sticking out at the edge goes too, so that the edge is one
    loop that runs along the plane.
    """
    corner = np.where(quads < 0, quads[:, 2:3], quads)
    keep = height[corner].mean(1) > 0
    for _ in range(4):
        count = np.bincount(quads[keep][quads[keep] >= 0], minlength=len(height))
        spike = keep & ((count[corner] == 1) & (height[corner] < 0.02)).any(1)
        if not spike.any():
            break
        keep &= ~spike
    return keep


def atlas_from_source(uv: NDArray, tile: NDArray) -> NDArray[np.float64]:
    """Atlas coordinates (..., 2) of source coordinates inside their tile; `tile` 0 is the face, 1 the back."""
    face = 0.004 + FACE_SCALE * uv + [0.0, 1 - FACE_SCALE - 0.008]
    back = HEAD_SCALE * (uv - [0.5, 0.0]) + [0.848, 0.30]
    return np.where((tile == 0)[..., None], face, back)


def make_skin(source: Source) -> Skin:
    """Build the skin from the source's face and back of the head; see Skin."""
    count = source.vertex_range["head_neck"][1]
    faces = source.faces[: source.face_range["head_neck"][1]]
    faces_uv = source.faces_uv[: len(faces)]
    raw = source.neutral[:count] * 100 + source.origin
    height = 0.01 * (raw[:, 1] - CUT_Y - CUT_SLOPE * raw[:, 2])
    keep = _above_cut(faces, height)
    faces, faces_uv = faces[keep], faces_uv[keep]

    # The whole numbering: kept source vertices first, in the source's order (the face, then the back of the head).
    used = np.unique(faces[faces >= 0])
    new = np.full(count + 1, -1)
    new[used] = np.arange(len(used))
    quads = [np.where(faces < 0, -1, new[faces])]
    uv_used = np.unique(faces_uv[faces_uv >= 0])
    new_uv = np.full(len(source.uv) + 1, -1)
    new_uv[uv_used] = np.arange(len(uv_used))
    quads_uv = [np.where(faces_uv < 0, -1, new_uv[faces_uv])]
    tile = np.floor(source.uv[uv_used, 0]).astype(np.int8)
    uv = [atlas_from_source(source.uv[uv_used] - np.stack([tile, 0 * tile], 1), tile)]
    quads_tile = [np.floor(source.uv[faces_uv[:, 0], 0]).astype(np.int8)]

    vertex_uv = {}
    for q, qu in zip(quads[0].tolist(), quads_uv[0].tolist(), strict=True):
        vertex_uv.update({v: u for v, u in zip(q, qu, strict=True) if v >= 0})
    loops = boundary_loops(quads[0])
    lowest = min(loops, key=lambda ring: source.neutral[used[ring], 1].mean())
    neck = source.neutral[used].copy()
    for _ in range(10):  # an even rim: smoothed along itself, and in the plane of the cut
        neck[lowest] = 0.5 * neck[lowest] + 0.25 * (np.roll(neck[lowest], 1, 0) + np.roll(neck[lowest], -1, 0))
        neck[lowest, 1] = (CUT_Y + CUT_SLOPE * (neck[lowest, 2] * 100 + source.origin[2]) - source.origin[1]) * 0.01
    rest, origin_of, strip_eye = [neck], [used], [np.full(len(used), -1)]
    named: dict[str, NDArray] = {}
    by_place = defaultdict(list)
    for loop in loops:
        mean = rest[0][loop].mean(0)
        name = (
            "neck" if mean[1] < -0.1 else "mouth" if abs(mean[0]) < 0.01 else "eye_left" if mean[0] > 0 else "eye_right"
        )
        by_place[name].append(loop)
    if sorted(by_place) != ["eye_left", "eye_right", "mouth", "neck"] or any(len(v) > 1 for v in by_place.values()):
        raise ValueError(f"the source skin has unexpected boundaries: { {k: len(v) for k, v in by_place.items()} }")
    total, total_uv = len(used), len(uv_used)
    for eye, name in enumerate(("eye_left", "eye_right")):
        rim = np.array(by_place[name][0])
        # Inner lids: one ring that touches the eyeball, one that dives into it, so that no gap shows at the corners.
        arm = rest[0][rim] - source.eye_centres[eye]
        length = np.linalg.norm(arm, axis=1, keepdims=True)
        touch = np.minimum(length, RADIUS)
        flat = uv[0][[vertex_uv[v] for v in rim]]
        previous, previous_uv = rim, np.array([vertex_uv[v] for v in rim])
        for reach, inset in ((0.985, 0.35), (0.85, 0.65)):
            ring = np.arange(total, total + len(rim))
            ring_uv = np.arange(total_uv, total_uv + len(rim))
            rest.append(source.eye_centres[eye] + arm / length * touch * reach)
            origin_of.append(used[rim])
            strip_eye.append(np.full(len(rim), eye))
            # The holes are thin slits: going towards the middle line keeps clear of the other lid.
            uv.append(flat + inset * (flat.mean(0) - flat) * [0.15, 1.0])
            ahead, ahead_uv = np.roll(previous, -1), np.roll(previous_uv, -1)
            quads.append(np.stack([ahead, previous, ring, np.roll(ring, -1)], 1))
            quads_uv.append(np.stack([ahead_uv, previous_uv, ring_uv, np.roll(ring_uv, -1)], 1))
            quads_tile.append(np.zeros(len(rim), np.int8))
            total, total_uv = total + len(rim), total_uv + len(rim)
            previous, previous_uv = ring, ring_uv
        named[name] = rim
    named["mouth"], named["neck"] = np.array(by_place["mouth"][0]), np.array(by_place["neck"][0])

    vertices = np.concatenate(rest)
    return Skin(
        source=np.concatenate(origin_of),
        strip_eye=np.concatenate(strip_eye),
        rest=vertices,
        quads=np.concatenate(quads).astype(np.int32),
        uv=np.concatenate(uv),
        quads_uv=np.concatenate(quads_uv).astype(np.int32),
        quads_tile=np.concatenate(quads_tile),
        mirror=_skin_mirror(vertices),
        loops={k: v.astype(np.int32) for k, v in named.items()},
    )


def _skin_mirror(vertices: NDArray) -> NDArray[np.int64]:
    distance, mirror = cKDTree(vertices).query(vertices * [-1, 1, 1])
    if distance.max() > 1e-6 or not (mirror[mirror] == np.arange(len(mirror))).all():
        raise ValueError("the skin is not symmetric")
    return mirror


def triangulated(quads: NDArray, quads_uv: NDArray, rest: NDArray) -> tuple[NDArray, NDArray, NDArray]:
    """Triangles (T, 3), their uv indices (T, 3) and the face each came from (T,); quads split along the shorter
    diagonal, which treats mirrored quads alike."""
    is_quad = quads[:, 3] >= 0
    first = np.linalg.norm(rest[quads[:, 0]] - rest[quads[:, 2]], axis=1)
    second = np.linalg.norm(rest[quads[:, 1]] - rest[quads[:, 3]], axis=1)
    along = np.where(first <= second + 1e-7, 0, 1)  # 0: split 0-2, 1: split 1-3
    corners = np.array([[[0, 1, 2], [0, 2, 3]], [[0, 1, 3], [1, 2, 3]]])
    triangles, triangles_uv, face = [], [], []
    for f in range(len(quads)):
        for c in corners[along[f]] if is_quad[f] else corners[0][:1]:
            triangles.append(quads[f][c])
            triangles_uv.append(quads_uv[f][c])
            face.append(f)
    return np.array(triangles, np.int32), np.array(triangles_uv, np.int32), np.array(face, np.int32)


def source_from_atlas(uv: NDArray, tile: NDArray) -> NDArray[np.float64]:
    """Inverse of atlas_from_source, with the tile added to u (the source's UDIM layout)."""
    face = (uv - [0.0, 1 - FACE_SCALE - 0.008] - 0.004) / FACE_SCALE
    back = (uv - [0.848, 0.30]) / HEAD_SCALE + [0.5, 0.0]
    return np.where((tile == 0)[..., None], face, back + np.array([1.0, 0.0]))
