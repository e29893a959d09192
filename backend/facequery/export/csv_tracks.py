"""CSV: a line for every point in every frame, nothing left out; for spreadsheets and scripts.

Columns: frame, id, name, group, x, y, sigma, visible, usable. Pixels are FaceQuery's: plate pixels, x right, y down,
the top-left pixel covers [0, 1) x [0, 1), its centre is (0.5, 0.5). Frames: the numbers in the file names. Distorted
as filmed, unless undistorted points were asked for. Where the face was not found x, y and sigma are empty and visible
is 0; `usable` is 1 where the other formats write the point.
"""

import csv
import io
import math
from pathlib import Path

from facequery.export.files import write_text
from facequery.export.source import Source

COLUMNS = ("frame", "id", "name", "group", "x", "y", "sigma", "visible", "usable")


def write(source: Source, path: Path) -> list[Path]:
    """Write the .csv (RFC 4180, UTF-8)."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(COLUMNS)
    for row, frame in enumerate(source.frames):
        for point, name in enumerate(source.names):
            (x, y), sigma = source.xy[row, point], source.sigma[row, point]
            numbers = [_short(v) for v in (x, y, sigma)]
            state = (f"{source.visible[row, point]:.4f}", int(source.usable[row, point]))
            writer.writerow([frame, source.ids[point], name, source.groups[point], *numbers, *state])
    write_text(path, out.getvalue())
    return [path]


def _short(value: float) -> str:
    return f"{value:.6f}" if math.isfinite(value) else ""
