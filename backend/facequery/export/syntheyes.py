"""SynthEyes: the text of "Tracker 2-D Paths" (File, Import, Plain Text).

    a line "name frame u v outcome" for each frame of each tracker, trackers in a row, frames rising

Pixels: u from -1 at the centre of the leftmost pixel to +1 at that of the rightmost, v likewise from top to bottom (the
SynthEyes manual, "Exporting" and "Importing", for direction and order; Tracksperanto's `uv_coordinates.rb` for the
pixel centres and its exporter for the outcomes). Frames: counted from 0 at the first frame of the plate. The outcome
is a sum of 1 run, 2 enabled, 4 found, 8 key, 16 jumped: 30 where a path begins, 15 where it goes on after a gap, 7 in
between. Distorted as filmed, unless undistorted points were asked for. Hidden and off-screen frames are left out.
Names hold no spaces.
"""

from pathlib import Path

import numpy as np

from facequery.errors import UserError
from facequery.export.files import write_text
from facequery.export.source import Source, plain_names

_BEGINS, _GOES_ON, _AGAIN = 30, 7, 15


def write(source: Source, path: Path) -> list[Path]:
    """Write the .txt. Raises UserError when no point is seen anywhere, or the plate is one pixel wide or high."""
    source.need_points()
    if min(source.width, source.height) < 2:
        raise UserError("SynthEyes takes no plate of one pixel.", code="FQ506")
    uv = (source.xy - 0.5) / [source.width - 1, source.height - 1] * 2 - 1
    lines = []
    for point, name in enumerate(plain_names(source.names)):
        rows = source.rows(point)
        steps = np.diff(source.frames[rows])
        outcomes = [_BEGINS, *np.where(steps == 1, _GOES_ON, _AGAIN)][: len(rows)]
        for row, outcome in zip(rows, outcomes, strict=True):
            u, v = uv[row, point]
            lines.append(f"{name} {source.frames[row] - source.frames[0]} {u:.9f} {v:.9f} {outcome}")
    write_text(path, "\n".join(lines) + "\n")
    return [path]
