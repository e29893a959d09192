"""Render the sample shot in `assets/sample` and write its truth: python -m tools.make_sample [--frames A-B] [--draft].

An actor turns the head, blinks, talks, smiles and opens the mouth wide before a fixed camera. Identity, shape beside
the basis, tissue depths, skin, eyes, environment and hair are held out of all training.
"""

import argparse
import dataclasses
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from facequery.assets import source_data
from facequery.head.model import HeadModel
from facequery.synthesis.cycles import backdrop, hairdos
from facequery.synthesis.cycles.dress import Look, dress, shirt
from facequery.synthesis.cycles.performance import Keys, Performance, perform
from facequery.synthesis.cycles.person import Person, stranger
from facequery.synthesis.cycles.plates import develop
from facequery.synthesis.cycles.run import render_take
from facequery.synthesis.cycles.take import Take, TakeCamera
from facequery.synthesis.cycles.truth import SampleTruth

FIRST, COUNT, FPS = 1001, 48, 24.0
WIDTH, HEIGHT = 960, 540
FOCAL = 50.0 / 36.0 * WIDTH  # a 50 mm lens on a 36 mm sensor
PRINCIPAL = (WIDTH / 2 + 7.3, HEIGHT / 2 - 4.6)
SEAT = np.array([0.0, -0.012, 0.87])
ACTOR_SEED = 2026
SKIN, EYES, BROWS, ENVIRONMENT = "young_lightskinned_male2", "green_eye", "eyebrow008", "forest"

# Keys are (frame from 0, value); see `perform`.
WEIGHTS: dict[str, Keys] = {
    "eyeBlink": [(0, 0), (6, 0), (8, 1), (9, 1), (12, 0), (29, 0), (31, 1), (32, 0.9), (35, 0), (47, 0)],
    "jawOpen": [(0, 0.02), (3, 0.22), (5, 0.10), (8, 0.30), (10, 0.08), (13, 0.2), (15, 0.03), (18, 0.02), (27, 0.10),
                (33, 0.2), (38, 0.85), (40, 0.85), (45, 0.12), (47, 0.05)],
    "mouthLowerDown": [(0, 0), (4, 0.25), (8, 0.15), (12, 0.3), (16, 0.1), (22, 0.35), (30, 0.2), (39, 0.25),
                       (47, 0.1)],
    "mouthFunnel": [(0, 0), (8, 0.05), (10, 0.4), (13, 0.1), (15, 0), (47, 0)],
    "mouthStretch": [(0, 0), (3, 0.2), (7, 0), (12, 0.2), (16, 0), (47, 0)],
    "mouthUpperUp": [(0, 0), (14, 0.05), (22, 0.35), (28, 0.3), (34, 0.1), (39, 0.5), (47, 0.05)],
    "mouthSmile": [(0, 0.05), (13, 0.05), (21, 0.75), (28, 0.7), (35, 0.15), (40, 0.0), (47, 0.25)],
    "cheekSquint": [(0, 0), (14, 0), (22, 0.6), (28, 0.5), (35, 0), (47, 0.1)],
    "eyeSquint": [(0, 0.1), (14, 0.1), (22, 0.35), (28, 0.3), (34, 0.05), (47, 0.15)],
    "browInnerUp": [(0, 0.1), (4, 0.45), (9, 0.1), (16, 0.15), (34, 0.1), (39, 0.75), (43, 0.5), (47, 0.1)],
    "browOuterUp": [(0, 0), (4, 0.25), (9, 0), (34, 0), (39, 0.5), (47, 0)],
    "browDown": [(0, 0.1), (10, 0.15), (14, 0.05), (47, 0.05)],
    "eyeWide": [(0, 0), (35, 0), (39, 0.4), (45, 0)],
}  # fmt: skip
HEAD: dict[str, Keys] = {
    "yaw": [(0, 8), (3, 10), (15, -36), (17, -36), (33, 35), (36, 34), (47, 2)],
    "pitch": [(0, 0), (5, -7), (9, 4), (15, -2), (22, 5), (28, -4), (38, 9), (47, 0)],
    "roll": [(0, 2), (12, -5), (24, 3), (34, 6), (47, -1)],
    "x": [(0, 0.0), (16, 0.012), (34, -0.014), (47, 0.0)],
    "y": [(0, 0.0), (9, 0.004), (20, -0.003), (38, 0.004), (47, 0.0)],
    "z": [(0, 0.0), (20, -0.02), (38, 0.015), (47, 0.0)],
}
GAZE: dict[str, Keys] = {
    "yaw": [(0, 2), (5, 2), (8, -22), (15, -24), (18, 0), (26, 2), (29, 24), (36, 22), (39, 0), (47, 0)],
    "pitch": [(0, 0), (8, -4), (14, -3), (18, 1), (29, 3), (34, 6), (39, 1), (47, 0)],
}


def sample_look() -> Look:
    """Skin, hair and clothes of the actor."""
    return Look(
        skin=SKIN,
        eyes=EYES,
        brows=BROWS,
        hair=dataclasses.replace(hairdos.short_cut(side=1.0, top=0.05, sides=0.011), thickness=0.0001),
        hair_count=28000,
        melanin=0.88,
        hair_redness=0.5,
        shirt=(0.035, 0.05, 0.075),
        skin_settings={"value": 0.82, "mottling": 0.55, "stubble": 0.55, "bump": 0.6, "method": "BURLEY"},
        eye_settings={"iris_saturation": 0.55},
    )


@dataclass(frozen=True)
class Shot:
    """The actor and the performance: canonical vertices (F, V, 3), and in camera space."""

    model: HeadModel
    person: Person
    performance: Performance
    eye_rotation: np.ndarray
    canonical: np.ndarray
    posed: np.ndarray


def play() -> Shot:
    """The actor's geometry in every frame."""
    model = HeadModel.load()
    person = stranger(ACTOR_SEED, model, "sample actor")
    performance = perform(model.expression_names, COUNT, WEIGHTS, HEAD, GAZE, SEAT)
    eyes = np.asarray(model.gaze(performance.expression), float)
    canonical = person.vertices(model, performance.expression, eyes)
    posed = np.einsum("fij,fvj->fvi", performance.rotation, canonical) + performance.translation[:, None]
    return Shot(model, person, performance, eyes, canonical, posed)


def build(shot: Shot, folder: Path, samples: int, threads: int) -> Take:
    """What Cycles renders, with the blurred environment in `folder`."""
    performance, person = shot.performance, shot.person
    body = (performance.body_rotation, performance.body_translation)
    rng = np.random.default_rng(ACTOR_SEED)
    dressed = dress(rng, shot.model, person.neutral(shot.model), shot.posed, body, sample_look())
    backdrop.defocus(source_data("hdri") / f"{ENVIRONMENT}.hdr", folder / "backdrop.hdr", 3.0)
    target = [0, 0, 0.87]
    return Take(
        frames=np.arange(FIRST, FIRST + COUNT),
        camera=TakeCamera.fixed(WIDTH, HEIGHT, FOCAL, FOCAL, *PRINCIPAL, COUNT),
        meshes=dressed.meshes,
        strands=dressed.strands,
        materials=dressed.materials,
        lights=[
            {"position": [-0.62, -0.5, 0.12], "target": target, "size": 0.38, "power": 13.0, "color": [1, 0.93, 0.84]},
            {"position": [0.75, -0.35, 1.35], "target": target, "size": 0.30, "power": 10.0, "color": [0.9, 0.95, 1]},
            {"position": [0.10, -0.22, 0.05], "target": target, "size": 0.12, "power": 1.2, "color": [1, 1, 1]},
        ],
        environment={
            "light": str(source_data("hdri") / f"{ENVIRONMENT}.hdr"),
            "background": str(folder / "backdrop.hdr"),
            "rotation": float(np.radians(60)),
            "strength": 0.9,
            "backdrop_strength": 1.1,
        },
        output={
            "samples": samples,
            "threads": threads,
            "look": "AgX - High Contrast",
            "shutter": 0.22,
            "seed": 7,
            "bounces": 2,
        },
        fps=FPS,
    )


def write_truth(shot: Shot, path: Path) -> SampleTruth:
    """Write the truth, and check that it gives back every vertex."""
    performance, person, model = shot.performance, shot.person, shot.model
    neutral = person.neutral(model)
    jaw_rotation, jaw_translation = person.jaw_transform(model, performance.expression)
    points, faces = shirt(neutral[model.parts["skin"].vertices])
    worn = np.einsum("fij,vj->fvi", performance.body_rotation, points) + performance.body_translation[:, None]
    truth = SampleTruth.of(
        model,
        neutral,
        shot.canonical,
        frames=np.arange(FIRST, FIRST + COUNT),
        width=WIDTH,
        height=HEIGHT,
        fps=FPS,
        fx=np.full(COUNT, FOCAL),
        fy=np.full(COUNT, FOCAL),
        cx=np.full(COUNT, PRINCIPAL[0]),
        cy=np.full(COUNT, PRINCIPAL[1]),
        rotation=performance.rotation,
        translation=performance.translation,
        identity=person.identity,
        tissue=person.tissue,
        expression=performance.expression,
        eye_rotation=shot.eye_rotation,
        eye_centres=person.eye_centres(model),
        jaw_rotation=jaw_rotation,
        jaw_translation=jaw_translation,
        extra_vertices=worn.astype(np.float16),
        extra_triangles=np.concatenate([faces[:, [0, 1, 2]], faces[:, [0, 2, 3]]]),
    )
    truth.save(path)
    again = SampleTruth.load(path)
    worst = max(np.abs(again.vertices(i, model) - shot.posed[i]).max() for i in range(COUNT))
    print(f"truth: {path.stat().st_size / 1e6:.2f} MB, worst vertex {worst * 1e6:.1f} micrometres off")
    if worst > 3e-5:
        raise SystemExit("the truth does not give back the rendered vertices")
    return again


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("out/sample"), help="working folder, kept for resuming")
    parser.add_argument("--assets", type=Path, default=Path("assets/sample"))
    parser.add_argument("--only", type=int, nargs="*", help="frame numbers to render, instead of all")
    parser.add_argument("--samples", type=int, default=6)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    shot = play()
    frames, truth = arguments.out / "frames", arguments.out / "truth.npz"
    before = SampleTruth.load(truth) if truth.exists() else None
    frames.mkdir(parents=True, exist_ok=True)
    after = write_truth(shot, truth)
    # Frames of another head or performance would get a truth that is not theirs.
    if before is not None and any(frames.iterdir()) and not np.array_equal(before.neutral, after.neutral):
        before.save(truth)
        raise SystemExit(f"{arguments.out} holds frames of another head: choose another folder.")
    take = build(shot, arguments.out, arguments.samples, arguments.threads)
    take.output["only"] = arguments.only or []
    render_take(take, frames, progress=lambda done, total: print(f"{done} of {total}", flush=True))
    if len(list(frames.glob("[0-9]*.png"))) == COUNT:
        develop(frames, arguments.assets / "plate")
        shutil.copy(truth, arguments.assets / "truth.npz")


if __name__ == "__main__":
    main()
