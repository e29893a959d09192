"""dense520 and the layout of face segments."""

from dataclasses import replace

import numpy as np
from facequery.geometry.rasterize import rasterize
from facequery.head import HeadModel, QuerySet
from facequery.head.sampling import farthest_points, on_surface, poisson_disk, skin_at_uv, skin_uv
from numpy.typing import NDArray
from scipy.spatial import Delaunay, cKDTree

from tools.head_outline import inside
from tools.head_shading import View

MIRROR = np.array([-1.0, 1.0, 1.0])
COUNT = 520
ROUNDS = 3
CLOSEST = 0.0055  # metres: a Delaunay point nearer than this to another is left out
SEGMENTS = ("forehead", "brow_left", "brow_right", "eye_left", "eye_right", "nose", "cheek_left", "cheek_right", "lips",
            "mouth", "chin", "jaw", "ear_left", "ear_right", "neck", "scalp")  # fmt: skip


def boundary_and_nose(model: HeadModel, solid: NDArray) -> NDArray[np.float64]:
    """The 19 seeds of Dense520, section 3: nine on the jaw from right to left, nine back over the forehead, and the tip
    of the nose last."""
    jaw = solid[0:17:2]
    # The arc over the forehead from ear to ear, in a plane that leans back with the forehead.
    angle = np.radians(np.linspace(168, 12, 9))
    arc = np.stack([0.071 * np.cos(angle), 0.012 + 0.070 * np.sin(angle), np.full(9, 0.02)], 1)
    arc[:, 2] -= 0.055 * np.abs(np.cos(angle)) ** 2
    forehead = on_surface(model, arc).positions
    forehead = 0.5 * (forehead + forehead[::-1] * MIRROR)
    return on_surface(model, np.concatenate([jaw, forehead[::-1], solid[30:31]])).positions


def _mirror_closed(points: NDArray) -> NDArray[np.float64]:
    """The points of the subject's left half (x >= 0, midline snapped) and their mirror images."""
    half = points[points[:, 0] > -5e-4].copy()
    half[np.abs(half[:, 0]) < 1.2e-3, 0] = 0
    side = half[half[:, 0] > 0]
    return np.concatenate([half, side * MIRROR])


def dense520(model: HeadModel, solid: NDArray, aflw: NDArray, names68: list[str]) -> QuerySet:
    """The 520 points: named 68 and 21, three Delaunay rounds, the rest by farthest points; mirror-symmetric.

    Curated: centroids off the skin, in nostrils and on the wet rims of lids and lips, and those too near a named point
    are left out, and what is missing to 520 is filled by the points of the face farthest from all others.
    """
    seeds = boundary_and_nose(model, solid)
    points = seeds
    for _ in range(ROUNDS):
        uv = skin_uv(model, on_surface(model, points))
        middle, found = skin_at_uv(model, uv[Delaunay(uv).simplices].mean(1))
        added = on_surface(model, _mirror_closed(middle.positions[found])).positions
        keep = np.ones(len(added), bool)
        pairs = cKDTree(added).query_pairs(1e-4, output_type="ndarray")
        keep[pairs[:, 1]] = False
        points = np.concatenate([points, added[keep]])

    aflw_names = [f"aflw_{i}" for i in range(21)]
    near68 = cKDTree(solid).query(aflw)
    same = near68[0] < 1e-6  # AFLW points that are points of the 68
    named = np.concatenate([solid, aflw[~same]])
    names = [*names68, *(n for n, s in zip(aflw_names, same, strict=True) if not s)]
    named_groups = ["face68"] * len(solid) + ["aflw21"] * int((~same).sum())

    face = _allowed(model)
    skin = model.rest[model.parts["skin"].vertices].astype(np.float64)
    vertex = cKDTree(skin)
    fresh = points[(cKDTree(named).query(points)[0] > CLOSEST) & face[vertex.query(points)[1]]]
    fresh = _mirror_closed(fresh)
    fresh = fresh[_spread(fresh, CLOSEST)]
    room = COUNT - len(named) - len(fresh)
    if room < 0:
        raise ValueError(f"{-room} points too many for {COUNT}")
    # Fill in mirrored pairs; one on the midline makes an odd number even.
    outline = skin_uv(model, on_surface(model, seeds))[:-1]
    vertex_uv = skin_uv(model, on_surface(model, skin))
    pool = skin[face & inside(vertex_uv, outline)]
    middle = pool[np.abs(pool[:, 0]) < 1e-6]
    filled = np.concatenate([named, fresh])
    extra = np.zeros((0, 3))
    if room % 2:
        extra = middle[farthest_points(middle, 1, filled)]
    half = pool[pool[:, 0] > 0.002]
    chosen = half[farthest_points(half, room // 2, np.concatenate([filled, extra]))]
    extra = np.concatenate([extra, chosen, chosen * MIRROR])
    every = np.concatenate([named, fresh, extra])
    names += [f"dense_{i}" for i in range(len(fresh) + len(extra))]
    groups = [*named_groups, *["delaunay"] * len(fresh), *["fill"] * len(extra)]
    queries = QuerySet.from_positions(model, every, None, names, groups, "dense520")
    return replace(
        queries,
        description="520 points by three rounds of Delaunay centroids from 18 boundary points and the nose tip; "
        "the first 68 are face68_3d; the AFLW points that are not among them are named aflw_N",
        origin="made by tools/head_dense_layouts.py after Basak et al. 2023, section 3",
        licence="Apache-2.0",
    )


def _allowed(model: HeadModel) -> NDArray[np.bool_]:
    """Skin vertices (V,) where dense points may lie: the outer face, not lid strips, inner lips or nostrils."""
    skin = model.rest[model.parts["skin"].vertices].astype(np.float64)
    mask = model.region_mask("face").copy()
    rims = np.concatenate([model.loops[n] for n in ("mouth", "eye_left", "eye_right")])
    mask &= cKDTree(skin[rims]).query(skin)[0] > 0.002
    seen = np.zeros(len(skin), bool)
    for yaw in (-75.0, -40.0, 0.0, 40.0, 75.0):
        view = View(yaw=yaw, size=(900, 900))
        xy, depth = view.project(skin)
        surface = rasterize(xy, depth, model.part_triangles("skin"), 900, 900)[1]
        column, row = np.clip(xy.astype(int), 0, 899).T
        seen |= depth < surface[row, column] + 0.0012
    return mask & seen & (skin[:, 2] > -0.062)


def _spread(points: NDArray, distance: float) -> NDArray[np.int64]:
    """Indices of points of which none is nearer than `distance` to one before it."""
    keep: list[int] = []
    for i, p in enumerate(points):
        if not keep or np.linalg.norm(points[keep] - p, axis=1).min() >= distance:
            keep.append(i)
    return np.array(keep)


def segments(model: HeadModel) -> QuerySet:
    """Evenly spread points over the whole skin, grouped by facial segment: queries for segmentation and mattes."""
    points = poisson_disk(model, 0.0085, np.random.default_rng(20), "skin").positions
    points = _mirror_closed(points)
    points = points[_spread(points, 0.005)]
    points = on_surface(model, points).positions
    skin = model.rest[model.parts["skin"].vertices]
    vertex = cKDTree(skin).query(points)[1]
    label = np.array(["face"] * len(points), dtype=object)
    for name in reversed(SEGMENTS):
        label[model.region_mask(name)[vertex]] = name
    order = np.argsort([[*SEGMENTS, "face"].index(str(s)) for s in label], kind="stable")
    points, label = points[order], label[order]
    count: dict[str, int] = {}
    names = []
    for name in label:
        count[name] = count.get(name, -1) + 1
        names.append(f"{name}_{count[name]}")
    queries = QuerySet.from_positions(model, points, None, names, [str(s) for s in label], "segments")
    return replace(queries, description="Points over the whole skin, grouped by segment",
                   origin="made by tools/head_dense_layouts.py", licence="Apache-2.0")  # fmt: skip
