"""Layouts on bone, teeth and eyes."""

from dataclasses import replace

import numpy as np
from facequery.head import HeadModel, QuerySet
from facequery.head.sampling import farthest_points, on_surface
from facequery.head.surface import Surface
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from tools.head_shading import vertex_normals

MIRROR = np.array([-1.0, 1.0, 1.0])
BONE_LICENCE = "CC BY-SA 4.0"
BONE_ORIGIN = "placed on the bones of assets/head/bones.npz (Open3DModel, CC BY-SA 4.0)"

# Canonical metres near the landmark, x >= 0 (mirrored when it is not on the midline); each goes to the nearest bone.
CRANIUM = {
    "nasion": (0, 0.0115, 0.0196), "glabella": (0, 0.0216, 0.0215),
    "metopion": (0, 0.0549, 0.0127), "bregma": (0, 0.101, -0.047),
    "vertex": (0, 0.1034, -0.0801), "lambda": (0, 0.07, -0.154),
    "opisthocranion": (0, 0.0197, -0.161), "inion": (0, -0.015, -0.15),
    "rhinion": (0, -0.002, 0.031), "subspinale": (0, -0.0466, 0.0219),
    "anterior_nasal_spine": (0, -0.039, 0.0245), "prosthion": (0, -0.056, 0.0242),
    "zygion": (0.0637, -0.0135, -0.0325), "orbitale": (0.0295, -0.0218, 0.0085),
    "supraorbitale": (0.0293, 0.0195, 0.0153), "frontomalare": (0.0473, 0.0011, -0.0006),
    "ectoconchion": (0.0455, -0.006, -0.001), "dacryon": (0.0125, 0.001, 0.007),
    "zygomaxillare": (0.044, -0.039, 0.002), "jugale": (0.053, -0.008, -0.01),
    "alare": (0.012, -0.031, 0.015), "frontotemporale": (0.048, 0.025, 0.001),
    "euryon": (0.0732, 0.0242, -0.082), "porion": (0.06, -0.017, -0.066),
    "mastoidale": (0.052, -0.048, -0.074), "asterion": (0.056, 0, -0.107),
    "coronale": (0.053, 0.06, -0.037), "stephanion": (0.048, 0.075, -0.032),
    "canine_fossa": (0.026, -0.036, 0.01), "frontal_eminence": (0.029, 0.047, 0.01),
    "zygoma": (0.048, -0.026, 0), "zygomatic_arch": (0.062, -0.018, -0.027),
    "alveolar_canine": (0.017, -0.056, 0.016), "alveolar_molar": (0.029, -0.057, -0.007),
    "parietal_eminence": (0.067, 0.06, -0.087),
}  # fmt: skip
MANDIBLE = {
    "pogonion": (0, -0.0977, 0.0188), "menton": (0, -0.1078, 0.0155),
    "supramentale": (0, -0.085, 0.019), "infradentale": (0, -0.08, 0.023),
    "genion": (0, -0.096, 0.004), "gnathion": (0, -0.104, 0.0185),
    "gonion": (0.05, -0.078, -0.052), "condylion_laterale": (0.056, -0.0235, -0.052),
    "condylion_superius": (0.05, -0.0225, -0.053), "condylion_mediale": (0.042, -0.024, -0.053),
    "coronoid": (0.048, -0.029, -0.025), "mandibular_notch": (0.049, -0.037, -0.039),
    "mental_foramen": (0.024, -0.09, 0.009), "mental_tubercle": (0.014, -0.103, 0.017),
    "body_1": (0.024, -0.101, 0.009), "body_2": (0.034, -0.097, -0.002),
    "body_3": (0.042, -0.091, -0.014), "antegonion": (0.045, -0.087, -0.034),
    "ramus_back_1": (0.054, -0.064, -0.058), "ramus_back_2": (0.056, -0.048, -0.058),
    "ramus_front_1": (0.047, -0.062, -0.025), "ramus_front_2": (0.048, -0.046, -0.025),
    "ramus_middle": (0.053, -0.056, -0.042), "oblique_line": (0.041, -0.073, -0.017),
    "alveolar_canine": (0.015, -0.081, 0.018), "alveolar_molar": (0.028, -0.079, -0.004),
}  # fmt: skip


def _paired(table: dict[str, tuple[float, float, float]]) -> tuple[NDArray, list[str]]:
    points, names = [], []
    for name, place in table.items():
        if place[0] == 0:
            points.append(place)
            names.append(name)
        else:
            points += [place, (-place[0], place[1], place[2])]
            names += [f"{name}_left", f"{name}_right"]
    return np.array(points, float), names


def _bone_layout(
    model: HeadModel, part: str, table: dict[str, tuple[float, float, float]], total: int, name: str
) -> QuerySet:
    """Named landmarks on a bone, filled to about `total` by the points of its outer side farthest from all others."""
    near, names = _paired(table)
    points = _outer_foot(model, part, near)
    middle = near[:, 0] == 0
    span = model.parts[part]
    vertices = model.rest[span.vertices].astype(np.float64)
    outside = vertices[_outer(model, part)]
    half = outside[outside[:, 0] > 0.004]
    half = half[half[:, 2] > -0.11] if part == "cranium" else half  # the back of the head is never seen
    count = (total - len(points)) // 2
    # Two thirds of what fills up lie in the face, where they tell most.
    face = (half[:, 1] < 0.035) & (half[:, 2] > -0.045)
    extra = half[face][farthest_points(half[face], 2 * count // 3, points)]
    rest = half[~face] if (~face).any() else half
    extra = np.concatenate([extra, rest[farthest_points(rest, count - len(extra), np.concatenate([points, extra]))]])
    points = np.concatenate([points, extra, extra * MIRROR])
    names += [f"{part}_{i}_left" for i in range(count)] + [f"{part}_{i}_right" for i in range(count)]
    middle = np.r_[middle, np.zeros(2 * count, bool)]
    points[middle, 0] = 0
    groups = ["landmarks"] * len(near) + ["spread"] * (2 * count)
    queries = QuerySet.from_positions(model, points, None, names, groups, name)
    # A bone point must hang on its bone even where a tooth's root or the eye is just as near.
    foot = on_surface(model, points, part)
    queries = replace(
        queries,
        positions=foot.positions.astype(np.float32),
        kinds=("bone",) * len(points),
        triangle=foot.triangle.astype(np.int32),
        bary=foot.bary.astype(np.float32),
        offset=np.zeros((len(points), 3), np.float32),
    )
    return replace(
        queries, description=f"Landmarks and spread points on the {part}", origin=BONE_ORIGIN, licence=BONE_LICENCE
    )


def _outer_foot(model: HeadModel, part: str, points: NDArray) -> NDArray[np.float64]:
    """Nearest points on the outer side of a bone."""
    span = model.parts[part]
    triangles = model.part_triangles(part)
    outer = _outer(model, part)[triangles].any(1)
    surface = Surface(model.rest[span.vertices], triangles[outer] if outer.any() else triangles)
    foot, everywhere = surface.nearest(points), on_surface(model, points, part).positions
    # Landmarks that have no outer side near them (the spine of the nose, the base) stay where they are nearest.
    return np.where((foot.distance < 0.006)[:, None], foot.position, everywhere)


def _outer(model: HeadModel, part: str) -> NDArray[np.bool_]:
    """Vertices of a bone near the skin (V,): not the base of the skull nor the inside of orbits and nose."""
    vertices = model.rest[model.parts[part].vertices].astype(np.float64)
    skin = model.rest[model.parts["skin"].vertices]
    triangles = model.part_triangles(part)
    normals = vertex_normals(vertices, triangles)
    deep = 0.022 if part == "mandible" else 0.017
    distance, nearest = cKDTree(skin).query(vertices)
    faces_out = ((skin[nearest] - vertices) * normals).sum(1) > 0.5 * distance
    return (distance < deep) & faces_out & (vertices[:, 1] > -0.11)


def skull_layout(model: HeadModel) -> QuerySet:
    """About 100 points on the cranium."""
    return _bone_layout(model, "cranium", CRANIUM, 100, "skull")


def jaw_layout(model: HeadModel) -> QuerySet:
    """About 80 points on the mandible."""
    return _bone_layout(model, "mandible", MANDIBLE, 80, "jaw")


def teeth_layout(model: HeadModel) -> QuerySet:
    """Two points a tooth on all but the wisdom teeth: middle of the crown's outer face, and its edge."""
    points, names, groups = [], [], []
    for name, span in model.teeth.items():
        if "3rd_molar" in name:
            continue
        v = model.rest[span].astype(np.float64)
        up = "upper" in name
        row = v[:, 1].min() if up else v[:, 1].max()
        crown = v[np.abs(v[:, 1] - row) < 0.009]
        centre = crown.mean(0)
        # Outwards: away from the middle of the arch, which lies behind the incisors.
        out = (centre - [0, centre[1], -0.02]) * [1, 0, 1]
        out /= np.linalg.norm(out)
        along = np.cross(out, [0, 1, 0])
        beside = np.abs((crown - centre) @ along)
        front = (crown - centre) @ out
        face = crown[(beside + np.abs(crown[:, 1] - centre[1]) + np.where(front > 0, 0, 1)).argmin()]
        edge = crown[(beside + np.abs(crown[:, 1] - row) - 0.2 * front).argmin()]
        points += [face, edge]
        names += [f"{name}_face", f"{name}_edge"]
        groups += ["teeth_upper" if up else "teeth_lower"] * 2
    queries = QuerySet.from_positions(model, np.array(points), None, names, groups, "teeth")
    return replace(queries, description="Outer face and edge of 28 teeth", origin="placed on the head's teeth",
                   licence="Apache-2.0; teeth from ICT-FaceKit (MIT)")  # fmt: skip


def eyes_layout(model: HeadModel) -> QuerySet:
    """For each eye: pupil, eight points on the limbus, eight half-way in the iris, twelve on the white, the centre."""
    points, names, groups = [], [], []
    for eye, name in enumerate(("eye_left", "eye_right")):
        part = model.parts[name].vertices
        centre = model.eye_centres_rest[eye].astype(np.float64)
        flip = 1.0 if eye == 0 else -1.0
        points.append(model.rest[part.start].astype(np.float64))
        names.append(f"{name}_pupil")
        for label, angle, count in (
            ("iris", 0.5 * model.limbus_angle, 8),
            ("limbus", model.limbus_angle, 8),
            ("white", 0.9, 12),
        ):
            turn = np.arange(count) * 2 * np.pi / count
            ring = np.stack(
                [flip * np.sin(angle) * np.cos(turn), np.sin(angle) * np.sin(turn), np.full(count, np.cos(angle))], 1
            )
            points += list(on_surface(model, centre + 0.0132 * ring, name).positions)
            names += [f"{name}_{label}_{i}" for i in range(count)]
        points.append(centre)
        names.append(f"{name}_centre")
        groups += [name] * 30
    queries = QuerySet.from_positions(model, np.array(points), None, names, groups, "eyes")
    return replace(queries, description="Pupil, iris, limbus, white and centre of both eyes", licence="Apache-2.0",
                   origin="placed on the head's eyeballs")  # fmt: skip
