"""3DEqualizer 4: the text of its "Export 2D Tracks" and "Import 2D Tracks" scripts.

    number of points; then for each its name, its colour (0 = red), its number of frames, and a line "frame x y" each

Pixels: from the lower left corner of the picture, y up, the corner of the first pixel is (0, 0) (the scripts multiply
3DE's [0, 1] coordinates by width and height). Frames: counted from 1 at the first frame of the plate, as 3DE's cameras
do whatever the files are called; gaps count. Distorted as filmed, which 3DE expects, unless undistorted points were
asked for. Hidden and off-screen frames are left out. Names are letters, digits and underlines.
"""

from pathlib import Path

from facequery.export.files import write_text
from facequery.export.source import Source, plain_names


def write(source: Source, path: Path) -> list[Path]:
    """Write the .txt. Raises UserError when no point is seen anywhere."""
    source.need_points()
    xy = source.y_up
    lines: list[str] = []
    count = 0
    for point, name in enumerate(plain_names(source.names)):
        rows = source.rows(point)
        if not len(rows):
            continue
        count += 1
        lines += [name, "0", str(len(rows))]
        for row in rows:
            frame = source.frames[row] - source.frames[0] + 1
            lines.append(f"{frame} {xy[row, point, 0]:.9f} {xy[row, point, 1]:.9f}")
    write_text(path, "\n".join([str(count), *lines]) + "\n")
    return [path]
