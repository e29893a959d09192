"""Making a job: where its folder goes, and what its job.json asks for."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .._vendor.facequery_protocol.errors import ProtocolError
from .._vendor.facequery_protocol.job import SCHEMA, VERSION, write_job
from .._vendor.facequery_protocol.layout import write_layout
from .errors import AddonError
from .remote_paths import RemotePaths

POINTS = "points.json"


@dataclass(frozen=True)
class JobSettings:
    """What an artist asks for. `frames` file numbers, None: all; `layouts` names; `points` a layout document.

    `shots` has one path a view, `cameras` as many camera documents or none.
    """

    shots: tuple[str, ...]
    frames: tuple[int, int] | None = None
    layouts: tuple[str, ...] = ("ibug68",)
    points: dict[str, Any] | None = None
    fits: tuple[str, ...] = ("face", "skull", "jaw")
    face: int = 1
    regions: tuple[str, ...] = ()
    cameras: tuple[dict[str, Any], ...] = ()
    colorspace: str = ""
    exposure: float = 0.0
    allow_gaps: bool = False
    fps: float | None = None
    actor: str = ""


def next_version(root: Path) -> Path:
    """The first free folder v001, v002, ... of `root`."""
    taken = [int(p.name[1:]) for p in root.glob("v[0-9][0-9][0-9]") if p.is_dir()]
    return root / f"v{max(taken, default=0) + 1:03d}"


def folder_name(text: str, keep: str = "") -> str:
    """A clip's or a face's name as that of a folder on every system; `keep` may stay beside letters, digits, . _ -"""
    name = re.sub(rf"[^\w.{re.escape(keep)}-]+", "_", text).strip("._ ")
    return name or "shot"


def create_job(root: Path, settings: JobSettings, paths: RemotePaths | None = None) -> Path:
    """Make the next version of a job in `root` and write its job.json. Returns its folder; raises AddonError.

    `paths`: how the backend sees our files, where it runs on another computer.
    """
    folder, paths = next_version(root), paths or RemotePaths()
    cameras = [folder / f"given_camera_{view + 1}.json" for view in range(len(settings.cameras))]
    layouts = [*settings.layouts, *([str(folder / POINTS)] if settings.points else [])]
    request: dict[str, Any] = {
        "shots": [paths.for_job(shot, folder) for shot in settings.shots],
        "layouts": layouts,
        "frames": list(settings.frames) if settings.frames else None,
        "face": settings.face,
        "regions": list(settings.regions),
        "cameras": [str(path) for path in cameras],
        "colorspace": settings.colorspace or None,
        "exposure": settings.exposure,
        "allow_gaps": settings.allow_gaps,
        "fits": list(settings.fits),
        "fps": settings.fps,
        "actor": paths.for_job(settings.actor, folder) if settings.actor else None,
    }
    try:
        folder.mkdir(parents=True)
        if settings.points:
            write_layout(folder / POINTS, settings.points)
        for path, document in zip(cameras, settings.cameras, strict=True):
            path.write_text(json.dumps(document), encoding="utf-8")
        write_job(folder, {"schema": SCHEMA, "version": VERSION, "request": request})
    except ProtocolError as error:
        raise AddonError(error.cause, error.next_step, error.code) from None
    except OSError as error:
        cause = f'The job\'s folder "{folder}" cannot be written ({error.strerror}).'
        raise AddonError(cause, "Save the file where you may write, or free some space.", "FQ770") from None
    return folder


# Blender's names of color spaces to the backend's; others go by their own name to its OCIO configuration.
_SPACES = {
    "sRGB": "srgb",
    "Linear Rec.709": "linear",
    "Linear": "linear",
    "Rec.1886": "rec709",
    "Rec.709": "rec709",
    "ACEScg": "acescg",
    "Linear ACEScg": "acescg",
    "ACES2065-1": "aces",
    "Non-Color": "raw",
    "Raw": "raw",
}


def backend_space(name: str) -> str:
    """The backend's name of a color space of Blender's."""
    return _SPACES.get(name, name)


def region_texts(files: Sequence[int], boxes: Sequence[Sequence[float]]) -> tuple[str, ...]:
    """Regions of a job from a box x, y, width, height in every frame, by file number; frames between two keys that a
    line says as well are left out."""
    kept: list[int] = []
    for row in range(len(boxes)):
        if row in (0, len(boxes) - 1) or any(
            abs(2 * b - a - c) > 1e-3 for a, b, c in zip(boxes[row - 1], boxes[row], boxes[row + 1], strict=True)
        ):
            kept.append(row)
    if all(tuple(boxes[row]) == tuple(boxes[0]) for row in kept):
        return (",".join(f"{value:g}" for value in boxes[0]),)
    return tuple(f"{files[row]}:" + ",".join(f"{value:.6g}" for value in boxes[row]) for row in kept)


def sequence_pattern(path: Path) -> str:
    """How a job writes the image sequence that a file belongs to: its last number as #### before the suffix."""
    match = re.search(r"(\d+)(\D*)$", path.stem)
    if match is None:
        return str(path)
    hashes = "#" * len(match.group(1))
    return str(path.with_name(path.stem[: match.start()] + hashes + match.group(2) + path.suffix))
