"""Job folders with known truth, written by the backend's own classes; Blender must show the same pixels."""

import json
from dataclasses import dataclass, field, replace
from pathlib import Path

import cv2
import numpy as np
from facequery.detection.tracks import Tracks
from facequery.fitting.output import FACE_PARTS, JAW_PARTS, SKULL_PARTS, part_mesh
from facequery.fitting.results import FaceFit, RigidFit
from facequery.geometry.cameras import Camera
from facequery.geometry.lens import Lens
from facequery.geometry.rotations import axis_angle_to_matrix, euler_to_matrix
from facequery.head.layouts import load_layout
from facequery.head.model import HeadModel

FRAMES = 5
FIRST = 1001


@dataclass(frozen=True)
class Plate:
    """What varies between the cases."""

    width: int = 640
    height: int = 360
    pixel_aspect: float = 1.0
    off_centre: tuple[float, float] = (0.0, 0.0)  # share of width and height
    zoom: bool = False
    lens: Lens = field(default_factory=Lens)
    moving: bool = False  # a known camera that moves
    views: int = 1  # 2: another camera stands to the side of the first, and was solved with it


PLATES = {
    "landscape": Plate(),
    "portrait_off_centre_zoom": Plate(360, 640, off_centre=(0.11, -0.07), zoom=True),
    "anamorphic": Plate(360, 320, pixel_aspect=2.0, off_centre=(-0.04, 0.05)),
    "squeezed_pixels": Plate(480, 300, pixel_aspect=0.8),
    "lens_and_moving_camera": Plate(lens=Lens("brown", np.array([-0.15, 0.05, 0, 0, 0.002, -0.001])), moving=True),
}
# Every lens that a clip of Blender can hold, strong enough to be seen.
LENSES = {
    "polynomial": Lens("polynomial", np.array([-0.12, 0.04, -0.01])),
    "division": Lens("division", np.array([-0.2, 0.05])),
    "brown": Lens("brown", np.array([-0.15, 0.05, 0.01, 0, 0.002, -0.001])),
    "nuke": Lens("nuke", np.array([0.03, 0.01])),
}
TWO_VIEWS = Plate(off_centre=(0.03, -0.02), views=2)
# From the first camera's space to the second's.
ASIDE = axis_angle_to_matrix(np.array([0.05, 0.6, -0.03])), np.array([-0.42, 0.03, 0.12])


def write_job(root: Path, plate: Plate) -> tuple[Path, Path]:
    """Write a plate from frame 1001, a job on it, and the truth. Returns the job's folder and the truth's file."""
    rng = np.random.default_rng(5)
    model = HeadModel.load()
    identity = rng.normal(0, 0.7, model.identity_size).astype(np.float32)
    expression = rng.uniform(0, 0.5, (FRAMES, 52)).astype(np.float32)
    expression[:, model.expression_names.index("jawOpen")] = np.linspace(0, 0.9, FRAMES)
    eyes = axis_angle_to_matrix(rng.uniform(-0.3, 0.3, (FRAMES, 2, 3))).astype(np.float32)
    offsets = np.zeros_like(model.rest)
    skin = model.parts["skin"].vertices
    offsets[skin] = 0.002 * np.sin(40 * model.rest[skin])
    yaw = np.linspace(-0.5, 0.5, FRAMES)
    # A face looks against the camera: half a turn about x between canonical and camera axes.
    rotation = np.diag([1.0, -1.0, -1.0]) @ euler_to_matrix(yaw, 0.2 * yaw, 0.1 * yaw)
    translation = np.stack([0.05 * yaw, 0.02 * yaw, 0.7 + 0.1 * yaw], axis=1)
    camera = _camera(plate)

    canonical = model.vertices(identity, expression, eyes).astype(np.float64) + offsets
    in_camera = np.einsum("fij,fvj->fvi", rotation, canonical) + translation[:, None]
    names = ("skin", "eye_left", "eye_right", "teeth_upper", "teeth_lower", "mandible", "cranium")

    def seen(by: Camera, points: np.ndarray) -> dict[str, np.ndarray]:
        return {name: by.undistort(by.project(points[:, model.parts[name].vertices][:, ::37])) for name in names}

    ideal = seen(camera, in_camera)

    root.mkdir(parents=True)
    dots = _dots(plate)
    picture = _picture(plate, camera, dots)
    shots = ["shot", "other"][: plate.views]
    for frame in range(FIRST, FIRST + FRAMES):
        for shot in shots:
            cv2.imwrite(str(root / f"{shot}.{frame}.png"), picture)
    folder = root / "face" / "v001"
    folder.mkdir(parents=True)
    frames = np.arange(FIRST, FIRST + FRAMES)
    request = {
        "shots": [f"../../{shot}.####.png" for shot in shots],
        "layouts": ["ibug68"],
        "fits": ["face", "skull", "jaw"],
    }
    if plate.moving:
        request["cameras"] = ["camera.json"]
    (folder / "job.json").write_text(json.dumps({"schema": "facequery.job", "version": 1, "request": request}))
    (folder / "camera.json").write_text(json.dumps(camera.to_dict()))
    face_vertices, face_triangles = part_mesh(model, FACE_PARTS)
    FaceFit(
        in_camera[:, face_vertices].astype(np.float32), face_triangles, identity, expression, model.expression_names,
        eyes, rotation, translation, frames, offsets,
    ).save(folder / "face.npz")  # fmt: skip
    neutral = model.vertices(identity) + offsets
    which, triangles = part_mesh(model, SKULL_PARTS)
    RigidFit(neutral[which], triangles, rotation, translation, frames).save(folder / "skull.npz")
    jaw_rotation, jaw_translation = model.jaw_transform(expression, identity)
    which, triangles = part_mesh(model, JAW_PARTS)
    RigidFit(
        neutral[which], triangles, rotation @ jaw_rotation,
        np.einsum("fij,fj->fi", rotation, jaw_translation) + translation, frames,
    ).save(folder / "jaw.npz")  # fmt: skip

    queries = load_layout("ibug68")
    points = model.points(queries, identity, expression, eyes).astype(np.float64)
    queried = np.einsum("fij,fnj->fni", rotation, points) + translation[:, None]
    xy = camera.project(queried).astype(np.float32)
    sigma = rng.uniform(0.3, 4.0, xy.shape[:2]).astype(np.float32)
    visible = (rng.uniform(size=xy.shape[:2]) > 0.2).astype(np.float32)
    xy[2], sigma[2], visible[2] = np.nan, np.nan, 0  # the face was not found in one frame
    xy[1, 0] = (-7.5, plate.height + 3.0)  # one point out of the picture

    def save_tracks(where: Path, xy: np.ndarray) -> None:
        Tracks(
            xy, sigma, visible, frames, queries, {"ibug68": (0, len(queries))}, plate.width, plate.height, 24000 / 1001,
            plate.pixel_aspect,
        ).save(where)  # fmt: skip

    save_tracks(folder if plate.views == 1 else folder / "view1", xy)
    if plate.views == 2:
        turn, shift = ASIDE
        other = replace(camera, rotation=turn[None], translation=shift[None], cx=camera.cx - 20.0)
        (folder / "camera_2.json").write_text(json.dumps(other.to_dict()))
        other_xy = other.project(queried @ turn.T + shift).astype(np.float32)
        save_tracks(folder / "view2", other_xy)
        aside = seen(other, in_camera @ turn.T + shift)
        ideal |= {"other_xy": other_xy} | {f"other_{name}": pixels for name, pixels in aside.items()}
    truth = root / "truth.npz"
    np.savez(truth, xy=xy, visible=visible, frames=frames, size=[plate.width, plate.height],
             moving=plate.moving, has_lens=not plate.lens.is_none, dots=dots, **ideal)  # fmt: skip
    return folder, truth


def _dots(plate: Plate) -> np.ndarray:
    """Places (N, 2) of dots, as an ideal lens would show them, within what every lens here shows."""
    share = np.linspace(0.12, 0.88, 7)
    x, y = np.meshgrid(share * plate.width, share * plate.height)
    return np.stack([x.ravel(), y.ravel()], axis=1) + 0.3


def _picture(plate: Plate, camera: Camera, dots: np.ndarray) -> np.ndarray:
    """The plate (H, W, 3): gray with soft dots where the lens shows them."""
    y, x = np.mgrid[: plate.height, : plate.width] + 0.5
    light = np.full((plate.height, plate.width), 60.0)
    for u, v in camera.distort(np.broadcast_to(dots, (1, *dots.shape)))[0]:
        light += 150 * np.exp(-((x - u) ** 2 + (y - v) ** 2) / (2 * 3.0**2))
    return np.repeat(light.clip(0, 255).round().astype(np.uint8)[..., None], 3, axis=2)


def _camera(plate: Plate) -> Camera:
    focal = plate.width * 1.6 * np.linspace(1.0, 1.3, FRAMES) if plate.zoom else np.array([plate.width * 1.6])
    if plate.pixel_aspect > 1:
        focal = focal / plate.pixel_aspect
    pose = {}
    if plate.moving:
        angle = np.linspace(0, 0.4, FRAMES)
        pose["rotation"] = axis_angle_to_matrix(np.stack([0.3 * angle, angle, 0.2 * angle], axis=1))
        pose["translation"] = np.stack([angle, 0.5 * angle, 2 * angle], axis=1)
    return Camera(
        width=plate.width,
        height=plate.height,
        fx=focal,
        fy=focal * plate.pixel_aspect,
        cx=np.array([plate.width * (0.5 + plate.off_centre[0])]),
        cy=np.array([plate.height * (0.5 + plate.off_centre[1])]),
        pixel_aspect=plate.pixel_aspect,
        lens=plate.lens,
        frames=np.arange(FIRST, FIRST + FRAMES) if plate.zoom or plate.moving else None,
        **pose,
    )
