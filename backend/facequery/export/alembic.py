"""Alembic, through Blender: camera, the face as a point cache, skull and jaw.

Objects Camera, Face (the fit's own points at every frame, quads, texture coordinates "st"), Skull and Jaw (rigid, posed
a frame). Metres; y up, as Blender's exporter turns everything. Times are frame numbers over the shot's rate.
Undistorted: an Alembic camera has no lens. Squeezed pixels are in the camera's apertures. Frames missing from the plate
repeat the face of the one before.
"""

from pathlib import Path

from facequery.export.blender_files import write_with_blender
from facequery.export.source import Source


def write(source: Source, path: Path) -> list[Path]:
    """Write the .abc. Raises UserError when the job has no fitted face or camera, or there is no Blender."""
    write_with_blender(source, path)
    return [path]
