"""A short performance of one drawn person before one or several cameras, as takes for Cycles with their truth."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from facequery.geometry.rotations import euler_to_matrix
from facequery.head.model import HeadModel
from facequery.synthesis.clips import expression_path, smooth_walk
from facequery.synthesis.cycles.dress import Look, dress
from facequery.synthesis.cycles.from_scene import VIEWS, draw_look, hair_name, illuminate, map_from_world
from facequery.synthesis.cycles.performance import Performance, seated
from facequery.synthesis.cycles.person import Person, outsider
from facequery.synthesis.cycles.take import Take, TakeCamera
from facequery.synthesis.cycles.truth import SampleTruth
from facequery.synthesis.expressions import ExpressionSampler
from facequery.synthesis.library import Library
from facequery.synthesis.lighting import Light
from facequery.synthesis.scene import sample_scene
from facequery.synthesis.settings import SampleSettings

FIRST, FPS = 1001, 24.0
HEAD = 0.26  # metres from chin to crown, hair included
_MIDDLE = np.array([0.0, 0.01, -0.02])  # of the head, canonical


@dataclass(frozen=True)
class Station:
    """A camera that stands still: rotation (3, 3), translation (3,) from the first camera's space to its own; focal
    length, cx, cy in pixels; distance from the head at rest, metres."""

    rotation: np.ndarray
    translation: np.ndarray
    focal: float
    cx: float
    cy: float
    distance: float


@dataclass(frozen=True)
class Filmed:
    """One clip ready to render: for every camera a take and its truth; what was drawn, by name; the person's look."""

    stations: list[Station]
    takes: list[Take]
    truths: list[SampleTruth]
    look: Look
    record: dict[str, Any]


def draw_stations(rng: np.random.Generator, views: int, width: int, height: int, distance: float) -> list[Station]:
    """Cameras round a head that is `distance` metres before the first: the others 25 to 50 degrees to its sides.

    Each has a lens of its own, so that the head fills 60 to 85 % of the picture.
    """
    middle = np.array([0.0, 0.0, distance])
    stations = []
    for view in range(views):
        side = 0 if view == 0 else (1 if view % 2 else -1) * rng.uniform(25, 50) * ((view + 1) // 2) ** 0.5
        up = 0.0 if view == 0 else rng.uniform(-12, 18)
        away = distance if view == 0 else distance * np.exp(rng.uniform(-0.3, 0.3))
        rotation = euler_to_matrix(np.radians(side), np.radians(up), np.radians(rng.normal(0, 2) if view else 0.0))
        aim = np.array([*rng.normal(0, 0.012, 2), away]) if view else middle
        share = rng.uniform(0.6, 0.85) * min(height, 0.95 * width)
        stations.append(
            Station(
                rotation,
                aim - rotation @ middle,
                float(share * away / HEAD),
                float(width / 2 + rng.normal(0, 0.01) * width),
                float(height / 2 + rng.normal(0, 0.01) * height),
                float(away),
            )
        )
    return stations


def act(
    rng: np.random.Generator, expressions: ExpressionSampler, frames: int, distance: float, views: int
) -> Performance:
    """A drawn performance: expressions that follow each other quickly, a wandering head and gaze."""
    weights = expression_path(rng, expressions, frames, FPS, seconds=(0.25, 0.6))
    yaw = rng.normal(0, 16 if views == 1 else 6)
    turn = [smooth_walk(rng, frames, spread, 0.4, FPS) for spread in (12.0, 6.0, 4.0)]
    mean = np.array([yaw, rng.normal(0, 5), rng.normal(0, 3)])
    angles = np.radians(np.stack(turn, -1) + mean)
    shift = np.stack([smooth_walk(rng, frames, 0.01, 0.5, FPS) for _ in range(3)], -1)
    return seated(weights, np.zeros((frames, 2)), angles, shift, np.array([0.0, 0.01, distance + 0.02]))


def film(
    rng: np.random.Generator,
    model: HeadModel,
    library: Library,
    expressions: ExpressionSampler,
    folder: Path,
    frames: int,
    views: int,
    size: tuple[int, int],
    samples: int,
    threads: int = 1,
) -> Filmed:
    """Draws a person of the library's split and a performance of `frames` frames before `views` cameras.

    size: width, height in pixels. folder keeps blurred environments for reuse. All cameras see the same instants.
    """
    width, height = size
    scene = sample_scene(rng, model, library, expressions, SampleSettings())
    person = outsider(rng, model)
    look = draw_look(rng, scene, library)
    distance = float(np.exp(rng.uniform(np.log(0.35), np.log(1.8))))
    stations = draw_stations(rng, views, width, height, distance)
    performance = act(rng, expressions, frames, distance, views)
    eyes = np.asarray(model.gaze(performance.expression), float)
    canonical = person.vertices(model, performance.expression, eyes)
    posed = np.einsum("fij,fvj->fvi", performance.rotation, canonical) + performance.translation[:, None]
    body = performance.body_rotation, performance.body_translation
    # Burley's subsurface light needs half the paths of a random walk.
    look = replace(look, skin_settings=look.skin_settings | {"method": "BURLEY"})
    dressed = dress(rng, model, person.neutral(model), posed, body, look)
    lit = illuminate(rng, scene, library, folder, np.array([0.0, 0.0, distance]))
    take = Take(
        frames=np.arange(FIRST, FIRST + frames),
        camera=_camera(stations[0], size, frames),
        meshes=dressed.meshes,
        strands=dressed.strands,
        materials=dressed.materials,
        lights=lit.lamps,
        environment=lit.environment,
        output={
            "samples": samples,
            "min_samples": min(samples, 8),
            "threads": threads,
            "bounces": 2,
            "shutter": float(rng.choice([0.0, 0.2])),
            "look": str(rng.choice(VIEWS)),
            "seed": int(rng.integers(1 << 20)),
        },
        fps=FPS,
    )
    takes = [
        seen_from(take, station, scene.light.turn, size, lit.exposure - _brighter(scene.light, station))
        for station in stations
    ]
    cloth = next(mesh for mesh in dressed.meshes if mesh.name == "shirt")
    truth = _truth(model, person, performance, eyes, canonical, take, cloth.vertices, cloth.faces)
    truths = [_truth_from(truth, own, station) for own, station in zip(takes, stations, strict=True)]
    record = {
        "skin": look.skin,
        "eyes": look.eyes,
        "brows": look.brows,
        "environment": lit.name,
        "hair": hair_name(look),
        "lens": [round(s.focal / width * 36.0, 1) for s in stations],
        "distance": [round(s.distance, 3) for s in stations],
    }
    return Filmed(stations, takes, truths, look, record)


def seen_from(take: Take, station: Station, turn: np.ndarray, size: tuple[int, int], exposure: float) -> Take:
    """A take of the first camera as another sees it, at an exposure of its own in stops; turn (3, 3): the environment
    to the first camera's space."""

    def moved(points: np.ndarray | Sequence[float]) -> np.ndarray:
        result: np.ndarray = np.asarray(points) @ station.rotation.T + station.translation
        return result

    return replace(
        take,
        camera=_camera(station, size, len(take.frames)),
        meshes=[replace(m, vertices=moved(m.vertices), rest=_rest(m.rest, m.vertices)) for m in take.meshes],
        strands=[replace(s, points=moved(s.points).astype(np.float32)) for s in take.strands],
        lights=[
            lamp | {"position": moved(lamp["position"]).tolist(), "target": moved(lamp["target"]).tolist()}
            for lamp in take.lights
        ],
        environment=take.environment | {"matrix": map_from_world(station.rotation @ turn).tolist()},
        output=take.output | {"exposure": exposure},
    )


def _brighter(light: Light, station: Station) -> float:
    """Stops by which the brightest side of a face that a camera sees is lit more than `illuminate` reckons with."""
    if not len(light.lamps):
        return 0.0
    strength = light.colours.max(1)
    ahead = np.clip(-light.lamps[:, 2], 0, 1) @ strength
    seen = np.clip(0.6 - (light.lamps @ station.rotation.T)[:, 2], 0, 1.3) @ strength
    return float(0.3 + 0.75 * np.log2((0.45 * light.ambient + seen) / (0.45 * light.ambient + ahead)).clip(0, 3))


def _rest(rest: np.ndarray | None, vertices: np.ndarray) -> np.ndarray:
    """Where procedural detail sticks must not depend on the camera."""
    return vertices[0] if rest is None else rest


def _camera(station: Station, size: tuple[int, int], frames: int) -> TakeCamera:
    return TakeCamera.fixed(*size, station.focal, station.focal, station.cx, station.cy, frames)


def _truth(
    model: HeadModel,
    person: Person,
    performance: Performance,
    eyes: np.ndarray,
    canonical: np.ndarray,
    take: Take,
    cloth: np.ndarray,
    cloth_faces: np.ndarray,
) -> SampleTruth:
    jaw_rotation, jaw_translation = person.jaw_transform(model, performance.expression)
    camera = take.camera
    return SampleTruth.of(
        model,
        person.neutral(model),
        canonical,
        frames=take.frames,
        width=camera.width,
        height=camera.height,
        fps=take.fps,
        fx=camera.fx,
        fy=camera.fy,
        cx=camera.cx,
        cy=camera.cy,
        rotation=performance.rotation,
        translation=performance.translation,
        identity=person.identity,
        tissue=person.tissue,
        expression=performance.expression,
        eye_rotation=eyes,
        eye_centres=person.eye_centres(model),
        jaw_rotation=jaw_rotation,
        jaw_translation=jaw_translation,
        extra_vertices=cloth.astype(np.float16),
        extra_triangles=np.concatenate([cloth_faces[:, [0, 1, 2]], cloth_faces[:, [0, 2, 3]]]),
    )


def _truth_from(truth: SampleTruth, take: Take, station: Station) -> SampleTruth:
    """The truth of the first camera as another sees it."""
    camera = take.camera
    cloth = truth.extra_vertices.astype(float) @ station.rotation.T + station.translation
    return replace(
        truth,
        fx=camera.fx,
        fy=camera.fy,
        cx=camera.cx,
        cy=camera.cy,
        rotation=station.rotation @ truth.rotation,
        translation=truth.translation @ station.rotation.T + station.translation,
        extra_vertices=cloth.astype(np.float16),
    )
