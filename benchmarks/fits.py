"""How exact the fits are, against truth that the fitted model cannot represent.

    python -m benchmarks.fits [--clips 6] [--frames 30] [--noise 0.01] [--counts 68,500,50000] [--views 1,3] [--time]

True landmarks of held-out people plus noise (standard deviation per axis in units of the distance between the eyes;
three times that where the skin is turned away). Two tables: generic (shape from the landmarks alone) and actor (the
person's neutral mesh is given). Errors of the face region in mm, after similarity alignment per frame for one view,
after rigid alignment for several. Skull and jaw with extra landmarks on skull, jaw and teeth. Needs the source data.
"""

import argparse
import time
from dataclasses import dataclass

import numpy as np
from facequery.errors import UserError
from facequery.fitting.fit import fit_shot
from facequery.fitting.results import ShotFit
from facequery.fitting.settings import FitSettings
from facequery.geometry.align import similarity_transform
from facequery.geometry.cameras import Camera
from facequery.head.binding import Binding
from facequery.head.model import HeadModel
from numpy.typing import NDArray

from benchmarks.fit_truth import Clip, draw_clip

Array = NDArray[np.float64]
INNER_POINTS = 120  # on cranium, mandible and teeth, for skull and jaw


@dataclass(frozen=True, eq=False)
class Points:
    """Queries by position alone, which is all a fit reads of them."""

    positions: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.positions)


@dataclass(frozen=True, eq=False)
class TrueTracks:
    """Tracks of exact points with noise."""

    xy: Array
    sigma: Array
    visible: Array
    frames: NDArray[np.int64]
    queries: Points
    width: int
    height: int
    fps: float = 25.0


@dataclass(frozen=True, eq=False)
class GivenActor:
    """A person whose neutral mesh is given: mean identity, all of their shape in the offsets."""

    name: str
    identity: NDArray[np.float32]
    offsets: NDArray[np.float32]


@dataclass(frozen=True)
class Score:
    """Vertex errors (mm) of one clip, its skull and jaw errors, its focal length and how long it took."""

    vertex: Array
    rotation: float  # degrees, after one constant rotation is removed
    lateral: float  # mm
    depth: float  # share of the distance
    jaw: float  # degrees
    focal: float  # ratio found / true
    inside: bool
    reprojection: float
    seconds: float


def skin_points(model: HeadModel, count: int, rng: np.random.Generator) -> Binding:
    """`count` points on the skin of the face: by area, exact on their triangles. 68: vertices far from each other."""
    part = model.parts["skin"]
    triangles = np.asarray(model.triangles[part.triangles])
    face = model.region_mask("face")
    triangles = triangles[face[triangles - part.vertices.start].all(1)]
    corners = np.asarray(model.rest, np.float64)[triangles]
    area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    many = count if count > 5000 else 20 * count
    which = rng.choice(len(triangles), many, p=area / area.sum())
    bary = rng.dirichlet(np.ones(3), many)
    positions = (corners[which] * bary[..., None]).sum(1)
    keep = np.arange(many)
    if many > count:
        chosen, nearest = [0], np.full(many, np.inf)
        while len(chosen) < count:
            nearest = np.minimum(nearest, ((positions - positions[chosen[-1]]) ** 2).sum(1))
            chosen.append(int(nearest.argmax()))
        keep = np.array(chosen)
    return Binding(
        positions[keep].astype(np.float32), triangles[which[keep]].astype(np.int32), bary[keep].astype(np.float32)
    )


def inner_points(model: HeadModel, rng: np.random.Generator) -> Binding:
    """Vertices of cranium (its front), mandible and teeth."""
    rest = np.asarray(model.rest)
    pool = []
    for name in ("cranium", "mandible", "teeth_upper", "teeth_lower"):
        part = np.arange(len(rest))[model.parts[name].vertices]
        pool.append(rng.choice(part[rest[part, 2] > -0.06], INNER_POINTS // 4, replace=False))
    index = np.concatenate(pool).astype(np.int32)
    return Binding(rest[index], index[:, None], np.ones((len(index), 1), np.float32))


def joined(one: Binding, two: Binding) -> Binding:
    """Both sets of points, the narrower binding padded with weights of 0."""
    wide = max(one.indices.shape[1], two.indices.shape[1])

    def padded(values: NDArray) -> NDArray:
        return np.pad(values, ((0, 0), (0, wide - values.shape[1])))

    return Binding(
        np.concatenate([one.positions, two.positions]),
        np.concatenate([padded(one.indices), padded(two.indices)]),
        np.concatenate([padded(one.weights), padded(two.weights)]),
    )


def true_tracks(
    model: HeadModel, clip: Clip, binding: Binding, camera: Camera, noise: float, rng: np.random.Generator
) -> TrueTracks:
    """Tracks of bound points in one view."""
    rest = np.asarray(model.rest, np.float64)
    own = binding.weights.astype(np.float64)
    points = np.stack([(v[binding.indices] * own[..., None]).sum(1) for v in clip.vertices])
    seen = camera.to_camera(points)
    xy = camera.project(seen)
    # How far apart the eyes would be if they were seen from the front: their distance over their depth.
    middle = camera.to_camera(clip.vertices[:, model.parts["eye_left"].vertices].mean(1)[:, None])[..., 2]
    apart = np.linalg.norm(
        rest[model.parts["eye_left"].vertices].mean(0) - rest[model.parts["eye_right"].vertices].mean(0)
    )
    scale = camera.fx[0] * apart / middle
    facing = _facing(model, clip, binding, camera)
    sigma = noise * scale * np.where(facing, 1.0, 3.0)
    xy = xy + rng.normal(size=xy.shape) * sigma[..., None]
    return TrueTracks(
        xy.astype(np.float32), sigma.astype(np.float32), facing.astype(np.float32), clip.frames,
        Points(binding.positions), camera.width, camera.height,
    )  # fmt: skip


def _facing(model: HeadModel, clip: Clip, binding: Binding, camera: Camera) -> NDArray[np.bool_]:
    """(F, N) whether the skin at a point's first vertex is turned to the camera; inner points are never seen."""
    skin = model.parts["skin"]
    triangles = np.asarray(model.triangles[skin.triangles])
    out = np.zeros((len(clip.vertices), len(binding)), bool)
    on_skin = binding.indices[:, 0] < skin.vertices.stop
    for f, vertices in enumerate(clip.vertices):
        here = camera.to_camera(vertices[None, : skin.vertices.stop])[0]
        face = np.cross(here[triangles[:, 1]] - here[triangles[:, 0]], here[triangles[:, 2]] - here[triangles[:, 0]])
        normal = np.zeros_like(here)
        for k in range(3):
            np.add.at(normal, triangles[:, k], face)
        turned = (normal * here).sum(1) < -0.1 * np.linalg.norm(normal, axis=1) * np.linalg.norm(here, axis=1)
        out[f] = on_skin & turned[np.minimum(binding.indices[:, 0], skin.vertices.stop - 1)]
    return out


def score(model: HeadModel, clip: Clip, fit: ShotFit, rigid: bool) -> Score:
    """Errors of a fit against its clip."""
    use = np.flatnonzero(model.region_mask("face")) + model.parts["skin"].vertices.start
    errors = []
    for f in range(len(clip.frames)):
        found, true = fit.face.vertices[f, use].astype(np.float64), clip.vertices[f, use]
        scale, rotation, move = similarity_transform(found, true, with_scale=not rigid)
        errors.append(np.linalg.norm(scale * found @ rotation.T + move - true, axis=1) * 1000)
    # One constant offset in the head's own space is removed: where skull and canonical space lie is a convention.
    relative = np.swapaxes(clip.rotation, 1, 2) @ fit.skull.rotation
    u, _, vt = np.linalg.svd(relative.mean(0))
    constant = u @ vt
    trace = np.einsum("fij,fij->f", relative, np.repeat(constant[None], len(relative), 0))
    turn = np.degrees(np.arccos(np.clip((trace - 1) / 2, -1, 1)))
    ratio = fit.skull.translation[:, 2] / clip.translation[:, 2]
    move = fit.skull.translation / ratio[:, None] - clip.translation
    local = np.einsum("fij,fi->fj", clip.rotation, move)
    rest_move = np.einsum("fij,j->fi", clip.rotation, np.median(local, 0))
    lateral = np.linalg.norm((move - rest_move)[:, :2], axis=1) * 1000
    jaw = np.swapaxes(fit.skull.rotation, 1, 2) @ fit.jaw.rotation
    gap = np.einsum("fij,fij->f", jaw, clip.jaw_rotation)
    opening = np.degrees(np.arccos(np.clip((gap - 1) / 2, -1, 1)))
    focal = fit.quality.focal[0] / clip.cameras[0].fx[0]
    low, high = (v / clip.cameras[0].fx[0] for v in fit.quality.focal_interval[0])
    return Score(
        np.concatenate(errors), float(np.sqrt((turn**2).mean())), float(np.sqrt((lateral**2).mean())),
        float(np.abs(ratio / np.median(ratio) - 1).mean()), float(np.sqrt((opening**2).mean())), float(focal),
        bool(low <= 1 <= high), fit.quality.mean_reprojection, fit.quality.seconds,
    )  # fmt: skip


def run(model: HeadModel, count: int, views: int, actor: bool, seed: int, frames: int, noise: float, known: bool,
        settings: FitSettings) -> Score:  # fmt: skip
    """One clip: draw it, track it, fit it, score it. The same seed gives the same clip for every count of landmarks."""
    clip = draw_clip(model, np.random.default_rng(seed), frames, views)
    rng = np.random.default_rng(seed + 10_000)
    binding = joined(skin_points(model, count, rng), inner_points(model, rng))
    tracks = [true_tracks(model, clip, binding, camera, noise, rng) for camera in clip.cameras]
    person = None
    if actor:
        offsets = (clip.person.neutral - np.asarray(model.rest, np.float64)).astype(np.float32)
        person = GivenActor("given", np.zeros(len(model.identity_basis), np.float32), offsets)
    fit = fit_shot(model, tracks, list(clip.cameras) if known else [None] * views, settings, person)
    return score(model, clip, fit, rigid=views > 1)


def table(rows: list[tuple[str, list[Score]]]) -> None:
    """Print one line a row: means over clips."""
    head = "landmarks  views | mean mm  median mm | skull deg  side mm  depth %  jaw deg | f ratio  inside | px    s"
    print(head)
    for name, scores in rows:
        every = np.concatenate([s.vertex for s in scores])
        print(
            f"{name:16s} | {every.mean():7.2f}  {np.median(every):9.2f} | "
            f"{np.mean([s.rotation for s in scores]):9.2f}  {np.mean([s.lateral for s in scores]):7.2f}  "
            f"{100 * np.mean([s.depth for s in scores]):7.2f}  {np.mean([s.jaw for s in scores]):7.2f} | "
            f"{np.exp(np.mean(np.abs(np.log([s.focal for s in scores])))):7.3f}  "
            f"{np.mean([s.inside for s in scores]):6.2f} | {np.mean([s.reprojection for s in scores]):4.2f} "
            f"{np.mean([s.seconds for s in scores]):5.1f}",
            flush=True,
        )


def times(model: HeadModel, noise: float) -> None:
    """How time grows with frames and with landmarks."""
    print("\nframes  landmarks  seconds")
    for frames, count in ((60, 500), (125, 500), (250, 500), (500, 500), (60, 2000), (60, 8000)):
        started = time.perf_counter()
        result = run(model, count, 1, False, 1, frames, noise, True, FitSettings())
        print(f"{frames:6d}  {count:9d}  {result.seconds:7.2f}   (with drawing {time.perf_counter() - started:.1f})")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=6)
    parser.add_argument("--frames", type=int, default=30)
    parser.add_argument("--noise", type=float, default=0.01)
    parser.add_argument("--counts", default="68,500,50000")
    parser.add_argument("--views", default="1,3")
    parser.add_argument("--tables", default="generic,actor")
    parser.add_argument("--known", action="store_true", help="give the camera in the single-view rows too")
    parser.add_argument("--time", action="store_true")
    arguments = parser.parse_args()
    model = HeadModel.load()
    try:
        for name in arguments.tables.split(","):
            print(f"\n{name}: {arguments.clips} clips of {arguments.frames} frames, noise {arguments.noise}")
            for views in map(int, arguments.views.split(",")):
                for count in map(int, arguments.counts.split(",")):
                    scores = [
                        run(model, count, views, name == "actor", seed, arguments.frames, arguments.noise,
                            arguments.known or views > 1, FitSettings())
                        for seed in range(arguments.clips)
                    ]  # fmt: skip
                    table([(f"{count:9d}  {views:5d}", scores)])
        if arguments.time:
            times(model, arguments.noise)
    except UserError as error:
        raise SystemExit(str(error)) from None


if __name__ == "__main__":
    main()
