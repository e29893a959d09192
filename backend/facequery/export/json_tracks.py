"""JSON: the tracks with all that is needed to read them.

    {"schema": "facequery.points", "version": 1, "shot", "width", "height", "fps", "pixel_aspect", "undistorted",
     "frames": [F], "points": [{"id", "name", "group", "xy": [[x, y] | null, F], "sigma": [F], "visible": [F]}]}

Pixels are FaceQuery's: plate pixels, x right, y down, the top-left pixel covers [0, 1) x [0, 1). Frames: the numbers in
the file names. Distorted as filmed, unless `undistorted`. Positions and sigmas are null where the face was not found.
"""

import json
from pathlib import Path

import numpy as np

from facequery.export.files import write_text
from facequery.export.source import Source


def write(source: Source, path: Path) -> list[Path]:
    """Write the .json."""
    points = []
    for point, name in enumerate(source.names):
        there = np.isfinite(source.xy[:, point]).all(-1)
        xy, sigma = np.round(source.xy[:, point], 6).tolist(), np.round(source.sigma[:, point], 6).tolist()
        points.append(
            {
                "id": source.ids[point],
                "name": name,
                "group": source.groups[point],
                "xy": [p if good else None for p, good in zip(xy, there, strict=True)],
                "sigma": [s if good else None for s, good in zip(sigma, there, strict=True)],
                "visible": np.round(source.visible[:, point], 4).tolist(),
            }
        )
    document = {
        "schema": "facequery.points",
        "version": 1,
        "shot": source.name,
        "width": source.width,
        "height": source.height,
        "fps": source.fps,
        "pixel_aspect": source.pixel_aspect,
        "undistorted": source.undistorted,
        "frames": source.frames.tolist(),
        "points": points,
    }
    write_text(path, json.dumps(document, allow_nan=False))
    return [path]
