"""ARKit-52 curves as CSV with the columns of Epic's Live Link Face.

    Timecode,BlendShapeCount,EyeBlinkLeft,...,TongueOut,HeadYaw,...,RightEyeRoll
    10:00:41:17.000,61,0.0123,...

52 weights from 0 to 1 and 9 rotations in radians, so that the count is 61 (the header is that of the app's recordings,
as the readers of PyLiveLinkFace and others name it). Timecodes count at the nominal rate, non-drop; the first is that
asked for, or the frame number counted from 00:00:00:00. No pixels. Yaw turns to the subject's left, pitch bows
down, roll tips to the right shoulder; the app's own signs are not published, so check them before you drive a neck.
"""

from pathlib import Path

import numpy as np

from facequery.export import arkit
from facequery.export.files import write_text
from facequery.export.source import Source
from facequery.export.timecode import timecodes


def write(source: Source, path: Path) -> list[Path]:
    """Write the .csv. Raises UserError when the job has no fitted face, or the timecode is none."""
    face = source.need_face()
    values = np.concatenate([arkit.weights(face), arkit.rotations(face)], axis=1)
    lines = [",".join(["Timecode", "BlendShapeCount", *arkit.COLUMNS])]
    for time, row in zip(timecodes(source.frames, source.fps, source.timecode), values, strict=True):
        lines.append(",".join([f"{time}.000", str(len(row)), *(f"{v:.8f}" for v in row)]))
    write_text(path, "\n".join(lines) + "\n")
    return [path]
