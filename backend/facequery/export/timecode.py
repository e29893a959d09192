"""Timecodes: frames counted at the nominal rate, non-drop, as cameras label them (23.976 fps counts 24 a second)."""

import re

import numpy as np
from numpy.typing import NDArray

from facequery.errors import UserError


def timecodes(frames: NDArray[np.int64], fps: float, first: str | None = None) -> list[str]:
    """ "hh:mm:ss:ff" of every frame number (F,).

    `first` is that of the first frame; without it frame 0 is 00:00:00:00. Wraps at 24 hours. Raises UserError on a
    timecode that is none.
    """
    rate = max(1, round(fps))
    offset = 0 if first is None else _count(first, rate) - int(frames[0])
    found = []
    for frame in frames.tolist():
        seconds, rest = divmod((frame + offset) % (24 * 3600 * rate), rate)
        found.append(f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}:{rest:02d}")
    return found


def _count(text: str, rate: int) -> int:
    match = re.fullmatch(r"(\d{1,2}):(\d\d):(\d\d)[:;](\d{2,3})", text.strip())
    if match:
        hours, minutes, seconds, frames = map(int, match.groups())
        if hours < 24 and minutes < 60 and seconds < 60 and frames < rate:
            return ((hours * 60 + minutes) * 60 + seconds) * rate + frames
    raise UserError(f'"{text}" is no timecode at {rate} frames a second.', "Write it like 10:00:41:17.", "FQ508")
