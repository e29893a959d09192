"""The shot that a job names, as the file that Blender wants for it."""

import re
from pathlib import Path

from .errors import AddonError

_PATTERN = re.compile(r"(#+)|%(?:0?(\d+))?d")


def first_file(shot: str, number: int) -> Path:
    """The file with frame `number` of a shot written as shot.####.exr, shot.%04d.exr, a folder, or a file.

    Raises AddonError when it does not exist.
    """
    path = Path(shot)
    match = _PATTERN.search(path.name)
    if path.is_dir():
        found = [p for p in sorted(path.iterdir()) if p.is_file() and file_number(p) == number]
        if len(found) != 1:
            raise AddonError(f'"{path}" has no single file of frame {number}.', "Choose the clip yourself.", "FQ757")
        return found[0]
    if match and not path.exists():
        width = len(match.group(1)) if match.group(1) else int(match.group(2) or 1)
        sign = "-" if number < 0 else ""
        digits = f"{sign}{abs(number):0{width}d}"
        path = path.with_name(path.name[: match.start()] + digits + path.name[match.end() :])
    if not path.is_file():
        raise AddonError(f'The plate "{path}" is not there.', "Open the clip yourself and choose it.", "FQ757")
    return path


def file_number(path: Path) -> int | None:
    """The frame number in a file's name, the last digits before its suffix; None without any."""
    match = re.search(r"(\d+)\D*$", path.stem)
    return int(match.group(1)) if match else None
