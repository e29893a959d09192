"""After Effects: keyframe text to be pasted onto a layer, one file a point, and one a quad (Corner Pin effect).

The text that After Effects itself puts on the clipboard ("Adobe After Effects 8.0 Keyframe Data"; tab-separated, an
empty line ends a property). Pixels: from the upper left corner of the layer, y down, the corner of the first pixel is
(0, 0): FaceQuery's own. They are plate pixels: paste into a composition of the plate's size and pixel aspect, which
are named in the text. Frames: counted from 0 at the first frame of the plate; pasted with the time indicator there.
Because After Effects moves what is pasted so that its first key lies at the indicator, a point that is not seen in the
first frame gets a key there too, with the position of the first frame in which it is. Distorted as filmed, unless
undistorted points were asked for. Hidden and off-screen frames have no key.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from facequery.errors import UserError
from facequery.export.files import write_text
from facequery.export.nuke_cornerpin import complete_quads
from facequery.export.source import Source, plain_names

# Where the effect keeps our corners: lower left, lower right, upper right, upper left.
_CORNERS = ("Lower Left #4", "Lower Right #5", "Upper Right #3", "Upper Left #2")


def targets(source: Source, path: Path) -> list[Path]:
    """The files that `write` makes: `path` itself for one point or one quad, else names in a folder of its name."""
    seen = np.flatnonzero(source.usable.any(axis=0))
    names = [f"{plain_names(source.names)[point]}.txt" for point in seen]
    names += [f"quad_{index}.txt" for index in range(1, len(source.quads) + 1)]
    if len(source.quads) == 1:
        return [path]
    if len(source.quads) > 1:
        return [path.with_suffix("") / name for name in names[-len(source.quads) :]]
    return [path] if len(names) == 1 else [path.with_suffix("") / name for name in names]


def write(source: Source, path: Path) -> list[Path]:
    """Write the texts: of the quads if there are any, else of every point. Raises UserError when no point is seen."""
    source.need_points()
    texts = []
    if len(source.quads):
        for quad, rows in complete_quads(source):
            blocks = [
                _block(["Effects", "Corner Pin #1", corner], source, rows, point, depth=False)
                for corner, point in zip(_CORNERS, quad, strict=True)
            ]
            texts.append(_text(source, blocks))
    else:
        for point in np.flatnonzero(source.usable.any(axis=0)):
            block = _block(["Transform", "Position"], source, source.rows(int(point)), int(point), depth=True)
            texts.append(_text(source, [block]))
    files = targets(source, path)
    if len(set(files)) != len(files):
        raise UserError("Two points have the same name.", "Rename them.", "FQ504")
    for file, text in zip(files, texts, strict=True):
        write_text(file, text)
    return files


def _block(words: Sequence[str], source: Source, rows: np.ndarray, point: int, depth: bool) -> str:
    lines = ["\t".join(words), "\tFrame\tX pixels\tY pixels\t" + ("Z pixels\t" if depth else "")]
    last = "0\t" if depth else ""
    times = source.frames[rows] - source.frames[0]
    if times[0] != 0:
        x, y = source.xy[rows[0], point]
        lines.append(f"\t0\t{x:.6f}\t{y:.6f}\t{last}")
    for time, (x, y) in zip(times, source.xy[rows, point], strict=True):
        lines.append(f"\t{time}\t{x:.6f}\t{y:.6f}\t{last}")
    return "\n".join(lines)


def _text(source: Source, blocks: Sequence[str]) -> str:
    head = "\n".join(
        [
            "Adobe After Effects 8.0 Keyframe Data",
            "",
            f"\tUnits Per Second\t{source.fps:.5g}",
            f"\tSource Width\t{source.width}",
            f"\tSource Height\t{source.height}",
            f"\tSource Pixel Aspect Ratio\t{source.pixel_aspect:.6g}",
            f"\tComp Pixel Aspect Ratio\t{source.pixel_aspect:.6g}",
        ]
    )
    return "\n\n".join([head, *blocks]) + "\n\n\nEnd of Keyframe Data\n"
