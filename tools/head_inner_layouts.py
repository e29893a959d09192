"""Layouts on bone, teeth and eyes."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from facequery.head import HeadModel, QuerySet
from facequery.head.sampling import farthest_points, on_surface

MIRROR = np.array([-1.0, 1.0, 1.0])
BONE_LICENCE = "CC BY-SA 4.0"
BONE_ORIGIN = "placed on the bones of assets/head/bones.npz (Open3DModel, CC BY-SA 4.0)"

# Canonical metres near the landmark, x >= 0 (mirrored when it is not on the midline); each goes to the nearest bone.
CRANIUM = {
    "nasion": (0, 0.0115, 0.0216), "glabella": (0, 0.0216, 0.0235), "metopion": (0, 0.0549, 0.0147),
    "bregma": (0, 0.1010, -0.0450), "vertex": (0, 0.1034, -0.0781), "lambda": (0, 0.0700, -0.1520),
    "opisthocranion": (0, 0.0197, -0.1590), "inion": (0, -0.0150, -0.1480), "rhinion": (0, -0.0020, 0.0330),
    "subspinale": (0, -0.0466, 0.0239), "anterior_nasal_spine": (0, -0.0390, 0.0265), "prosthion": (0, -0.0560, 0.0262),
    "zygion": (0.0637, -0.0135, -0.0305), "orbitale": (0.0295, -0.0218, 0.0105), "supraorbitale": (0.0293, 0.0195, 0.0173),
    "frontomalare": (0.0473, 0.0011, 0.0014), "ectoconchion": (0.0455, -0.0060, 0.0010), "dacryon": (0.0125, 0.0010, 0.0090),
    "zygomaxillare": (0.0440, -0.0390, 0.0040), "jugale": (0.0530, -0.0080, -0.0080), "alare": (0.0120, -0.0310, 0.0170),
    "frontotemporale": (0.0480, 0.0250, 0.0030), "euryon": (0.0732, 0.0242, -0.0800), "porion": (0.0600, -0.0170, -0.0640),
    "mastoidale": (0.0520, -0.0480, -0.0720), "asterion": (0.0560, 0.0000, -0.1050), "coronale": (0.0530, 0.0600, -0.0350),
    "stephanion": (0.0480, 0.0750, -0.0300), "canine_fossa": (0.0260, -0.0360, 0.0120), "frontal_eminence": (0.0290, 0.0470, 0.0120),
    "zygoma": (0.0480, -0.0260, 0.0020), "zygomatic_arch": (0.0620, -0.0180, -0.0250), "alveolar_canine": (0.0170, -0.0560, 0.0180),
    "alveolar_molar": (0.0290, -0.0570, -0.0050), "parietal_eminence": (0.0670, 0.0600, -0.0850),
}  # fmt: skip
MANDIBLE = {
    "pogonion": (0, -0.0977, 0.0208), "menton": (0, -0.1078, 0.0175), "supramentale": (0, -0.0850, 0.0210),
    "infradentale": (0, -0.0800, 0.0250), "genion": (0, -0.0960, 0.0060), "gnathion": (0, -0.1040, 0.0205),
    "gonion": (0.0500, -0.0780, -0.0500), "condylion_laterale": (0.0560, -0.0235, -0.0500),
    "condylion_superius": (0.0500, -0.0225, -0.0510), "condylion_mediale": (0.0420, -0.0240, -0.0510),
    "coronoid": (0.0480, -0.0290, -0.0230), "mandibular_notch": (0.0490, -0.0370, -0.0370),
    "mental_foramen": (0.0240, -0.0900, 0.0110), "mental_tubercle": (0.0140, -0.1030, 0.0190),
    "body_1": (0.0240, -0.1010, 0.0110), "body_2": (0.0340, -0.0970, 0.0000), "body_3": (0.0420, -0.0910, -0.0120),
    "antegonion": (0.0450, -0.0870, -0.0320), "ramus_back_1": (0.0540, -0.0640, -0.0560), "ramus_back_2": (0.0560, -0.0480, -0.0560),
    "ramus_front_1": (0.0470, -0.0620, -0.0230), "ramus_front_2": (0.0480, -0.0460, -0.0230), "ramus_middle": (0.0530, -0.0560, -0.0400),
    "oblique_line": (0.0410, -0.0730, -0.0150), "alveolar_canine": (0.0150, -0.0810, 0.0200), "alveolar_molar": (0.0280, -0.0790, -0.0020),
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


def _bone_layout(model: HeadModel, part: str, table: dict[str, tuple[float, float, float]], total: int, name: str) -> QuerySet:
    """Named landmarks on a bone, filled to about `total` by the points of its outer side farthest from all others."""
    near, names = _paired(table)
    points = on_surface(model, near, part).positions
    middle = near[:, 0] == 0
    span = model.parts[part]
    vertices = model.rest[span.vertices].astype(np.float64)
    outside = vertices[_outer(model, part)]
    half = outside[outside[:, 0] > 0.004]
    count = (total - len(points)) // 2
    extra = half[farthest_points(half, count, points)]
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


def _outer(model: HeadModel, part: str) -> NDArray[np.bool_]:
    """Vertices of a bone near the skin (V,): not the base of the skull nor the inside of orbits and nose."""
    vertices = model.rest[model.parts[part].vertices].astype(np.float64)
    skin = model.rest[model.parts["skin"].vertices]
    deep = 0.022 if part == "mandible" else 0.017
    return (cKDTree(skin).query(vertices)[0] < deep) & (vertices[:, 1] > -0.11)


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
        face = crown[((crown - centre) @ out - 1.5 * np.abs(crown[:, 1] - centre[1])).argmax()]
        edge = crown[(-np.abs(crown[:, 1] - row) + 0.25 * (crown - centre) @ out).argmax()]
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
        for label, angle, count in (("iris", 0.5 * model.limbus_angle, 8), ("limbus", model.limbus_angle, 8), ("white", 0.9, 12)):
            turn = np.arange(count) * 2 * np.pi / count
            ring = np.stack([flip * np.sin(angle) * np.cos(turn), np.sin(angle) * np.sin(turn), np.full(count, np.cos(angle))], 1)
            points += list(on_surface(model, centre + 0.0132 * ring, name).positions)
            names += [f"{name}_{label}_{i}" for i in range(count)]
        points.append(centre)
        names.append(f"{name}_centre")
        groups += [name] * 30
    queries = QuerySet.from_positions(model, np.array(points), None, names, groups, "eyes")
    return replace(queries, description="Pupil, iris, limbus, white and centre of both eyes", licence="Apache-2.0",
                   origin="placed on the head's eyeballs")  # fmt: skip
