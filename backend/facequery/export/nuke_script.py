"""Pieces of Nuke scripts: curves, names, nodes."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike


def curve(frames: ArrayLike, values: ArrayLike, keyed: bool = False) -> str:
    """An animation curve with a key at every frame: `{curve x1001 5 6 7 x1010 8}`.

    Values follow each other without a frame number while the frames do; `keyed` makes them keys that hold ("K").
    """
    words = ["curve"] + (["K"] if keyed else [])
    last: int | None = None
    for frame, value in zip(np.asarray(frames).tolist(), np.asarray(values, np.float64).tolist(), strict=True):
        if last is None or frame != last + 1:
            words.append(f"x{frame}")
        words.append(f"{value:.9g}")
        last = frame
    return "{" + " ".join(words) + "}"


def quoted(text: str) -> str:
    """A string as Tcl reads it."""
    for character in '\\"[]${}':
        text = text.replace(character, "\\" + character)
    return f'"{text}"'


def node(kind: str, knobs: Sequence[str]) -> str:
    """One node of a script."""
    return "\n".join([f"{kind} {{", *(f" {knob}" for knob in knobs), "}"]) + "\n"


def header(first: int, last: int, fps: float, width: int, height: int, aspect: float) -> str:
    """The script's Root: frame range, rate and format, so that opening the file alone shows the plate's frame."""
    size = f"{width} {height} 0 0 {width} {height} {aspect:.9g} facequery"
    knobs = ["inputs 0", f"first_frame {first}", f"last_frame {last}", f"fps {fps:.9g}", f'format "{size}"']
    return "version 13.0 v1\n" + node("Root", knobs)
