"""ARKit-52 curves as JSON.

    {"schema": "facequery.arkit", "version": 1, "shot", "fps", "frames": [F], "timecodes": [F],
     "names": [52], "weights": [F x 52], "rotation_names": [9], "rotations": [F x 9 radians],
     "head_rotation": [F x 3 x 3], "head_translation": [F x 3 metres]}

Names are Apple's (eyeBlinkLeft). Frames: the numbers in the file names. `head_rotation` and `head_translation` take
canonical space to camera space with OpenCV's axes; `rotations` are as in the CSV. No pixels.
"""

import json
from pathlib import Path

import numpy as np

from facequery.export import arkit
from facequery.export.files import write_text
from facequery.export.source import Source
from facequery.export.timecode import timecodes


def write(source: Source, path: Path) -> list[Path]:
    """Write the .json. Raises UserError when the job has no fitted face, or the timecode is none."""
    face = source.need_face()
    document = {
        "schema": "facequery.arkit",
        "version": 1,
        "shot": source.name,
        "fps": source.fps,
        "frames": source.frames.tolist(),
        "timecodes": timecodes(source.frames, source.fps, source.timecode),
        "names": list(arkit.SHAPES),
        "weights": np.round(arkit.weights(face), 6).tolist(),
        "rotation_names": list(arkit.ROTATIONS),
        "rotations": np.round(arkit.rotations(face), 6).tolist(),
        "head_rotation": np.round(face.rotation, 8).tolist(),
        "head_translation": np.round(face.translation, 7).tolist(),
    }
    write_text(path, json.dumps(document, allow_nan=False))
    return [path]
