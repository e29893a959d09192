"""Nuke: one Tracker4 node with an animated track for every point.

Pixels: Nuke's origin is the lower left corner of the picture, y up, pixel centres at .5: x as it is, y = height - y, in
plate pixels (squeezed; the format carries the pixel aspect). Frames: the numbers in the file names. Distorted as
filmed, unless undistorted points were asked for. A frame in which a point is hidden or off screen has no key, and the
track's `enable` curve is 0 over it. The node's `error` column holds sigma in pixels.

The 31 columns of the `tracks` knob are those of Nuke 7 and later (as in the scripts that other trackers' exporters
write, e.g. 3DEqualizer's "Export 2D Tracks To Nuke"); nothing is published about them by Foundry.
"""

from pathlib import Path

import numpy as np

from facequery.export.files import write_text
from facequery.export.nuke_script import curve, header, node, quoted
from facequery.export.source import Source

_COLUMNS = (
    "5 1 20 enable e 1", "3 1 75 name name 1", "2 1 58 track_x track_x 1", "2 1 58 track_y track_y 1",
    "2 1 63 offset_x offset_x 1", "2 1 63 offset_y offset_y 1", "4 1 27 T T 1", "4 1 27 R R 1", "4 1 27 S S 1",
    "2 0 45 error error 1", "1 1 0 error_min error_min 1", "1 1 0 error_max error_max 1",
    "1 1 0 pattern_x pattern_x 1", "1 1 0 pattern_y pattern_y 1", "1 1 0 pattern_r pattern_r 1",
    "1 1 0 pattern_t pattern_t 1", "1 1 0 search_x search_x 1", "1 1 0 search_y search_y 1",
    "1 1 0 search_r search_r 1", "1 1 0 search_t search_t 1", "2 1 0 key_track key_track 1",
    "2 1 0 key_search_x key_search_x 1", "2 1 0 key_search_y key_search_y 1", "2 1 0 key_search_r key_search_r 1",
    "2 1 0 key_search_t key_search_t 1", "2 1 0 key_track_x key_track_x 1", "2 1 0 key_track_y key_track_y 1",
    "2 1 0 key_track_r key_track_r 1", "2 1 0 key_track_t key_track_t 1",
    "2 1 0 key_centre_offset_x key_centre_offset_x 1", "2 1 0 key_centre_offset_y key_centre_offset_y 1",
)  # fmt: skip


def write(source: Source, path: Path) -> list[Path]:
    """Write the .nk. Raises UserError when no point is seen anywhere."""
    source.need_points()
    xy = source.y_up
    tracks = [_track(source, xy, point) for point in range(len(source.names)) if source.usable[:, point].any()]
    columns = "\n".join(f"{{ {column} }}" for column in _COLUMNS)
    knob = f"tracks {{ {{ 1 31 {len(tracks)} }}\n{{ {columns} }}\n{{\n" + "\n".join(tracks) + "\n} }"
    first, last = int(source.frames[0]), int(source.frames[-1])
    middle = f"center {{{source.width / 2:.9g} {source.height / 2:.9g}}}"
    knobs = ["inputs 0", knob, f"reference_frame {first}", middle, "name FaceQuery_Tracker", "selected true"]
    knobs.append(f"label {quoted('undistorted' if source.undistorted else 'distorted (as filmed)')}")
    script = header(first, last, source.fps, source.width, source.height, source.pixel_aspect)
    write_text(path, script + node("Tracker4", knobs))
    return [path]


def _track(source: Source, xy: np.ndarray, point: int) -> str:
    rows = source.rows(point)
    frames = source.frames[rows]
    # `enable` has a key wherever it changes.
    state = source.usable[:, point].astype(int)
    changes = np.flatnonzero(np.diff(state, prepend=-1))
    first = int(source.frames[0])
    zero = f"{{curve x{first} 0}}"
    cells = [
        curve(source.frames[changes], state[changes], keyed=True),
        quoted(source.names[point]),
        curve(frames, xy[rows, point, 0]),
        curve(frames, xy[rows, point, 1]),
        zero, zero, "1", "1", "1",
        curve(frames, source.sigma[rows, point]),
        "0", "0", "-32", "-32", "32", "32", "-22", "-22", "22", "22",
        *["{}"] * 11,
    ]  # fmt: skip
    return "{ " + " ".join(cells) + " }"
