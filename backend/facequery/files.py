"""Files that are whole or absent when they are written, and looked at before they are believed when they are read.

Whatever is written into a job's folder is written under a temporary name beside its own, and renamed. A process that
is killed leaves the temporary file; the next one to have the folder for itself sweeps it away.
"""

import os
import re
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import numpy as np
from facequery_protocol.reading import check_shapes, load_arrays, load_json, map_array
from numpy.typing import NDArray

__all__ = [
    "check_shapes", "load_arrays", "load_json", "map_array", "save_arrays", "save_text", "sweep", "whole_file",
]  # fmt: skip
_LEFT: Final = re.compile(r"\..+\.(\d+)\.part(\.\w+)?")


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A temporary path beside `path`, renamed to it when the block ends well, and removed otherwise.

    It keeps the suffix, for libraries that go by it. An OSError that names no file gets the path's name.
    """
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.part{path.suffix}")
    try:
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        if error.filename in (None, str(temporary)) and error.errno is not None:
            error.filename, error.filename2 = str(path), None
        raise
    finally:
        temporary.unlink(missing_ok=True)


def sweep(folder: Path, below: bool = False) -> None:
    """Remove the temporary files of processes that are no more from a folder, and from those `below` it."""
    for file in folder.glob("**/.*.part*" if below else ".*.part*"):
        left = _LEFT.fullmatch(file.name)
        if left and not _lives(int(left[1])):
            with suppress(OSError):  # another process swept first, or Windows knows that somebody has it open
                file.unlink()


def _lives(process: int) -> bool:
    """Whether a process of that number runs here; where that cannot be asked, no."""
    if os.name != "posix":
        return False
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        pass
    return True


def save_text(path: Path, text: str) -> None:
    """Write a UTF-8 text file, whole or not at all."""
    with whole_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def save_arrays(path: Path, compressed: bool = False, **arrays: NDArray) -> None:
    """Write an .npz file, whole or not at all."""
    with whole_file(path) as temporary, open(temporary, "wb") as file:
        kind = zipfile.ZIP_DEFLATED if compressed else zipfile.ZIP_STORED
        archive = zipfile.ZipFile(file, "w", kind)
        try:
            for name, value in arrays.items():
                with archive.open(f"{name}.npy", "w", force_zip64=True) as entry:
                    np.lib.format.write_array(entry, np.asanyarray(value), allow_pickle=False)
            archive.close()
        except BaseException:
            archive.fp = None  # or it would try to finish the archive when it is collected, and complain
            raise
