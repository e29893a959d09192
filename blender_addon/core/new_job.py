"""Making a job: where its folder goes, and what its job.json asks for."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .._vendor.facequery_protocol.errors import ProtocolError
from .._vendor.facequery_protocol.job import SCHEMA, VERSION, write_job
from .._vendor.facequery_protocol.layout import write_layout
from .errors import AddonError

POINTS = "points.json"


@dataclass(frozen=True)
class JobSettings:
    """What an artist asks for. `frames` file numbers, None: all; `layouts` names; `points` a layout document."""

    shot: str
    frames: tuple[int, int] | None = None
    layouts: tuple[str, ...] = ("ibug68",)
    points: dict[str, Any] | None = None
    fits: tuple[str, ...] = ("face", "skull", "jaw")
    face: int = 1
    region: str = ""
    colorspace: str = ""
    fps: float | None = None


def next_version(root: Path) -> Path:
    """The first free folder v001, v002, ... of `root`."""
    taken = [int(p.name[1:]) for p in root.glob("v[0-9][0-9][0-9]") if p.is_dir()]
    return root / f"v{max(taken, default=0) + 1:03d}"


def folder_name(text: str) -> str:
    """A clip's or a face's name as that of a folder on every system."""
    name = re.sub(r"[^\w.-]+", "_", text).strip("._")
    return name or "shot"


def create_job(root: Path, settings: JobSettings) -> Path:
    """Make the next version of a job in `root` and write its job.json. Returns its folder; raises AddonError."""
    folder = next_version(root)
    layouts = [*settings.layouts, *([str(folder / POINTS)] if settings.points else [])]
    request: dict[str, Any] = {
        "shots": [settings.shot],
        "layouts": layouts,
        "frames": list(settings.frames) if settings.frames else None,
        "face": settings.face,
        "regions": [settings.region] if settings.region else [],
        "colorspace": settings.colorspace or None,
        "fits": list(settings.fits),
        "fps": settings.fps,
    }
    try:
        folder.mkdir(parents=True)
        if settings.points:
            write_layout(folder / POINTS, settings.points)
        write_job(folder, {"schema": SCHEMA, "version": VERSION, "request": request})
    except ProtocolError as error:
        raise AddonError(error.cause, error.next_step, error.code) from None
    except OSError as error:
        cause = f'The job\'s folder "{folder}" cannot be written ({error.strerror}).'
        raise AddonError(cause, "Save the file where you may write, or free some space.", "FQ770") from None
    return folder


def sequence_pattern(path: Path) -> str:
    """How a job writes the image sequence that a file belongs to: its last number as #### before the suffix."""
    match = re.search(r"(\d+)(\D*)$", path.stem)
    if match is None:
        return str(path)
    hashes = "#" * len(match.group(1))
    return str(path.with_name(path.stem[: match.start()] + hashes + match.group(2) + path.suffix))
