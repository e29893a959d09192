"""Writing exports: say what is written, never overwrite unasked, and leave whole files only."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from facequery import files
from facequery.errors import UserError


def check_targets(paths: Sequence[Path], overwrite: bool) -> None:
    """Raise UserError when one of the files is there and must not be overwritten, or is a folder."""
    there = [path for path in paths if path.exists()]
    for path in there:
        if path.is_dir():
            raise UserError(f'"{path}" is a folder.', "Give another --out.", "FQ502")
    if there and not overwrite:
        others = f" and {len(there) - 1} more" if len(there) > 1 else ""
        raise UserError(f'"{there[0]}"{others} would be overwritten.', "Give another --out, or --overwrite.", "FQ501")


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A temporary path beside `path`, with its suffix, renamed to it when the block ends well, and removed otherwise.

    Raises UserError when the folder cannot be made or written to.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with files.whole_file(path) as temporary:
            yield temporary
    except (PermissionError, NotADirectoryError, FileNotFoundError) as error:
        raise UserError(f'"{path}" cannot be written ({error.strerror}).', "Give another --out.", "FQ502") from error


def write_text(path: Path, text: str) -> None:
    """Write a UTF-8 text file, its line ends as given, whole or not at all."""
    with whole_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="")
