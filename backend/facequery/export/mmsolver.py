"""mmSolver: its .uv file, version 3 (JSON), or 2 where there is no camera to undistort with.

Pixels: u and v run from (0, 0) at the lower left corner of the picture to (1, 1) at the upper right (documented in
mmSolver's reader `uvtrack.py`). Frames: the numbers in the file names. Version 3 holds both forms of a position:
`pos_dist` as filmed and `pos` undistorted by the job's camera; version 2 holds `pos` alone, and `is_undistorted` says
which it is. `weight` is the visibility over 1 + sigma. Hidden and off-screen frames are left out.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np

from facequery.export.files import write_text
from facequery.export.source import Source, plain_names


def write(source: Source, path: Path) -> list[Path]:
    """Write the .uv. Raises UserError when no point is seen anywhere."""
    source.need_points()
    camera = source.camera
    plain = distorted = source.y_up / [source.width, source.height]
    if camera is not None:
        other = camera.distort(source.xy) if source.undistorted else camera.undistort(source.xy)
        turned = (other * [1.0, -1.0] + [0.0, source.height]) / [source.width, source.height]
        plain, distorted = (plain, turned) if source.undistorted else (turned, plain)
    weight = source.visible / (1.0 + source.sigma)
    points = []
    for point, name in enumerate(plain_names(source.names)):
        rows = source.rows(point)
        rows = rows[np.isfinite(plain[rows, point]).all(-1) & np.isfinite(distorted[rows, point]).all(-1)]
        if not len(rows):
            continue
        frames: list[dict[str, Any]] = []
        for row in rows:
            entry: dict[str, Any] = {"frame": int(source.frames[row]), "pos": plain[row, point].tolist()}
            if camera is not None:
                entry["pos_dist"] = distorted[row, point].tolist()
            frames.append(entry | {"weight": float(weight[row, point])})
        entry = {"name": name, "id": point, "set_name": source.groups[point], "per_frame": frames}
        if camera is not None:
            entry["3d"] = dict.fromkeys(("x", "y", "z", "x_lock", "y_lock", "z_lock"))
        points.append(entry)
    document = {
        "version": 2 if camera is None else 3,
        "num_points": len(points),
        "is_undistorted": source.undistorted if camera is None else None,
        "points": points,
    }
    write_text(path, json.dumps(document))
    return [path]
