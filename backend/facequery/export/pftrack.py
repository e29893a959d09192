"""PFTrack (2011 and later): the text of its 2D tracks (.txt, also read as .2dt).

    "name", clip number (1), number of frames, then "frame x y similarity" each; blank lines between trackers

Pixels: from the lower left, y up, and whole numbers are pixel *centres*: x - 0.5 and height - y - 0.5 (documented with
mmSolver's reader `pftrack2dt.py` and Tracksperanto's `pf_coords.rb`). Frames: the numbers in the file names, which
PFTrack shows for picture sequences. The similarity is 1 / (1 + sigma). Distorted as filmed, unless undistorted points
were asked for. Hidden and off-screen frames are left out.
"""

from pathlib import Path

from facequery.export.files import write_text
from facequery.export.source import Source, plain_names


def write(source: Source, path: Path) -> list[Path]:
    """Write the .txt. Raises UserError when no point is seen anywhere."""
    source.need_points()
    xy = source.y_up - 0.5
    lines = ['# "Name"', "# clipNumber", "# frameCount", "# frame, xpos, ypos, similarity"]
    for point, name in enumerate(plain_names(source.names)):
        rows = source.rows(point)
        if not len(rows):
            continue
        lines += ["", f'"{name}"', "1", str(len(rows))]
        for row in rows:
            similarity = 1.0 / (1.0 + source.sigma[row, point])
            lines.append(f"{source.frames[row]} {xy[row, point, 0]:.6f} {xy[row, point, 1]:.6f} {similarity:.6f}")
    write_text(path, "\n".join(lines) + "\n")
    return [path]
