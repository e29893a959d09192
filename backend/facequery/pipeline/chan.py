"""Nuke's .chan files, which 3DEqualizer and others write too: a moving camera as a table of text.

A line is `frame tx ty tz rx ry rz [vertical field of view]`, degrees; y is up, the camera looks along -z. The file says
nothing of units and of the order of the rotations, which is Nuke's ZXY (about z first) unless told otherwise.
"""

from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facequery.errors import UserError

ORDERS = tuple("".join(order) for order in permutations("XYZ"))
_OPENCV = np.diag([1.0, -1.0, -1.0])  # from a camera that looks along -z, y up, to OpenCV's


def read_chan(path: Path, height: int, pixel_aspect: float = 1.0, order: str = "ZXY") -> dict[str, Any]:
    """The frames, world-to-camera poses and, where the file has them, focal lengths of a .chan file.

    Returns "frames", "rotation", "translation" (in the file's own units) and "fx", "fy" in pixels of a plate of that
    `height`, for a camera document. `order` names the rotations from the first to the last. Raises UserError.
    """
    if order not in ORDERS:
        raise UserError(f'"{order}" is no order of rotations.', f"Choose from {', '.join(ORDERS)}.", "FQ127")
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        raise UserError(f'There is no camera file "{path}".', "Check the path.", "FQ125") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f'The camera file "{path}" cannot be read ({error}).', code="FQ125") from None
    rows: list[list[float]] = []
    for number, line in enumerate(lines, 1):
        words = line.partition("#")[0].split()
        if not words:
            continue
        try:
            row = [float(word) for word in words]
        except ValueError:
            row = []
        if len(row) not in (7, 8) or not np.isfinite(row).all() or row[0] != round(row[0]):
            raise UserError(
                f'Line {number} of "{path}" is none of a .chan file.',
                "It holds frame, tx, ty, tz, rx, ry, rz and the vertical field of view.",
                "FQ127",
            )
        if rows and len(row) != len(rows[0]):
            raise UserError(
                f'Line {number} of "{path}" has {len(row)} columns, the others {len(rows[0])}.', "", "FQ127"
            )
        rows.append(row)
    if not rows:
        raise UserError(f'"{path}" has no frames.', "Export the camera again.", "FQ127")
    table = np.array(rows)
    frames = table[:, 0].astype(np.int64)
    if len(np.unique(frames)) != len(frames):
        raise UserError(f'"{path}" has a frame twice.', "Export the camera again.", "FQ127")
    placed = _rotations(np.radians(table[:, 4:7]), order)  # camera to world
    rotation = _OPENCV @ np.swapaxes(placed, 1, 2)
    document: dict[str, Any] = {
        "frames": frames.tolist(),
        "rotation": rotation.tolist(),
        "translation": (-np.einsum("fij,fj->fi", rotation, table[:, 1:4])).tolist(),
    }
    if table.shape[1] == 8:
        angle = np.radians(table[:, 7])
        if (angle <= 0).any() or (angle >= np.pi).any():
            raise UserError(f'"{path}" has a field of view that is not between 0 and 180 degrees.', "", "FQ127")
        focal = 0.5 * height / np.tan(0.5 * angle)
        document |= {"fx": (focal / pixel_aspect).tolist(), "fy": focal.tolist()}
    return document


def _rotations(angles: NDArray[np.float64], order: str) -> NDArray[np.float64]:
    """(F, 3, 3) of angles (F, 3) about x, y, z, radians; the first letter of `order` turns first."""
    cos, sin = np.cos(angles), np.sin(angles)
    out = np.tile(np.eye(3), (len(angles), 1, 1))
    for letter in order:
        axis = "XYZ".index(letter)
        one, two = (axis + 1) % 3, (axis + 2) % 3
        turn = np.tile(np.eye(3), (len(angles), 1, 1))
        turn[:, one, one] = turn[:, two, two] = cos[:, axis]
        turn[:, one, two], turn[:, two, one] = -sin[:, axis], sin[:, axis]
        out = turn @ out
    return out
