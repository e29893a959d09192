"""Whole pictures with faces anywhere in them, for training the face finder."""

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from facequery.geometry.crops import crop_from_points, crop_parameters
from facequery.geometry.rotations import axis_angle_to_matrix, euler_to_matrix
from facequery.synthesis.backgrounds import draw_background
from facequery.synthesis.chance import pick
from facequery.synthesis.looks import draw_tone
from facequery.synthesis.occluders import hand
from facequery.synthesis.picture import develop, exposure
from facequery.synthesis.samples import FaceSampler
from facequery.synthesis.scene import TO_CAMERA, View, crop_view, draw_pose
from facequery.synthesis.settings import SampleSettings

EMPTY = 0.15  # share of pictures without a face
SMALLEST, LARGEST = 0.08, 0.6  # brow to chin over the picture's height
MOST_ROLL = 60.0  # degrees
_FACE_OF_HALF = 1.2  # brow to chin over the half-size of crop_from_points
_ROOM = 2.1  # half the square that a head with its hair fills, over that half-size


@dataclass(frozen=True)
class Picture:
    """image (H, W, 3) uint8 sRGB; faces (n, 4, 2) pixels: the subject's right eye, left eye, right and left mouth
    corner; boxes (n, 4) x, y, w, h tightly round brows to chin; visible (n, 4) bool."""

    image: NDArray[np.uint8]
    faces: NDArray[np.float32]
    boxes: NDArray[np.float32]
    visible: NDArray[np.bool_]


class PictureSampler:
    """Makes whole pictures; shares a FaceSampler's library. One per process."""

    def __init__(self, sampler: FaceSampler | None = None):
        self.sampler = sampler or FaceSampler(SampleSettings(occluder=0.08))
        model = self.sampler.model
        skin = model.rest[model.parts["skin"].vertices]
        front = np.flatnonzero(
            (skin[:, 1] > -0.115) & (skin[:, 1] < 0.03) & (np.abs(skin[:, 0]) < 0.075) & (skin[:, 2] > -0.045)
        )
        self._outline = front[::7]

    def whole_picture(self, rng: np.random.Generator, height: int, width: int) -> Picture:
        """A picture of height x width pixels with 0 to 3 faces, brow to chin 8 to 60 % of its height, any place, roll
        within 60 degrees; about 15 % have none. Faces may overlap and may be cut by the border, but at least three of
        their four points lie inside; hidden ones are dropped."""
        sampler = self.sampler
        environment = int(rng.integers(len(sampler.library.environments)))
        image = draw_background(rng, sampler.library, environment, height, width)
        count = 0 if rng.random() < EMPTY else pick(rng, (1, 2, 3), (0.68, 0.2, 0.12))
        sizes = np.sort(np.exp(rng.uniform(np.log(SMALLEST), np.log(LARGEST), count)))
        if rng.random() < 0.5:
            self._distract(rng, image)
        found: list[tuple[NDArray, NDArray]] = []
        for size in sizes:  # large ones are nearer, so they come last
            placed = self._paste(rng, image, float(size) * height)
            if placed is None:
                continue
            points, box, cover = placed
            found = [f for f in found if not _covers(cover, f[0])] + [(points, box)]
        if rng.random() < 0.25:
            self._distract(rng, image)  # in front, small: faces keep their labels as real annotations would
        picture = develop(rng, image, replace(sampler.settings, low_resolution=0.15, border=0.03))
        faces = np.array([f[0] for f in found], np.float32).reshape(-1, 4, 2)
        boxes = np.array([f[1] for f in found], np.float32).reshape(-1, 4)
        inside = (faces >= 0).all(-1) & (faces[..., 0] < width) & (faces[..., 1] < height)
        return Picture(picture, faces, boxes, inside)

    def _view(self, rng: np.random.Generator, four: NDArray) -> View:
        """A view whose square, _ROOM times the crop, has room for the head."""
        settings = self.sampler.settings
        yaw, pitch, roll = draw_pose(rng, settings)
        distance = float(np.exp(rng.uniform(np.log(0.5), np.log(settings.farthest))))
        rotation = TO_CAMERA @ euler_to_matrix(yaw, pitch, roll)
        translation = np.array([0, 0, distance]) - rotation @ np.array([0.0, -0.035, 0.0])
        points = four @ rotation.T + translation
        centre, half, turn = crop_parameters(crop_from_points(points[:, :2] / points[:, 2:] * 1000))
        lean = rng.normal(0, 14) if rng.random() < 0.75 else rng.uniform(-MOST_ROLL, MOST_ROLL)
        angle = float(turn) + float(np.radians(np.clip(lean, -MOST_ROLL, MOST_ROLL)))
        return crop_view(
            rotation, translation, np.asarray(centre) / 1000, float(half) * _ROOM / 1000, angle, yaw, pitch, distance
        )

    def _paste(self, rng: np.random.Generator, image: NDArray, face: float) -> tuple[NDArray, NDArray, NDArray] | None:
        sampler = self.sampler
        height, width = image.shape[:2]
        scene = sampler.draw_scene(rng)
        four = sampler.model.normalisation_points(scene.identity, scene.expression).astype(np.float64)
        view = self._view(rng, four)
        half = face / _FACE_OF_HALF
        square = 2 * half * _ROOM
        # Where the crop's centre goes: mostly inside with room, sometimes at the border.
        margin = half * (0.25 if rng.random() < 0.25 else 0.7)
        low, high = np.array([margin, margin]), np.array([width - margin, height - margin])
        if (high <= low).any():
            return None
        centre = rng.uniform(low, high)
        corner = centre - square / 2
        side = max(height, width)
        view = replace(
            view, focal=view.focal * square / side, cx=(view.cx * square + corner[0]) / side,
            cy=(view.cy * square + corner[1]) / side,
        )  # fmt: skip
        render = sampler.dressed(replace(scene, view=view), side)
        gain = exposure(rng, render.colour, render.coverage, float(scene.albedo.mean()), render.illuminant)
        image *= 1 - render.coverage[:height, :width, None]
        image += render.colour[:height, :width] * gain
        points = render.project(four @ view.rotation.T + view.translation)
        inside = ((points >= 0) & (points < [width, height])).all(1)
        if inside.sum() < 3:
            return None
        outline = render.project(render.vertices[self._outline] @ view.rotation.T + view.translation)
        low, high = outline.min(0), outline.max(0)
        box = np.concatenate([low, high - low])
        return points, box, render.coverage[:height, :width]

    def _distract(self, rng: np.random.Generator, image: NDArray) -> None:
        """Hands and skin-coloured blobs without a face, shaded flatly: what a finder must not fall for."""
        height, width = image.shape[:2]
        for _ in range(int(rng.integers(1, 3))):
            albedo = draw_tone(rng)[1] * rng.uniform(0.4, 1.2)
            centre = rng.uniform(0, 1, 2) * [width, height]
            scale = height * np.exp(rng.uniform(np.log(0.06), np.log(0.25)))
            if rng.random() < 0.6:
                points, triangles = hand(rng)
                points = points @ axis_angle_to_matrix(rng.normal(0, 1, 3)).T
                flat = points[:, :2] / 0.2 * scale + centre
                facing = np.cross(
                    points[triangles[:, 1]] - points[triangles[:, 0]], points[triangles[:, 2]] - points[triangles[:, 0]]
                )
                facing /= np.linalg.norm(facing, axis=1, keepdims=True) + 1e-12
                light = 0.35 + 0.65 * np.clip(facing @ np.array([0.3, -0.6, 0.7]), 0, 1)
                for t in np.argsort(points[triangles, 2].mean(1)):
                    colour = tuple(float(c) for c in albedo * light[t])
                    cv2.fillConvexPoly(
                        image, np.round(flat[triangles[t]] * 16).astype(np.int32), colour, cv2.LINE_AA, 4
                    )
            else:
                axes = (int(max(scale * 0.5, 2)), int(max(scale * rng.uniform(0.4, 0.8), 2)))
                colour = tuple(float(c) for c in albedo)
                cv2.ellipse(
                    image, (int(centre[0]), int(centre[1])), axes, rng.uniform(0, 360), 0, 360, colour, -1, cv2.LINE_AA
                )


def _covers(cover: NDArray, points: NDArray) -> bool:
    """Whether a nearer person's coverage (H, W) hides two or more of a face's four points (4, 2)."""
    height, width = cover.shape
    x, y = points.astype(int).T
    inside = (x >= 0) & (y >= 0) & (x < width) & (y < height)
    return bool((cover[y[inside], x[inside]] > 0.5).sum() >= 2)


_SAMPLER: dict[str, PictureSampler] = {}


def whole_picture(
    rng: np.random.Generator, height: int, width: int
) -> tuple[NDArray[np.uint8], NDArray[np.float32], NDArray[np.float32]]:
    """image, faces (n, 4, 2), boxes (n, 4) of PictureSampler.whole_picture, with a sampler kept for the process."""
    if "train" not in _SAMPLER:
        _SAMPLER["train"] = PictureSampler()
    picture = _SAMPLER["train"].whole_picture(rng, height, width)
    return picture.image, picture.faces, picture.boxes
