"""FBX, through Blender: camera, the face with 52 animated blend shapes, skull and jaw.

Objects Camera, Face (the person without expression, posed a frame; blend shapes with ARKit's names, their weights keyed
at every frame), Skull and Jaw. As Blender's exporter writes them: y up, centimetres by the file's unit factor. Frames:
the numbers in the file names, at the shot's rate. Undistorted: an FBX camera has no lens. Each shape holds its whole
motion, jaw and gaze included, so that any rig with ARKit's shapes is driven. That is exact for the skin, which is
linear; lower teeth, tongue and eyes turn, and what a straight line makes of that is off by millimetres in a wide open
mouth (docs/export.md). For the exact points take Alembic or USD.
"""

from pathlib import Path

from facequery.export.blender_files import write_with_blender
from facequery.export.source import Source


def write(source: Source, path: Path) -> list[Path]:
    """Write the .fbx. Raises UserError when the job has no fitted face or camera, or there is no Blender."""
    write_with_blender(source, path)
    return [path]
