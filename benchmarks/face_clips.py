"""Rendered shots with exact truth of every vertex, for measuring what is done with tracks.

Held-out people, skins, hair and light on a square plate of 1080 pixels that a camera on a tripod sees; the head turns,
travels and speaks. Written once under `.cache/face_clips` as a picture sequence with truth beside it. Needs the source
data.
"""

import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from facequery.geometry.crops import crop_from_points, crop_parameters
from facequery.geometry.rasterize import rasterize
from facequery.geometry.rotations import axis_angle_to_matrix, euler_to_matrix
from facequery.head.binding import Binding
from facequery.head.model import HeadModel
from facequery.synthesis import shading
from facequery.synthesis.backgrounds import draw_background
from facequery.synthesis.clips import smooth_walk
from facequery.synthesis.labels import labels, surface_points
from facequery.synthesis.looks import row
from facequery.synthesis.meshes import Extra
from facequery.synthesis.occluders import hand
from facequery.synthesis.picture import composed, develop, exposure
from facequery.synthesis.render import Render
from facequery.synthesis.samples import FaceSampler
from facequery.synthesis.scene import TO_CAMERA, Scene, View, crop_view
from facequery.synthesis.settings import SampleSettings
from numpy.typing import NDArray

SIDE = 1080
FRAMES = 32
KINDS = ("plain", "hand", "helmet", "helmet_dots")
DRAWN = ("skin", "eye_left", "eye_right", "teeth_upper", "teeth_lower", "gums_tongue")
_HIDDEN = 0.004  # metres that a thing must be in front of the head's surface to hide it
_FORMAT = 2  # raised when what is rendered changes
PAINTED = 4  # of so many frames one says where hair is painted on the skin


@dataclass(frozen=True, eq=False)
class FaceClip:
    """A rendered shot: `pattern` of its pictures; of the V drawn vertices of the head `xy` (F, V, 2) pixels, `depth`
    (F, V) metres and `visible` (F, V); `eyes` (F,) pixels between the outer corners of the eyes; `folder`, in which
    `seen_0001.png` says where the head's own surface is in front, `painted_0001.png` where hair is painted on it;
    `dots` (D,) vertices that carry a painted dot."""

    folder: Path
    xy: NDArray[np.float32]
    depth: NDArray[np.float32]
    visible: NDArray[np.bool_]
    eyes: NDArray[np.float32]
    dots: NDArray[np.int64]

    @property
    def pattern(self) -> str:
        return str(self.folder / "plate.####.png")

    def plate(self, frame: int) -> NDArray[np.uint8]:
        """Frame `frame` (from 0), RGB."""
        picture = cv2.imread(str(self.folder / f"plate.{frame + 1:04d}.png"))
        return np.ascontiguousarray(picture[..., ::-1])

    def seen(self, frame: int) -> NDArray[np.bool_]:
        """(H, W) where nothing is in front of the head."""
        return cv2.imread(str(self.folder / f"seen_{frame + 1:04d}.png"), cv2.IMREAD_GRAYSCALE) > 127

    def painted(self, frame: int) -> NDArray[np.float32]:
        """(H, W) in [0, 1] how far hair that is painted on the skin hides it; known of every PAINTED-th frame."""
        return cv2.imread(str(self.folder / f"painted_{frame + 1:04d}.png"), cv2.IMREAD_GRAYSCALE) / np.float32(255)


def drawn_count(model: HeadModel) -> int:
    """How many vertices, from the first on, belong to parts that a picture can show."""
    return max(model.parts[name].vertices.stop for name in DRAWN)


def drawn_triangles(model: HeadModel) -> NDArray[np.int32]:
    """Their triangles (T, 3)."""
    return model.triangles[: max(model.parts[name].triangles.stop for name in DRAWN)]


def face_clip(kind: str, seed: int, root: Path = Path(".cache/face_clips"), frames: int = FRAMES) -> FaceClip:
    """The clip of this kind and seed, rendered where it is not there yet (a second a frame).

    plain: nothing in front; hand: a hand passes across the face; helmet: a wide lens close by, from below; helmet_dots:
    the same person with painted dots, another performance.
    """
    folder = root / f"{kind}_{seed:03d}_{frames}"
    if not (folder / f"truth_{_FORMAT}.npz").is_file():
        _Maker.shared().make(kind, seed, frames, folder)
    with np.load(folder / f"truth_{_FORMAT}.npz") as data:
        return FaceClip(folder, data["xy"], data["depth"], data["visible"], data["eyes"], data["dots"])


class _Maker:
    _instance: "_Maker | None" = None

    @classmethod
    def shared(cls) -> "_Maker":
        cls._instance = cls._instance or cls()
        return cls._instance

    def __init__(self) -> None:
        settings = SampleSettings(
            off_basis=0.0015, yaw_wide=0.0, yaw_spread=14.0, pitch_spread=7.0, farthest=2.5, nearest=0.7, helmet=0.0,
            off_axis=5.0, sunglasses=0.0, glasses=0.1, hat=0.0, tracking_dots=0.0, face_mask=0.0, occluder=0.0,
            gray=0.0, jpeg=0.0, low_resolution=0.0, blur=0.0, motion_blur=0.0, border=0.0, noise=1.0,
        )  # fmt: skip
        self.sampler = FaceSampler(settings, "heldout")
        model = self.model = self.sampler.model
        count = drawn_count(model)
        self.binding = Binding(
            model.rest[:count], np.arange(count, dtype=np.int32)[:, None], np.ones((count, 1), np.float32)
        )
        self.surface = surface_points(self.binding, model)

    def make(self, kind: str, seed: int, frames: int, folder: Path) -> None:
        shutil.rmtree(folder, ignore_errors=True)  # with what was made of other pictures
        folder.mkdir(parents=True)
        helmet = kind.startswith("helmet")
        rng = np.random.default_rng([seed, 2 if helmet else 1])
        scene = self.sampler.draw_scene(rng)
        if kind == "helmet":  # another performance of the same person
            rng = np.random.default_rng([seed, 3])
        expression = _talk(rng, self.sampler, frames)
        views = self._views(rng, scene, expression, helmet)
        dots, overlay = self._dots() if kind == "helmet_dots" else (np.zeros(0, np.int64), None)
        passing = _PassingHand(rng, frames) if kind == "hand" else None
        background = draw_background(rng, self.sampler.library, scene.light.environment, SIDE, SIDE)
        gain, grade, found = None, int(rng.integers(2**31)), []
        for f in range(frames):
            shown = replace(scene, expression=expression[f], view=views[f])
            render = self._render(shown, passing, f, overlay)
            if gain is None:
                gain = exposure(rng, render.colour, render.coverage, float(scene.albedo.mean()), render.illuminant)
            picture = composed(render.colour, render.coverage, gain, background)
            plate = develop(np.random.default_rng(grade), picture, self.sampler.settings, grain=rng)
            cv2.imwrite(str(folder / f"plate.{f + 1:04d}.png"), plate[..., ::-1])
            label = labels(render, self.binding, self.model, self.surface)
            xy = (label.xy + 1) * (SIDE / 2)
            _, own, _ = rasterize(xy, label.depth, drawn_triangles(self.model), SIDE, SIDE)
            seen = (own < np.inf) & (render.depth > own - _HIDDEN)
            cv2.imwrite(str(folder / f"seen_{f + 1:04d}.png"), seen.astype(np.uint8) * 255)
            found.append((xy, label.depth, label.visible))
            if f % PAINTED == 0:
                cv2.imwrite(str(folder / f"painted_{f + 1:04d}.png"), self._painted(shown, passing, f))
        xy, depth, visible = (np.stack(part) for part in zip(*found, strict=True))
        corner = self.model.normalisation_vertices  # of the right eye, then of the left
        outer = [max(pair, key=lambda v: abs(float(self.model.rest[v, 0]))) for pair in (corner[:2], corner[2:4])]
        eyes = np.linalg.norm(xy[:, outer[0]] - xy[:, outer[1]], axis=-1)
        np.savez_compressed(
            folder / f"truth_{_FORMAT}.npz", xy=xy.astype(np.float32), depth=depth, visible=visible,
            eyes=eyes.astype(np.float32), dots=dots,
        )  # fmt: skip

    def _painted(self, scene: Scene, passing: "_PassingHand | None", frame: int) -> NDArray[np.uint8]:
        """(H, W) how much of the skin's light hair painted on it takes, were it black, 0 to 255."""
        black, none = (self._render(scene, passing, frame, None, hair).colour.sum(-1) for hair in ("black", "none"))
        return np.round(255 * np.clip((none - black) / np.maximum(none, 1e-4), 0, 1)).astype(np.uint8)

    def _views(self, rng: np.random.Generator, scene: Scene, expression: NDArray, helmet: bool) -> list[View]:
        """A view per frame of one camera at rest."""
        frames = len(expression)
        four = self.model.normalisation_points(scene.identity, expression).astype(np.float64)
        spread = np.radians(4.0 if helmet else 9.0)
        walk = [smooth_walk(rng, frames, spread * share, 0.35, 25.0) for share in (1.0, 0.5, 0.5)]
        travel = np.stack([smooth_walk(rng, frames, 0.004 if helmet else 0.015, 0.4, 25.0) for _ in range(3)], -1)
        distance = 0.27 if helmet else scene.view.distance
        yaw0, pitch0 = (0.0, np.radians(-20)) if helmet else (scene.view.yaw, scene.view.pitch)
        poses = []
        for f in range(frames):
            rotation = TO_CAMERA @ euler_to_matrix(yaw0 + walk[0][f], pitch0 + walk[1][f], walk[2][f])
            middle = rotation @ np.array([0.0, -0.035, 0.0])
            poses.append((rotation, np.array([0, 0, distance]) + travel[f] - middle))
        points = np.stack([p @ r.T + t for p, (r, t) in zip(four, poses, strict=True)]).mean(0)
        centre, half, _ = crop_parameters(crop_from_points(points[:, :2] / points[:, 2:] * 1000))
        wide = 1.25 if helmet else 1.6  # the picture against a face crop
        return [
            crop_view(r, t, np.asarray(centre) / 1000, float(half) * wide / 1000, 0.0, yaw0, pitch0, distance)
            for r, t in poses
        ]

    def _dots(self) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
        """Some 40 vertices of the face that are well apart, and dots on the texture there."""
        from facequery.head.sampling import farthest_points
        from scipy.spatial import cKDTree

        rest = self.model.rest[: len(self.model.region_mask("face"))]
        pool = np.flatnonzero(self.model.region_mask("face") & ~self.model.region_mask("mouth") & (rest[:, 2] > 0.0))
        dots = pool[farthest_points(rest[pool], 40)]
        surface = self.sampler.library.surface
        texels = np.argwhere(surface.covered)
        place = texels[cKDTree(surface.positions[surface.covered]).query(rest[dots])[1]]
        overlay = np.zeros((*surface.covered.shape, 4), np.uint8)
        for y, x in place:
            cv2.circle(overlay, (int(x), int(y)), 4, (15, 15, 15, 240), -1, cv2.LINE_AA)
        return dots, overlay

    def _render(
        self, scene: Scene, passing: "_PassingHand | None", frame: int, overlay: NDArray | None, hair: str = "own"
    ) -> Render:
        """A frame; `hair` painted on the skin: "own", or "black", or "none", the last two shaven."""
        sampler = self.sampler
        vertices = sampler.shapes([scene])[0]
        normals = sampler.renderer.normals(vertices)
        own = np.random.default_rng(scene.seed)
        outfit = sampler.wardrobe.dress(own, scene, vertices, normals, sampler.settings)
        extras = list(outfit.extras)
        if passing is not None:
            face = vertices[: drawn_count(self.model)] @ scene.view.rotation.T + scene.view.translation
            extras.append(passing.at(frame, face, scene))
        skin = outfit.skin_parameters.copy()
        if hair != "own":
            skin[shading.STUBBLE], skin[shading.HAIR_COLOUR : shading.HAIR_COLOUR + 3] = 0, 0
            skin[shading.SCALP] = float(hair == "black") * skin[shading.SCALP]
        dressed = replace(scene, skin_parameters=skin)
        paint = sampler.painter.paint(own, scene.albedo, sampler.settings)
        if overlay is not None:
            paint = overlay
        return sampler.renderer.render(dressed, SIDE, vertices, normals, extras, outfit.lenses, paint)


class _PassingHand:
    """A hand that comes in from one side, crosses the face and leaves at the other."""

    def __init__(self, rng: np.random.Generator, frames: int) -> None:
        self.points, self.triangles = hand(rng)
        roll = axis_angle_to_matrix(np.array([0, 0, rng.uniform(-0.5, 0.5)]))
        self.points = (self.points @ roll.T) * [1.15, -1.15, -1.15]
        self.height = rng.uniform(-0.01, 0.04)
        reach = 0.24 * rng.choice([-1, 1])
        self.path = np.interp(np.arange(frames) / (frames - 1), (0, 0.2, 0.8, 1), (-reach, -reach, reach, reach))

    def at(self, frame: int, face: NDArray, scene: Scene) -> Extra:
        middle = scene.view.rotation @ np.array([0.0, -0.02, 0.06]) + scene.view.translation
        place = np.array([middle[0] + self.path[frame], middle[1] + self.height, float(face[:, 2].min()) - 0.03])
        albedo = scene.albedo
        material = row(
            shading.PLAIN, albedo, albedo * [0.85, 0.65, 0.6], pattern=70, amount=0.5, specular=0.05, shine=15
        )
        points = (self.points + place).astype(np.float32)
        return Extra(points, self.points.astype(np.float32), self.triangles.astype(np.int32), material)


def _talk(rng: np.random.Generator, sampler: FaceSampler, frames: int) -> NDArray[np.float32]:
    """Weights (F, 52) that move smoothly between expressions at the pace of speech."""
    knots = np.stack([sampler.expressions.draw(rng) for _ in range(frames // 10 + 3)]) * 0.7
    at = np.arange(frames) / 10 + rng.uniform(0, 1)
    low = at.astype(int)
    t = (at - low)[:, None]
    ease = t * t * (3 - 2 * t)
    return np.clip(knots[low] * (1 - ease) + knots[low + 1] * ease, 0, 1).astype(np.float32)
