"""Paths on this computer and the same files as another computer sees them."""

import os
import posixpath
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class RemotePaths:
    """Rows of (here, there): prefixes of paths that mean the same folder. The longest that fits counts."""

    rows: tuple[tuple[str, str], ...] = ()

    def to_remote(self, path: Path | str) -> str:
        """A path of ours as the backend sees it; as it is when no row fits."""
        text = _plain(str(path))
        for here, there in sorted(self.rows, key=lambda row: -len(row[0])):
            rest = _behind(text, _plain(here))
            if rest is not None:
                return posixpath.join(there.replace("\\", "/").rstrip("/") or "/", rest) if rest else there
        return str(path)

    def for_job(self, path: str, folder: Path) -> str:
        """A path such that, written relative to the job's `folder`, it is right for the backend.

        It is the path itself unless different rows take the two to different places.
        """
        if not self.rows:
            return path
        relative = posixpath.relpath(self.to_remote(path).replace("\\", "/"), self.to_remote(folder).replace("\\", "/"))
        return os.path.normpath(os.path.join(folder, relative))


def _plain(path: str) -> str:
    return os.path.normpath(path).replace("\\", "/")


def _behind(path: str, prefix: str) -> str | None:
    """What follows a prefix of whole folders; None when it is none."""
    fold = str.lower if os.name == "nt" else str
    if fold(path) == fold(prefix):
        return ""
    start = prefix.rstrip("/") + "/"
    return path[len(start) :] if fold(path).startswith(fold(start)) else None
