"""A scene of the project's own renderer as a take for Cycles: same head, pose, lens, light and tone, grown hair."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from facequery.assets import source_data
from facequery.head.model import HeadModel
from facequery.synthesis import shading
from facequery.synthesis.cycles import backdrop, hairdos
from facequery.synthesis.cycles.dress import Look, dress
from facequery.synthesis.cycles.person import Person, outsider
from facequery.synthesis.cycles.take import Take, TakeCamera
from facequery.synthesis.cycles.veil import hair_depth
from facequery.synthesis.library import Library
from facequery.synthesis.scene import Scene

# The environment's axes (y up, z to the middle of the map) as Blender's world sees a map: x to the middle, z up.
_MAP_FROM_ENVIRONMENT = np.array([[0.0, 0, 1], [-1, 0, 0], [0, 1, 0]])
_CAMERA_FROM_WORLD = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])
VIEWS = ("AgX - Medium High Contrast", "AgX - High Contrast", "AgX - Base Contrast", "AgX - Punchy")


@dataclass(frozen=True)
class Staged:
    """A scene made ready: the take of one frame; canonical vertices (V, 3) of the posed head; its camera in pixels;
    hair_depth as `veil` makes it; what was drawn, by name."""

    take: Take
    canonical: np.ndarray
    rotation: np.ndarray
    translation: np.ndarray
    camera: tuple[float, float, float, float]
    hair_depth: np.ndarray
    person: Person
    record: dict[str, Any]


@dataclass(frozen=True)
class Lit:
    """Light of a scene as Take has it: lamps, environment by its `name`, and the exposure in stops."""

    name: str
    lamps: list[dict[str, Any]]
    environment: dict[str, Any]
    exposure: float


def illuminate(rng: np.random.Generator, scene: Scene, library: Library, folder: Path, middle: np.ndarray) -> Lit:
    """The light of a scene for a head about `middle` (3,), camera space. `folder` keeps blurred environments."""
    light = scene.light
    name = library.environments[light.environment].name
    source = source_data("hdri") / f"{name}.hdr"
    blur = float(rng.choice([1.0, 3.0, 6.0]))
    blurred = folder / f"{name}_{blur:.0f}.hdr"
    if not blurred.exists():
        backdrop.defocus(source, blurred, blur)
    mean = float(np.mean(np.minimum(cv2.imread(str(source), cv2.IMREAD_UNCHANGED), 20.0)))
    strength = light.ambient / max(mean, 0.05) * 0.55
    lamps = []
    for direction, colour in zip(light.lamps, light.colours, strict=True):
        strongest = float(colour.max())
        lamps.append(
            {
                "position": [float(v) for v in middle + 1.2 * direction],
                "target": [float(v) for v in middle],
                "size": float(rng.uniform(0.08, 0.6)),
                "power": 9.0 * strongest,
                "color": [float(v) for v in colour / max(strongest, 1e-6)],
            }
        )
    # A photographer exposes for the face: half of what its albedo lacks, and for the light on it.
    exposure = rng.normal(0.1, 0.35) + 0.45 * np.log2(0.35 / max(float(np.mean(scene.albedo)), 0.02)).clip(0, 4)
    front = np.clip(-light.lamps[:, 2], 0, 1) @ light.colours.max(1, initial=0.0) if len(light.lamps) else 0.0
    exposure -= 0.75 * np.log2((0.45 * light.ambient + front) / 0.9)
    environment = {
        "light": str(source),
        "background": str(blurred),
        "matrix": map_from_world(light.turn).tolist(),
        "strength": strength,
        "backdrop_strength": strength,
    }
    return Lit(name, lamps, environment, float(exposure))


def map_from_world(turn: np.ndarray) -> np.ndarray:
    """Blender's world to the environment's map (3, 3), for a turn (3, 3) of the environment to camera space."""
    result: np.ndarray = _MAP_FROM_ENVIRONMENT @ turn.T @ _CAMERA_FROM_WORLD
    return result


def card_opacity(look: Look) -> dict[str, np.ndarray]:
    """Opacity (H, W) in 0..1 of the hair cards that a look wears, by the name of their mesh."""
    if look.hair_cards is None:
        return {}
    picture = cv2.imread(str(source_data("hair") / f"{look.hair_cards}_diffuse.png"), cv2.IMREAD_UNCHANGED)
    return {"hair_cards": picture[..., 3] / 255.0}


def hair_name(look: Look) -> str:
    """What hair a look has, in words."""
    return look.hair_cards or ("none" if look.hair is None else f"grown, {look.hair.points} points")


def draw_look(rng: np.random.Generator, scene: Scene, library: Library) -> Look:
    """Skin, eyes, brows, hair and shirt of a scene's person, from the names of the library's split."""
    p = scene.skin_parameters
    names = library.names
    hair = [float(v) for v in np.clip(scene.hair, 0.004, 0.8)]
    kind = rng.choice(["short", "crop", "long", "cards", "bald"], p=[0.38, 0.18, 0.2, 0.14, 0.1])
    cloth = [float(v) for v in rng.uniform(0.01, 0.5) * rng.uniform(0.4, 1.0, 3)]
    textured = [mesh.name for mesh in library.hair if mesh.layer >= 0]
    side = float(rng.choice([-1.0, 1.0]))
    style = {
        "short": hairdos.short_cut(side, rng.uniform(0.02, 0.07), rng.uniform(0.006, 0.03), rng.uniform(0.4, 1.0)),
        "crop": hairdos.cropped(rng.uniform(0.003, 0.012)),
        "long": hairdos.long_hair(rng.uniform(0.12, 0.3), rng.uniform(-0.02, 0.02)),
        "cards": None,
        "bald": None,
    }[str(kind)]
    if style is not None:
        style = replace(
            style, clump=rng.uniform(0.1, 0.6), frizz=style.frizz * rng.uniform(0.6, 2.5), thickness=0.00009
        )
    beard = hairdos.cropped(rng.uniform(0.003, 0.015)) if p[shading.STUBBLE] > 0.6 and rng.random() < 0.6 else None
    return Look(
        skin=library.skins[scene.skin].name,
        eyes=str(rng.choice(names["irises"])),
        brows=str(rng.choice(names["brows"])) if p[shading.BROW] > 0.3 else None,
        hair=style,
        hair_cards=str(rng.choice(textured)) if kind == "cards" and textured else None,
        hair_count=int(rng.integers(24000, 34000)),
        hair_line=float(rng.normal(0.0, 0.008)),
        hair_color=(hair[0], hair[1], hair[2]),
        beard=beard,
        shirt=(cloth[0], cloth[1], cloth[2]),
        skin_settings={
            "tone": [float(v) for v in np.clip(p[shading.GAIN : shading.GAIN + 3], 0.08, 1.5)],
            "mottling": float(rng.uniform(0.2, 0.8)),
            "redness": float(rng.uniform(0.2, 0.9)),
            "freckles": float(min(p[shading.FRECKLES] / 6, 1.0)),
            "stubble": float(min(p[shading.STUBBLE], 1.0)),
            "roughness": float(rng.uniform(0.36, 0.56)),
            "oil": float(rng.uniform(0.0, 0.25)),
            "bump": float(rng.uniform(0.3, 0.9)),
            "lip_strength": float(rng.uniform(0.1, 0.9)),
        },
        eye_settings={"iris_saturation": float(rng.uniform(0.3, 0.8)), "iris_value": float(rng.uniform(0.5, 1.4))},
    )


def stage(
    rng: np.random.Generator,
    model: HeadModel,
    library: Library,
    scene: Scene,
    folder: Path,
    size: int,
    margin: float = 1.5,
    shape: float = 0.0015,
    samples: int = 24,
    threads: int = 1,
) -> Staged:
    """The take of a scene at `size` pixels. `folder` keeps blurred environments for reuse.

    margin: how much wider than the scene's crop the picture is. shape: metres RMS of a shape beside the basis; with
    one, the person is an `outsider` instead of the scene's.
    """
    view = scene.view
    if shape > 0:
        person = outsider(rng, model, shape)
    else:
        tissue = rng.normal(size=len(model.tissue_names)).clip(-2, 2)
        person = Person("", np.asarray(scene.identity, float), tissue, np.zeros((len(model.rest), 3)))
    expression = np.asarray(scene.expression, float)[None]
    canonical = person.vertices(model, expression, np.asarray(model.gaze(expression), float))
    posed = canonical @ view.rotation.T + view.translation
    look = draw_look(rng, scene, library)
    body = (view.rotation[None], view.translation[None])
    dressed = dress(rng, model, person.neutral(model), posed, body, look)
    focal = view.focal * size / margin
    camera = (focal, focal, (0.5 + (view.cx - 0.5) / margin) * size, (0.5 + (view.cy - 0.5) / margin) * size)
    middle = view.rotation @ np.array([0.0, -0.02, 0.0]) + view.translation
    lit = illuminate(rng, scene, library, folder, middle)
    record = {
        "skin": look.skin,
        "eyes": look.eyes,
        "brows": look.brows,
        "environment": lit.name,
        "hair": hair_name(look),
        "tone": round(scene.tone, 3),
        "yaw": round(float(np.degrees(view.yaw)), 2),
        "pitch": round(float(np.degrees(view.pitch)), 2),
        "distance": round(view.distance, 3),
    }
    take = Take(
        frames=np.array([0]),
        camera=TakeCamera.fixed(size, size, *camera),
        meshes=dressed.meshes,
        strands=dressed.strands,
        materials=dressed.materials,
        lights=lit.lamps,
        environment=lit.environment,
        output={
            "samples": samples,
            "threads": threads,
            "look": str(rng.choice(VIEWS)),
            "exposure": lit.exposure,
            "seed": int(rng.integers(1 << 20)),
        },
    )
    hair = hair_depth(take, 0, card_opacity(look), rng)
    return Staged(take, canonical[0], view.rotation, view.translation, camera, hair, person, record)
