"""Learn the canonical head from the source data and write what ships: assets/head.

    python -m tools.learn_head --data ../shared/data

Reads ICT-FaceKit (MIT) and Open3DModel's bones (CC BY-SA 4.0), see assets/head/NOTICE.md, and writes head.npz (skin,
eyes, teeth, mouth), bones.npz (cranium, mandible) and render.npz (the source's own UVs, for its textures). Bones need
Blender's Python module; `--without-bones` leaves bones.npz as it is.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from facequery.assets import source_data
from facequery.files import save_arrays
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from tools.head_eyes import eyeball, follow, limbus_angle, texture_uv
from tools.head_mouth import jaw_motion, jaw_share, tongue_out
from tools.head_regions import skin_regions
from tools.head_skin import make_skin, source_from_atlas, triangulated
from tools.head_source import ARKIT_NAMES, Source, read_source
from tools.head_tissue import TISSUE_SITES, follow_basis, tissue_basis

STEP = 2e-6  # metres: identity and expression offsets are stored as 16-bit multiples of this
VERSION = 1
GAZE_DEGREES = {"In": 35.0, "Out": 35.0, "Up": 25.0, "Down": 30.0}
SCALE = 10.0  # metres to network units


@dataclass
class Piece:
    """One part before assembly: rest, quads, uv, quads_uv, uv_source of the corners, bases, jaw weight, mirror."""

    rest: NDArray
    quads: NDArray
    uv: NDArray
    quads_uv: NDArray
    uv_source: NDArray
    identity: NDArray
    expression: NDArray
    jaw: NDArray
    mirror: NDArray  # indices within the piece, or (eyes) within the partner piece; -1 without partner


def _inner_piece(source: Source, regions: list[str]) -> tuple[Piece, NDArray]:
    """Part made of several source regions as they are, and the source vertices it has."""
    spans = [slice(*source.face_range[r]) for r in regions]
    faces = np.concatenate([source.faces[s] for s in spans])
    faces_uv = np.concatenate([source.faces_uv[s] for s in spans])
    used = np.unique(faces[faces >= 0])
    new = np.full(len(source.neutral) + 1, -1)
    new[used] = np.arange(len(used))
    uv_used = np.unique(faces_uv[faces_uv >= 0])
    new_uv = np.full(len(source.uv) + 1, -1)
    new_uv[uv_used] = np.arange(len(uv_used))
    uv = source.uv[uv_used]
    mirror = source.mirror[used]
    return Piece(
        rest=source.neutral[used],
        quads=np.where(faces < 0, -1, new[faces]),
        uv=uv - np.stack([np.floor(uv[:, 0]), 0 * uv[:, 0]], 1),
        quads_uv=np.where(faces_uv < 0, -1, new_uv[faces_uv]),
        uv_source=uv,
        identity=source.identity[:, used],
        expression=source.expression[:, used],
        jaw=np.zeros(len(used)),
        mirror=np.where(mirror < 0, -1, new[mirror]),
    ), used


def _skin_piece(source: Source) -> tuple[Piece, dict[str, NDArray], dict[str, NDArray], NDArray]:
    skin = make_skin(source)
    identity = source.identity[:, skin.source].copy()
    for eye, name in enumerate(("eyeball_L", "eyeball_R")):
        inner = np.flatnonzero(skin.strip_eye == eye)
        centre = source.eye_centres[eye]
        move, growth = follow(source.neutral[source.region(name)], source.identity[:, source.region(name)], centre)
        identity[:, inner] = move[:, None] + growth[:, None, None] * (skin.rest[inner] - centre)
    tile = np.zeros(len(skin.uv))
    for q, t in zip(skin.quads_uv, skin.quads_tile, strict=True):
        tile[q[q >= 0]] = t
    piece = Piece(
        rest=skin.rest,
        quads=skin.quads,
        uv=skin.uv,
        quads_uv=skin.quads_uv,
        uv_source=source_from_atlas(skin.uv, tile),
        identity=identity,
        expression=source.expression[:, skin.source],
        jaw=np.zeros(len(skin.rest)),
        mirror=skin.mirror,
    )
    return piece, skin_regions(source, skin), skin.loops, skin.source


def _eye_piece(source: Source, eye: int) -> Piece:
    vertices, quads, uv, quads_uv = eyeball()
    flip = np.array([1.0 if eye == 0 else -1.0, 1.0, 1.0])
    if eye == 1:  # the right eye is the mirror image, so vertex i mirrors vertex i
        quads = np.where(quads[:, 3:] < 0, quads[:, [0, 2, 1, 3]], quads[:, [0, 3, 2, 1]])
        quads_uv = np.where(quads_uv[:, 3:] < 0, quads_uv[:, [0, 2, 1, 3]], quads_uv[:, [0, 3, 2, 1]])
        uv = uv * [-1, 1] + [1, 0]
    place = np.zeros(len(uv), int)
    place[quads_uv.ravel()] = np.where(quads < 0, 0, quads).ravel()
    place[quads_uv[quads >= 0]] = quads[quads >= 0]
    name = ("eyeball_L", "eyeball_R")[eye]
    centre = source.eye_centres[eye]
    rest = vertices * flip + centre
    move, growth = follow(source.neutral[source.region(name)], source.identity[:, source.region(name)], centre)
    return Piece(
        rest=rest,
        quads=quads,
        uv=uv,
        quads_uv=quads_uv,
        uv_source=texture_uv(vertices * flip, eye == 0)[place],
        identity=move[:, None] + growth[:, None, None] * (rest - centre),
        expression=np.zeros((len(ARKIT_NAMES), len(rest), 3)),
        jaw=np.zeros(len(rest)),
        mirror=np.arange(len(rest)),
    )


def _assemble(pieces: dict[str, Piece], folder: Path) -> tuple[dict[str, NDArray], dict[str, slice]]:
    """Concatenate the pieces, triangulate, and return the arrays of head.npz without the models' coefficients."""
    spans, start = {}, 0
    for name, piece in pieces.items():
        spans[name] = slice(start, start + len(piece.rest))
        start += len(piece.rest)
    partner = {"eye_left": "eye_right", "eye_right": "eye_left"}
    rest = np.concatenate([p.rest for p in pieces.values()])
    mirror = np.concatenate(
        [np.where(p.mirror < 0, -1, p.mirror + spans[partner.get(n, n)].start) for n, p in pieces.items()]
    )
    quads, quads_uv, quad_ranges, uv_start = [], [], [], 0
    for name, p in pieces.items():
        quads.append(np.where(p.quads < 0, -1, p.quads + spans[name].start))
        quads_uv.append(np.where(p.quads_uv < 0, -1, p.quads_uv + uv_start))
        quad_ranges.append(len(p.quads))
        uv_start += len(p.uv)
    all_quads, all_quads_uv = np.concatenate(quads), np.concatenate(quads_uv)
    triangles, triangles_uv, face = triangulated(all_quads, all_quads_uv, rest)
    bounds = np.searchsorted(face, np.r_[0, np.cumsum(quad_ranges)])
    uv_source = np.concatenate([p.uv_source for p in pieces.values()])
    save_arrays(folder / "render.npz", compressed=True, uv_source=uv_source[triangles_uv].astype(np.float32))
    return {
        "part_names": np.array(list(pieces)),
        "part_vertices": np.array([(s.start, s.stop) for s in spans.values()], np.int32),
        "part_triangles": np.stack([bounds[:-1], bounds[1:]], 1).astype(np.int32),
        "part_quads": np.stack([np.r_[0, np.cumsum(quad_ranges)[:-1]], np.cumsum(quad_ranges)], 1).astype(np.int32),
        "rest": rest.astype(np.float32),
        "quads": all_quads.astype(np.int32),
        "quads_uv": all_quads_uv.astype(np.int32),
        "triangles": triangles,
        "triangles_uv": triangles_uv,
        "uv": np.concatenate([p.uv for p in pieces.values()]).astype(np.float32),
        "symmetry": mirror.astype(np.int32),
    }, spans


def _quantised(values: NDArray) -> NDArray[np.int16]:
    steps = np.round(values / STEP)
    if np.abs(steps).max() > 32767:
        raise ValueError("an offset is too large for 16 bits; enlarge STEP")
    return steps.astype(np.int16)


def _stored_half(rest: NDArray, mirror: NDArray) -> NDArray[np.int32]:
    """Indices of vertices whose (symmetric) identity basis is stored; the others mirror them."""
    index = np.arange(len(rest))
    return np.flatnonzero((mirror < 0) | (mirror == index) | (rest[:, 0] > 0)).astype(np.int32)


def learn_head(source: Source, folder: Path) -> None:
    """Write head.npz and render.npz."""
    skin, regions, loops, skin_source = _skin_piece(source)
    turn, move, residual = jaw_motion(source)
    upper, _ = _inner_piece(source, [n for n in source.vertex_range if n.startswith("tooth") and "upper" in n])
    lower, _ = _inner_piece(source, [n for n in source.vertex_range if n.startswith("tooth") and "lower" in n])
    mouth, used = _inner_piece(source, ["mouth_socket", "gums_tongue"])
    pivot, pivot_basis = lower.rest.mean(0), lower.identity.mean(1)
    for teeth, weight in ((upper, 0.0), (lower, 1.0)):
        teeth.expression[:] = 0
        teeth.jaw[:] = weight

    inside = used >= source.vertex_range["gums_tongue"][0]
    mouth.jaw[inside], mouth.expression[:, inside] = jaw_share(
        mouth.rest[inside], mouth.expression[:, inside], turn, move, pivot
    )
    tongue = inside & _tongue_mask(mouth, inside)
    mouth.expression[ARKIT_NAMES.index("tongueOut")] = tongue_out(mouth.rest, tongue)

    pieces = {
        "skin": skin, "eye_left": _eye_piece(source, 0), "eye_right": _eye_piece(source, 1),
        "teeth_upper": upper, "teeth_lower": lower, "gums_tongue": mouth,
    }  # fmt: skip
    arrays, spans = _assemble(pieces, folder)
    identity = np.concatenate([p.identity for p in pieces.values()], 1)
    expression = np.concatenate([p.expression for p in pieces.values()], 1)
    half = _stored_half(arrays["rest"], arrays["symmetry"])
    steps = _quantised(expression)
    counts, where, values = [], [], []
    for shape in steps:
        moved = np.flatnonzero(np.abs(shape).max(1) > 2)  # 4 micrometres and less is the source's rounding
        counts.append(len(moved))
        where.append(moved)
        values.append(shape[moved])
    new_index = np.full(len(source.neutral), -1)
    new_index[skin_source[::-1]] = np.arange(len(skin_source))[::-1]
    corners = source.landmarks68[[36, 39, 42, 45, 48, 54]]
    tooth_names = [n for n in source.vertex_range if n.startswith("tooth")]
    arrays |= {
        "version": np.array(VERSION, np.int32),
        "scale": np.array(SCALE, np.float32),
        "step": np.array(STEP),
        "half": half,
        "identity": _quantised(identity[:, half]),
        "identity_variance": source.modes_used.astype(np.float32),
        "expression_names": np.array(ARKIT_NAMES),
        "expression_count": np.array(counts, np.int32),
        "expression_vertex": np.concatenate(where).astype(np.int32),
        "expression": np.concatenate(values),
        "jaw_weight": np.concatenate([p.jaw for p in pieces.values()]).astype(np.float32),
        "jaw_turn": turn, "jaw_move": move, "jaw_pivot": pivot, "jaw_pivot_basis": pivot_basis,
        "eye_centres": source.eye_centres,
        "eye_centres_basis": np.stack([pieces[n].identity.mean(1) for n in ("eye_left", "eye_right")], 1),
        "limbus_angle": np.array(limbus_angle()),
        "gaze_names": np.array(list(GAZE_DEGREES)),
        "gaze_degrees": np.array(list(GAZE_DEGREES.values())),
        "region_names": np.array(list(regions)),
        "region_bits": _bits(list(regions.values())),
        "loop_names": np.array(list(loops)),
        "loop_size": np.array([len(v) for v in loops.values()], np.int32),
        "loop_vertices": np.concatenate(list(loops.values())).astype(np.int32),
        "normalisation_vertices": new_index[corners].astype(np.int32),
        "tooth_names": np.array([n.removeprefix("tooth_") for n in tooth_names]),
        "tooth_vertices": _tooth_ranges(source, tooth_names, spans),
        "source_vertex": np.r_[skin_source, np.full(len(arrays["rest"]) - len(skin_source), -1)].astype(np.int32),
        "source_origin": source.origin,
    }  # fmt: skip
    save_arrays(folder / "head.npz", compressed=True, **arrays)
    print(f"{len(arrays['rest'])} vertices, skin {spans['skin'].stop}, jaw residual {residual * 1e6:.0f} um")


def _bits(masks: list[NDArray]) -> NDArray[np.uint32]:
    """Masks (N, V) packed into one number a vertex, the first mask in the lowest bit."""
    return np.bitwise_or.reduce([m.astype(np.uint32) << np.uint32(k) for k, m in enumerate(masks)])


def _tooth_ranges(source: Source, names: list[str], spans: dict[str, slice]) -> NDArray[np.int32]:
    """First and last vertex of every tooth in the asset's numbering (N, 2)."""
    rows, begin = [], {"upper": spans["teeth_upper"].start, "lower": spans["teeth_lower"].start}
    for name in names:
        row = "upper" if "upper" in name else "lower"
        size = source.vertex_range[name][1] - source.vertex_range[name][0]
        rows.append((begin[row], begin[row] + size))
        begin[row] += size
    return np.array(rows, np.int32)


def _tongue_mask(mouth: Piece, inside: NDArray) -> NDArray[np.bool_]:
    """Vertices (V,) of the tongue: the two UV islands (top, underside) of the source's mouth that are narrow, lie
    low, and go with the jaw."""
    corner = np.where(mouth.quads_uv < 0, mouth.quads_uv[:, :1], mouth.quads_uv)
    pairs = np.concatenate([corner[:, [k, (k + 1) % 4]] for k in range(4)])
    label = connected_components(coo_matrix((np.ones(len(pairs)), pairs.T), shape=(len(mouth.uv),) * 2))[1]
    mask = np.zeros(len(mouth.rest), bool)
    for island in np.unique(label[corner[:, 0]]):
        used = mouth.quads[label[corner[:, 0]] == island]
        used = np.unique(used[used >= 0])
        p = mouth.rest[used]
        if inside[used].all() and np.ptp(p[:, 0]) < 0.045 and np.ptp(p[:, 0]) > 0.03 and mouth.jaw[used].mean() > 0.5:
            mask[used] = True
    if not mask.any():
        raise ValueError("no tongue found in the source's mouth")
    return mask


def learn_bones(source: Source, data: Path, folder: Path) -> None:
    """Write bones.npz: cranium and mandible, and how they follow identity."""
    from tools.head_bones import clean_bone, root_mass  # needs bpy, which the rest does not

    skin, regions, _, _ = _skin_piece(source)
    teeth, _ = _inner_piece(source, [n for n in source.vertex_range if n.startswith("tooth")])
    bones = []
    for which, row in (("skull", "upper"), ("mand", "lower")):
        one_row = []
        for name in source.vertex_range:
            if name.startswith("tooth") and row in name:
                piece, _ = _inner_piece(source, [name])
                one_row.append((name, piece.rest, triangulated(piece.quads, piece.quads_uv, piece.rest)[0]))
        bones.append(clean_bone(data / "bones" / "bones_ict.npz", which, source.origin, root_mass(one_row)))
    rest = np.concatenate([b.vertices for b in bones])
    start = len(bones[0].vertices)
    # Lips, lids, ears, the tip of the nose and the neck do not lie on bone.
    soft = np.any([regions[n] for n in ("lips", "eye_left", "eye_right", "ear_left", "ear_right", "neck")], axis=0)
    soft |= regions["nose"] & (skin.rest[:, 1] < -0.008)
    normals = _vertex_normals(skin.rest, skin.quads)
    anchors = np.concatenate([skin.rest[~soft], teeth.rest[::3]])
    anchor_basis = np.concatenate([skin.identity[:, ~soft], teeth.identity[:, ::3]], 1)
    basis = follow_basis(rest, anchors, anchor_basis, teeth.rest[::3])
    mirror = np.r_[bones[0].mirror, bones[1].mirror + start]
    image = basis[:, mirror] * [-1.0, 1.0, 1.0]
    half = _stored_half(rest, mirror)
    triangles = np.concatenate([bones[0].triangles, bones[1].triangles + start])
    save_arrays(
        folder / "bones.npz",
        compressed=True,
        version=np.array(VERSION, np.int32),
        part_names=np.array(["cranium", "mandible"]),
        part_vertices=np.array([(0, start), (start, len(rest))], np.int32),
        part_triangles=np.array([(0, len(bones[0].triangles)), (len(bones[0].triangles), len(triangles))], np.int32),
        rest=rest.astype(np.float32),
        triangles=triangles.astype(np.int32),
        symmetry=mirror.astype(np.int32),
        step=np.array(STEP),
        half=half,
        identity=_quantised((0.5 * (basis + image))[:, half]),
        tissue_names=np.array([site[0] for site in TISSUE_SITES]),
        tissue=_quantised(tissue_basis(rest, skin.rest[~soft], normals[~soft])),
    )
    print(f"bones: {len(rest)} vertices, {len(triangles)} triangles")


def _vertex_normals(points: NDArray, quads: NDArray) -> NDArray[np.float64]:
    corner = np.where(quads < 0, quads[:, 2:3], quads)
    normal = np.cross(points[corner[:, 2]] - points[corner[:, 0]], points[corner[:, 3]] - points[corner[:, 1]])
    out = np.zeros_like(points)
    for k in range(4):
        np.add.at(out, corner[:, k], normal)
    return out / np.linalg.norm(out, axis=1, keepdims=True).clip(1e-12)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="source data (default: $FACEQUERY_DATA, ../shared/data)")
    parser.add_argument("--out", type=Path, default=Path("assets/head"))
    parser.add_argument("--without-bones", action="store_true")
    args = parser.parse_args()
    data = args.data or source_data()
    args.out.mkdir(parents=True, exist_ok=True)
    source = read_source(data / "head" / "ict_facekit.npz")
    learn_head(source, args.out)
    if not args.without_bones:
        learn_bones(source, data, args.out)


if __name__ == "__main__":
    main()
