"""Camera files: what --camera reads and what a job writes as camera.json."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from facequery.errors import UserError
from facequery.files import load_json
from facequery.geometry.cameras import Camera
from facequery.geometry.lens import lens_from_st_map
from facequery.pipeline.chan import read_chan
from facequery.shots.images import read_picture
from facequery.shots.shot import Shot


def load_camera(path: Path) -> Camera:
    """Read a camera document (docs/formats.md). Raises UserError when it is missing, broken or of a newer version.

    The focal length may stand in it as `fx` in pixels, or as `focal_length` and `sensor_width` in millimetres. The
    motion may be that of a .chan file, named as `chan` relative to the file, with its `rotation_order`; `unit` is the
    length in metres of the unit in which the camera moves. A lens of model "st" names its ST map relative to the file.
    """
    try:
        document: Any = load_json(path)
    except FileNotFoundError:
        raise UserError(f'There is no camera file "{path}".', "Check the path.", "FQ125") from None
    except (OSError, ValueError) as error:
        raise UserError(f'The camera file "{path}" cannot be read ({error}).', code="FQ125") from None
    if not isinstance(document, dict):
        return Camera.from_dict(document)
    if "chan" in document:
        document = _chan(document, path.parent) | document
    if "fx" not in document and "focal_length" in document:
        document = document | {"fx": _focal_pixels(document)}
    unit = _number(document, "unit", 1.0)
    if document.get("translation") is not None and unit != 1.0:
        document = document | {"translation": _scaled(document["translation"], unit)}
    lens = document.get("lens")
    if not isinstance(lens, dict) or lens.get("model") != "st":
        return Camera.from_dict(document)
    # The map needs the camera's own numbers first.
    plain = Camera.from_dict({key: value for key, value in document.items() if key != "lens"})
    file = path.parent / str(lens.get("file"))
    st_map = read_picture(file, "ST map").astype(np.float64)[..., :2]
    values = (float(plain.fx[0]), float(plain.fy[0]), float(plain.cx[0]), float(plain.cy[0]))
    st = lens_from_st_map(st_map, *values, plain.width, plain.height, st_file=str(lens.get("file")))
    return Camera.from_dict(document, st)


def _chan(document: dict[str, Any], folder: Path) -> dict[str, Any]:
    order = document.get("rotation_order", "ZXY")
    height, aspect = _number(document, "height", None), _number(document, "pixel_aspect", 1.0)
    return read_chan(folder / str(document["chan"]), int(height), aspect, str(order))


def _number(document: dict[str, Any], name: str, default: float | None) -> float:
    value = document.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not np.isfinite(value) or value <= 0:
        raise UserError(f'"{name}" in the camera file must be a number above 0.', code="FQ123")
    return float(value)


def _scaled(translation: Any, unit: float) -> Any:
    try:
        return (np.asarray(translation, np.float64) * unit).tolist()
    except (TypeError, ValueError):
        raise UserError('"translation" in the camera file must hold numbers.', code="FQ123") from None


def _focal_pixels(document: dict[str, Any]) -> Any:
    """fx in plate pixels from millimetres, one value or one a frame."""
    try:
        focal = np.asarray(document["focal_length"], dtype=np.float64)
        return (focal * float(document["width"]) / float(document["sensor_width"])).tolist()
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        raise UserError(
            'The camera file gives "focal_length" without a "sensor_width" and "width" that are numbers.',
            "Give all three, lengths in millimetres.",
            "FQ123",
        ) from None


def camera_for(shot: Shot, path: Path) -> Camera:
    """The camera of a file at a shot's frames. Raises UserError when its picture is not the shot's."""
    return camera_at(path, shot.width, shot.height, shot.pixel_aspect, shot.frame_numbers)


def camera_at(path: Path, width: int, height: int, pixel_aspect: float, frames: ArrayLike) -> Camera:
    """The camera of a file (JSON or .chan) at some frames of a plate of that size.

    Raises UserError when it cannot be read, is for another picture, or lacks a frame.
    """
    if path.suffix.lower() == ".chan":
        moves = read_chan(path, height, pixel_aspect)
        if "fx" not in moves:
            raise UserError(
                f'"{path}" has no field of view.',
                'Name it as "chan" in a camera file that gives the focal length.',
                "FQ127",
            )
        camera = Camera.from_dict({"width": width, "height": height, "pixel_aspect": pixel_aspect} | moves)
    else:
        camera = load_camera(path)
    if (camera.width, camera.height) != (width, height):
        raise UserError(
            f'The camera "{path}" is for {camera.width} x {camera.height} pixels, the shot has {width} x {height}.',
            "Use the camera of this plate.",
            "FQ126",
        )
    return camera.for_frames(frames)
