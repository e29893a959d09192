"""Nuke: a CornerPin2D node for every quad of points.

Pixels, frames and distortion as in `facequery.export.nuke`. `to1` to `to4` are lower left, lower right, upper right and
upper left, `from1` to `from4` the corners of the plate's format, so that a picture of that format is pinned. A key is
set where all four points have a position; a pin follows hidden points, which a solve through the face keeps steady.
"""

from pathlib import Path

import numpy as np

from facequery.errors import UserError
from facequery.export.files import write_text
from facequery.export.nuke_script import curve, header, node, quoted
from facequery.export.source import Source


def write(source: Source, path: Path) -> list[Path]:
    """Write the .nk. Raises UserError when there is no quad, or one that is nowhere complete."""
    quads = complete_quads(source)
    xy = source.y_up
    w, h = source.width, source.height
    text = header(int(source.frames[0]), int(source.frames[-1]), source.fps, w, h, source.pixel_aspect)
    for index, (quad, rows) in enumerate(quads, 1):
        knobs = ["inputs 0"]
        for corner, point in enumerate(quad, 1):
            x, y = (curve(source.frames[rows], xy[rows, point, axis]) for axis in (0, 1))
            knobs.append(f"to{corner} {{{x} {y}}}")
        knobs += [f"from{i} {{{x} {y}}}" for i, (x, y) in enumerate(((0, 0), (w, 0), (w, h), (0, h)), 1)]
        names = ", ".join(source.names[point] for point in quad)
        knobs += [f"name FaceQuery_Pin{index}", f"label {quoted(names)}"]
        text += node("CornerPin2D", knobs)
    write_text(path, text)
    return [path]


def complete_quads(source: Source) -> list[tuple[np.ndarray, np.ndarray]]:
    """Every quad's columns (4,) and the frames (indices) in which all its points have a position."""
    if not len(source.quads):
        raise UserError("A corner pin needs four points.", "Name them with --quad a,b,c,d.", "FQ504")
    result = []
    for quad in source.quads:
        rows = np.flatnonzero(np.isfinite(source.xy[:, quad]).all(axis=(1, 2)))
        if not len(rows):
            names = ", ".join(source.names[point] for point in quad)
            raise UserError(f"The corners {names} are never all there.", code="FQ505")
        result.append((quad, rows))
    return result
