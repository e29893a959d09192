"""Camera files: what --camera reads and what a job writes as camera.json."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from facequery.errors import UserError
from facequery.geometry.cameras import Camera
from facequery.geometry.lens import lens_from_st_map
from facequery.shots.images import read_picture
from facequery.shots.shot import Shot


def load_camera(path: Path) -> Camera:
    """Read a camera file (docs/formats.md). Raises UserError when it is missing, broken or of a newer version.

    The focal length may stand in it as `fx` in pixels, or as `focal_length` and `sensor_width` in millimetres. A lens
    of model "st" names its ST map relative to the file.
    """
    try:
        document: Any = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f'There is no camera file "{path}".', "Check the path.", "FQ125") from None
    except (OSError, ValueError) as error:
        raise UserError(f'The camera file "{path}" cannot be read ({error}).', code="FQ125") from None
    if isinstance(document, dict) and "fx" not in document and "focal_length" in document:
        document = document | {"fx": _focal_pixels(document)}
    lens = document.get("lens") if isinstance(document, dict) else None
    if not isinstance(lens, dict) or lens.get("model") != "st":
        return Camera.from_dict(document)
    # The map needs the camera's own numbers first.
    plain = Camera.from_dict({key: value for key, value in document.items() if key != "lens"})
    file = path.parent / str(lens.get("file"))
    st_map = read_picture(file, "ST map").astype(np.float64)[..., :2]
    values = (float(plain.fx[0]), float(plain.fy[0]), float(plain.cx[0]), float(plain.cy[0]))
    st = lens_from_st_map(st_map, *values, plain.width, plain.height, st_file=str(lens.get("file")))
    return Camera.from_dict(document, st)


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
    camera = load_camera(path)
    if (camera.width, camera.height) != (shot.width, shot.height):
        raise UserError(
            f'The camera "{path}" is for {camera.width} x {camera.height} pixels, the shot has '
            f"{shot.width} x {shot.height}.",
            "Use the camera of this plate.",
            "FQ126",
        )
    return camera.for_frames(shot.frame_numbers)
