"""From a posed head to what Cycles renders: meshes with materials, hair, brows, lashes and a shirt."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from scipy.spatial import cKDTree

from facequery.assets import asset, source_data
from facequery.head.model import HeadModel
from facequery.synthesis.cycles import eyes, hairdos
from facequery.synthesis.cycles.grow import Strands, Style, grow, unit
from facequery.synthesis.cycles.take import TakeMesh, TakeStrands
from facequery.synthesis.surface import LIPS_OUTER


@dataclass(frozen=True)
class Look:
    """What a person wears and is made of; names are stems of source files.

    hair: a grown style or None; hair_cards: a style of textured cards instead; melanin 0..1 of hair and brows, or
    hair_color, linear; skin_settings, eye_settings: parameters of the materials in blender_materials. shirt: linear
    colour, or None for bare shoulders.
    """

    skin: str
    eyes: str
    brows: str | None = "eyebrow001"
    lashes: bool = True
    hair: Style | None = None
    hair_cards: str | None = None
    hair_count: int = 30000
    hair_line: float = 0.0
    melanin: float = 0.85
    hair_redness: float = 0.4
    hair_color: tuple[float, float, float] | None = None
    beard: Style | None = None
    shirt: tuple[float, float, float] | None = (0.05, 0.07, 0.1)
    skin_settings: dict[str, Any] = field(default_factory=dict)
    eye_settings: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Dressed:
    """Meshes, strands and materials of one person over the frames."""

    meshes: list[TakeMesh]
    strands: list[TakeStrands]
    materials: dict[str, dict[str, Any]]


def read_obj(path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Vertices (V, 3), uv (U, 2), triangles (T, 3), triangles of uv (T, 3) of a Wavefront file; polygons are fanned."""
    points, uv, triangles, triangles_uv = [], [], [], []
    for line in path.read_text(encoding="utf-8").splitlines():
        words = line.split()
        if words[:1] == ["v"]:
            points.append([float(w) for w in words[1:4]])
        elif words[:1] == ["vt"]:
            uv.append([float(w) for w in words[1:3]])
        elif words[:1] == ["f"]:
            corners = [[int(i) - 1 for i in w.split("/")[:2]] for w in words[1:]]
            for k in range(1, len(corners) - 1):
                fan = (corners[0], corners[k], corners[k + 1])
                triangles.append([c[0] for c in fan])
                triangles_uv.append([c[1] for c in fan])
    return np.array(points), np.array(uv), np.array(triangles), np.array(triangles_uv)


def carried(points: np.ndarray, rest: np.ndarray, moved: np.ndarray) -> np.ndarray:
    """Points (N, 3) near the surface `rest` (V, 3), displaced as their nearest vertices are in `moved`."""
    distance, index = cKDTree(rest).query(points, k=6)
    weight = 1 / (distance + 0.0005) ** 2
    weight /= weight.sum(1, keepdims=True)
    result: np.ndarray = points + ((moved - rest)[index] * weight[..., None]).sum(1)
    return result


def lips_mask(rest: np.ndarray) -> np.ndarray:
    """How far skin vertices (V, 3) of the rest head belong to the lips, 0..1, by the lips' outline from the front."""
    outline = 1000 * np.array(LIPS_OUTER)[:, :2].astype(np.float32).reshape(-1, 1, 2)  # in millimetres
    inside = [cv2.pointPolygonTest(outline, (float(x), float(y)), True) for x, y in 1000 * rest[:, :2]]
    front = np.clip((rest[:, 2] - 0.0) / 0.008, 0, 1)
    result: np.ndarray = np.clip(np.array(inside) / 1.6 + 0.5, 0, 1) * front
    return result


def skin_tint(rest: np.ndarray) -> np.ndarray:
    """Masks (V, 3) of lips, stubble and redness on the rest head, as the skin material reads them."""
    x, y, z = np.abs(rest[:, 0]), rest[:, 1], rest[:, 2]
    lips = lips_mask(rest)
    stubble = (
        np.clip((-0.048 - y) / 0.014, 0, 1) * np.clip((y + 0.135) / 0.02, 0, 1) * np.clip((z + 0.055) / 0.03, 0, 1)
    )
    jaw = np.clip((x - 0.045) / 0.01, 0, 1) * np.clip((0.0 - y) / 0.03, 0, 1) * np.clip((z + 0.06) / 0.02, 0, 1)
    stubble = np.maximum(stubble, 0.8 * jaw * np.clip((y + 0.135) / 0.02, 0, 1)) * (1 - lips)
    cheek = np.exp(-((x - 0.042) ** 2 + (y + 0.036) ** 2) / 0.017**2)
    nose = np.exp(-(x**2 + (y + 0.036) ** 2) / 0.012**2) * np.clip((z - 0.03) / 0.01, 0, 1)
    ear = np.clip((x - 0.072) / 0.006, 0, 1)
    result: np.ndarray = np.stack([lips, stubble, np.clip(cheek + nose + 0.8 * ear, 0, 1)], -1)
    return result


def lash_strips(model: HeadModel) -> np.ndarray:
    """Lash cards of the source head as strips (N, 5, 20, 3): five rows from root to tip, canonical metres."""
    with np.load(source_data("head") / "ict_facekit.npz", allow_pickle=False) as data:
        points, faces, faces_uv, uv = (data[k] for k in ("neutral", "faces", "faces_uv", "uv"))
        ranges = dict(zip(data["region_names"].tolist(), data["region_vertex_range"].tolist(), strict=True))
        spans = dict(zip(data["region_names"].tolist(), data["region_face_range"].tolist(), strict=True))
    canonical = to_canonical(points, np.asarray(model.source_origin, float))
    skin = cKDTree(canonical[: ranges["face"][1]])
    place = np.zeros((len(points), 2))
    strips = []
    for side in ("L", "R"):
        span = slice(*spans[f"lashes_{side}"])
        place[faces[span].ravel()] = uv[faces_uv[span]].reshape(-1, 2)
        own = np.arange(*ranges[f"lashes_{side}"])
        # Six cards an eye, one above the other in the texture.
        card = np.round(place[own, 1] * 6 - 0.5).astype(int)
        for number in np.unique(card):
            members = own[card == number]
            order = np.lexsort((place[members, 0], place[members, 1].round(2)))
            rows = len(np.unique(place[members, 1].round(2)))
            strip = canonical[members[order]].reshape(rows, -1, 3)
            if skin.query(strip[0])[0].mean() > skin.query(strip[-1])[0].mean():
                strip = strip[::-1]
            strips.append(strip)
    return np.array(strips)


def shirt(head: np.ndarray, sectors: int = 72) -> tuple[np.ndarray, np.ndarray]:
    """A crew-neck shirt for a neutral head's skin (V, 3): vertices (V, 3) canonical metres, faces (N, 4).

    The collar follows the neck's own outline, with room for it to turn in; below it the shirt widens to shoulders.
    """
    turn = np.arange(sectors) * 2 * np.pi / sectors
    middle, slope = np.array([0.0, -0.147, -0.088]), 0.30
    height = head[:, 1] - middle[1] + slope * (head[:, 2] - middle[2])
    neck = head[np.abs(height) < 0.012]
    angle = np.arctan2(neck[:, 0], neck[:, 2] - middle[2])
    reach = np.hypot(neck[:, 0], neck[:, 2] - middle[2])
    apart = np.abs((angle[None] - turn[:, None] + np.pi) % (2 * np.pi) - np.pi)
    outline = np.array([reach[row < 0.45].max(initial=0.05) for row in apart])
    outline = np.stack([outline[(np.arange(sectors) + k) % sectors] for k in range(-4, 5)]).mean(0)
    outline = np.stack([outline * np.sin(turn), outline * np.cos(turn)], -1)
    shoulders = np.stack([np.sin(turn), 0.6 * np.cos(turn)], -1)
    # Out of the neck's outline, half width of the shoulders' ellipse, share of it, height, how far the tilt counts.
    profile = np.array(
        [
            [0.008, 0.1, 0.0, -0.020, 1.0], [0.007, 0.1, 0.0, 0.000, 1.0], [0.0085, 0.1, 0.0, 0.0025, 1.0],
            [0.011, 0.1, 0.0, 0.001, 1.0], [0.018, 0.1, 0.0, -0.015, 1.0], [0.0195, 0.1, 0.0, -0.0155, 1.0],
            [0.0195, 0.1, 0.0, -0.0175, 1.0], [0.030, 0.13, 0.2, -0.022, 1.0], [0.04, 0.15, 0.6, -0.033, 0.7],
            [0.0, 0.178, 1.0, -0.052, 0.45], [0.0, 0.203, 1.0, -0.075, 0.25], [0.0, 0.22, 1.0, -0.115, 0.1],
            [0.0, 0.226, 1.0, -0.20, 0.0], [0.0, 0.22, 1.0, -0.40, 0.0],
        ]
    )  # fmt: skip
    rows = []
    for out, width, share, lift, tilt in profile:
        collar = outline * (1 + out / np.linalg.norm(outline, axis=1, keepdims=True))
        flat = (1 - share) * collar + share * width * shoulders
        y = middle[1] + lift - slope * tilt * flat[:, 1]
        rows.append(np.stack([flat[:, 0], y, flat[:, 1] + middle[2]], -1))
    vertices = np.concatenate(rows)
    faces = [
        [i * sectors + j, (i + 1) * sectors + j, (i + 1) * sectors + (j + 1) % sectors, i * sectors + (j + 1) % sectors]
        for i in range(len(profile) - 1)
        for j in range(sectors)
    ]
    return vertices, np.array(faces, np.int32)


def dress(
    rng: np.random.Generator,
    model: HeadModel,
    neutral: np.ndarray,
    posed: np.ndarray,
    body: tuple[np.ndarray, np.ndarray],
    look: Look,
) -> Dressed:
    """Everything of a person to render.

    neutral (V, 3) canonical metres; posed (F, V, 3) camera space; body: rotation (F, 3, 3) and translation (F, 3) of
    the torso from canonical to camera space.
    """
    rest = np.asarray(model.rest, float)
    with np.load(asset("head/render.npz"), allow_pickle=False) as file:
        source_uv = file["uv_source"].astype(float)
    meshes: list[TakeMesh] = []
    strands: list[TakeStrands] = []
    skins = source_data("skins")
    tinted: dict[str, Any] = {"kind": "hair", "redness": look.hair_redness}
    if look.hair_color is not None:
        tinted["color"] = list(look.hair_color)
    materials: dict[str, dict[str, Any]] = {
        "brow": {**tinted, "melanin": min(look.melanin + 0.03, 1.0)},
        "skin": {
            "kind": "skin",
            "face": str(skins / f"{look.skin}_face.jpg"),
            "head": str(skins / f"{look.skin}_head.jpg"),
            **look.skin_settings,
        },
        "eye": {"kind": "eye", "image": str(source_data("eyes") / f"{look.eyes}.png"), **look.eye_settings},
        "film": {"kind": "film"},
        "tooth": {"kind": "tooth"},
        "mouth": {"kind": "mouth"},
    }

    def part(name: str, material: str, tint: np.ndarray | None = None, uv: np.ndarray | None = None) -> None:
        own = model.parts[name]
        local = np.asarray(model.part_triangles(name), np.int32)
        corner_uv = source_uv[own.triangles] if uv is None else uv[local]
        pad = -np.ones((len(local), 1), np.int32)
        meshes.append(
            TakeMesh(
                name,
                posed[:, own.vertices],
                np.concatenate([local, pad], 1),
                material,
                uv=np.concatenate([corner_uv, corner_uv[:, :1]], 1),
                tint=tint,
                rest=rest[own.vertices],
            )
        )

    skin = model.parts["skin"].vertices
    part("skin", "skin", skin_tint(rest[skin]))
    for name in ("teeth_upper", "teeth_lower"):
        part(name, "tooth", tooth_tint(rest[model.parts[name].vertices]))
    part("gums_tongue", "mouth", mouth_tint(rest[model.parts["gums_tongue"].vertices]))
    for name in ("eye_left", "eye_right"):
        own = model.parts[name].vertices
        arm = rest[own] - np.asarray(model.eye_centres_rest, float)[0 if name == "eye_left" else 1]
        uv, iris = eyes.picture_uv(arm, model.limbus_angle)
        part(name, "eye", iris, uv)
        front, faces = eyes.film(arm, np.asarray(model.part_triangles(name)))
        moved = posed[:, own]
        middle = moved.mean(1, keepdims=True)
        meshes.append(
            TakeMesh(f"film_{name}", (middle + 1.006 * (moved - middle))[:, front], faces, "film", casts_shadow=False)
        )

    triangles = np.asarray(model.part_triangles("skin"))
    head, moving = neutral[skin], posed[:, skin]

    def add(name: str, group: Strands, material: str) -> None:
        strands.append(TakeStrands(name, group.follow(moving, triangles), group.radius, material))

    if look.hair is not None:
        density = hairdos.scalp(rest[skin], look.hair_line)
        ears = model.region_mask("ear_left") | model.region_mask("ear_right")
        density[ears & (rest[skin, 1] < 0.016)] = 0
        add("hair", grow(rng, head, triangles, density, look.hair_count, look.hair, density.clip(0.12, 1)), "hair")
        materials["hair"] = {**tinted, "melanin": look.melanin}
    if look.hair_cards is not None:
        path = source_data("hair") / f"{look.hair_cards}.obj"
        points, uv, faces, faces_uv = read_obj(path)
        worn = carried(to_canonical(points, np.asarray(model.source_origin, float)), rest[skin], head)
        # Every card vertex rides on the scalp below it.
        top = np.flatnonzero(hairdos.scalp(rest[skin][triangles].mean(1)) > 0)
        rider = Strands.bind(worn[:, None], np.ones((len(worn), 1)), head, triangles, top)
        corner_uv = uv[faces_uv]
        meshes.append(
            TakeMesh(
                "hair_cards",
                rider.follow(moving, triangles)[:, :, 0],
                np.concatenate([faces, -np.ones((len(faces), 1), int)], 1).astype(np.int32),
                "card",
                uv=np.concatenate([corner_uv, corner_uv[:, :1]], 1),
                rest=worn,
            )
        )
        image = path.with_name(f"{look.hair_cards}_diffuse.png")
        pixels = cv2.imread(str(image), cv2.IMREAD_UNCHANGED)
        shown = pixels[pixels[..., 3] > 128][:, :3] / 255.0
        materials["card"] = {"kind": "card", "image": str(image), "middle": float((shown**2.2).mean())}
        if look.hair_color is not None:
            materials["card"]["color"] = list(look.hair_color)
    front_faces = np.flatnonzero(rest[skin][triangles].mean(1)[:, 2] > -0.03)
    origin = np.asarray(model.source_origin, float)
    if look.brows is not None:
        points, uv, faces, faces_uv = read_obj(source_data("hair") / f"{look.brows}.obj")
        picture = cv2.imread(str(source_data("brows_lashes") / f"{look.brows}.png"), cv2.IMREAD_UNCHANGED)
        cards = carried(to_canonical(points, origin), rest[skin], head)
        brow, radius = hairdos.card_strands(rng, cards[faces], uv[faces_uv], 1300, 0.0085, picture[..., 3] / 255.0)
        add("brows", Strands.bind(brow, radius, head, triangles, front_faces), "brow")
    if look.lashes:
        strips = lash_strips(model)
        moved_strips = carried(strips.reshape(-1, 3), rest[skin], head).reshape(strips.shape)
        lash, radius = hairdos.lash_strands(rng, moved_strips, 560, scale=0.55)
        add("lashes", Strands.bind(lash, radius, head, triangles, front_faces), "lash")
        materials["lash"] = {"kind": "hair", "melanin": 0.98, "redness": 0.3}
    if look.beard is not None:
        density = (skin_tint(rest[skin])[:, 1] > 0.3) * skin_tint(rest[skin])[:, 1]
        add("beard", grow(rng, head, triangles, density, 9000, look.beard), "brow")
    if look.shirt is not None:
        points, faces = shirt(head)
        rotation, translation = body
        worn = np.einsum("fij,vj->fvi", rotation, points) + translation[:, None]
        meshes.append(TakeMesh("shirt", worn, faces, "cloth", rest=points))
        materials["cloth"] = {"kind": "cloth", "color": list(look.shirt)}
    return Dressed(meshes, strands, materials)


def to_canonical(points: np.ndarray, origin: np.ndarray) -> np.ndarray:
    """Source centimetres (N, 3) to canonical metres; `origin` is the model's `source_origin` in centimetres."""
    result: np.ndarray = (points - origin) / 100
    return result


def tooth_tint(rest: np.ndarray) -> np.ndarray:
    """Factor (V, 3): teeth get darker towards the back of the mouth and towards the gums."""
    deep = np.clip((0.024 - rest[:, 2]) / 0.03, 0, 1)[:, None]
    result: np.ndarray = (1 - 0.55 * deep) * np.ones(3)
    return result


def mouth_tint(rest: np.ndarray) -> np.ndarray:
    """Factor (V, 3): the lining gets darker towards the throat."""
    deep = np.clip((0.018 - rest[:, 2]) / 0.05, 0, 1)[:, None]
    result: np.ndarray = (1 - deep) * np.ones(3) + deep * np.array([0.35, 0.16, 0.16])
    return unit(result) * np.linalg.norm(result, axis=1, keepdims=True)
