"""The camera of a job (camera.json) and what Blender's camera needs to show the same pixels."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._vendor.facequery_protocol.reading import load_json
from .errors import AddonError

_SCHEMA, _VERSION = "facequery.camera", 1
SENSOR_WIDTH = 36.0  # mm; only lens / sensor counts, and full frame is what artists compare with


@dataclass(frozen=True, eq=False)
class PlateCamera:
    """A camera in plate pixels (x right, y down, the top-left pixel covers [0, 1)), OpenCV axes, metres.

    fx, fy, cx, cy (F,), F = 1: one that does not change. rotation (F, 3, 3) and translation (F, 3): world to camera,
    None: the camera is the world. frames (F,): file numbers of the rows, None: in the order of the shot. lens: model
    and coefficients as Blender's, model "none" without distortion.
    """

    width: int
    height: int
    fx: NDArray[np.float64]
    fy: NDArray[np.float64]
    cx: NDArray[np.float64]
    cy: NDArray[np.float64]
    pixel_aspect: float
    lens_model: str
    lens_coefficients: NDArray[np.float64]
    rotation: NDArray[np.float64] | None
    translation: NDArray[np.float64] | None
    frames: NDArray[np.int64] | None

    def at(self, files: NDArray[np.int64]) -> "PlateCamera":
        """The camera with a row for every file number (G,), or one row when it does not change."""
        rows = max(len(self.fx), 0 if self.rotation is None else len(self.rotation))
        if rows == 1:
            return self
        if self.frames is None:
            if rows != len(files):
                raise AddonError(f"The camera has {rows} frames, the shot {len(files)}.", code="FQ752")
            index = np.arange(rows)
        else:
            where = {int(frame): row for row, frame in enumerate(self.frames)}
            missing = [int(f) for f in files if int(f) not in where]
            if missing:
                raise AddonError(f"The camera has no frame {missing[0]} of the shot.", code="FQ752")
            index = np.array([where[int(f)] for f in files])

        def taken(values: NDArray | None) -> NDArray | None:
            return values if values is None or len(values) == 1 else values[index]

        arrays: dict[str, Any] = {name: taken(getattr(self, name)) for name in _PER_FRAME}
        return PlateCamera(**{**vars(self), **arrays, "frames": np.asarray(files)})

    def poses(self, count: int) -> NDArray[np.float64]:
        """World to camera (count, 4, 4)."""
        pose = np.tile(np.eye(4), (count, 1, 1))
        if self.rotation is not None and self.translation is not None:
            pose[:, :3, :3], pose[:, :3, 3] = self.rotation, self.translation
        return pose

    def blender(self) -> "BlenderLens":
        """Blender's numbers for this camera, with sensor fit Horizontal and the plate's resolution.

        From Blender's view plane: u = lens / sensor * W * X / Z + W / 2 - shift_x * W, and pixels as high as
        1 / aspect, where aspect is fy / fx.
        """
        aspect = float(np.mean(self.fy / self.fx))
        return BlenderLens(
            lens=self.fx * SENSOR_WIDTH / self.width,
            shift_x=0.5 - self.cx / self.width,
            shift_y=(self.cy - 0.5 * self.height) / (aspect * self.width),
            pixel_aspect_x=max(aspect, 1.0),
            pixel_aspect_y=max(1.0 / aspect, 1.0),
        )


@dataclass(frozen=True, eq=False)
class BlenderLens:
    """lens (F,) mm on a sensor of SENSOR_WIDTH, shift_x and shift_y (F,), and the render settings' pixel aspect."""

    lens: NDArray[np.float64]
    shift_x: NDArray[np.float64]
    shift_y: NDArray[np.float64]
    pixel_aspect_x: float
    pixel_aspect_y: float


_PER_FRAME = ("fx", "fy", "cx", "cy", "rotation", "translation")


def read_camera(path: Path) -> PlateCamera:
    """A camera file. Raises AddonError with one sentence when it is none."""
    try:
        document: Any = load_json(path)
    except (OSError, ValueError) as error:
        raise AddonError(f'The camera file "{path.name}" cannot be read ({error}).', code="FQ751") from None
    if not isinstance(document, dict) or document.get("schema", _SCHEMA) != _SCHEMA:
        raise AddonError(f'"{path.name}" is no camera of FaceQuery.', code="FQ751")
    try:
        if document.get("version", _VERSION) > _VERSION:
            raise AddonError(f'"{path.name}" was written by a newer FaceQuery.', "Update the extension.", "FQ753")
        width, height = int(document["width"]), int(document["height"])
        aspect = float(document.get("pixel_aspect", 1.0))
        fx = _array(document["fx"])
        lens = document.get("lens") or {"model": "none"}
        pose = document.get("rotation") is not None and document.get("translation") is not None
        camera = PlateCamera(
            width=width,
            height=height,
            fx=fx,
            fy=_array(document.get("fy", (fx * aspect).tolist())),
            cx=_array(document.get("cx", width / 2)),
            cy=_array(document.get("cy", height / 2)),
            pixel_aspect=aspect,
            lens_model=str(lens["model"]),
            lens_coefficients=np.array(lens.get("coefficients", ()), np.float64),
            rotation=_array(document["rotation"]).reshape(-1, 3, 3) if pose else None,
            translation=_array(document["translation"]).reshape(-1, 3) if pose else None,
            frames=np.array(document["frames"], np.int64) if document.get("frames") is not None else None,
        )
        _check_rows(camera)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise AddonError(f'The camera file "{path.name}" is malformed ({error}).', code="FQ751") from None
    if not (width > 0 and height > 0 and math.isfinite(aspect) and (camera.fx > 0).all() and (camera.fy > 0).all()):
        raise AddonError(f'The camera file "{path.name}" has a size or a focal length of 0 or less.', code="FQ751")
    return camera


def _check_rows(camera: PlateCamera) -> None:
    """Raise ValueError unless what changes has a row for every frame, and the rest one."""
    counts = {len(values) for name in _PER_FRAME if (values := getattr(camera, name)) is not None}
    rows = max(counts)
    if not counts <= {1, rows} or rows < 1 or (camera.frames is not None and rows > 1 and len(camera.frames) != rows):
        raise ValueError("its rows are not as many as its frames")


def _array(value: Any) -> NDArray[np.float64]:
    array = np.atleast_1d(np.asarray(value, np.float64))
    if not np.isfinite(array).all():
        raise ValueError("a value is not finite")
    return array
