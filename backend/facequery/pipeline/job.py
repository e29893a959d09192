"""job.json: what a job was asked for, so that its folder can be gone on with, and only with the same request."""

import json
import os
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from facequery.detection.tracks import save_text
from facequery.errors import UserError

SCHEMA = "facequery.job"
VERSION = 1


@dataclass(frozen=True)
class JobRequest:
    """What `facequery track` is asked for; the settings of a job."""

    shots: tuple[str, ...]  # one path a view
    layouts: tuple[str, ...] = ("ibug68",)  # names or files
    frames: tuple[int, int] | None = None  # first and last file number
    face: int = 1  # which one, counted from the largest
    regions: tuple[str, ...] = ()  # "x,y,w,h" or "frame:x,y,w,h", plate pixels
    cameras: tuple[str, ...] = ()  # camera files, one a view
    colorspace: str | None = None
    exposure: float = 0.0
    allow_gaps: bool = False
    fps: float | None = None
    fits: tuple[str, ...] = ()  # of face, skull, jaw
    actor: str | None = None
    weights: str = "landmarks"
    preview: bool = True


_PATHS = ("shots", "cameras")


def open_job(folder: Path, request: JobRequest) -> None:
    """Make a job's folder, or check that the one that is there is the same job.

    Raises UserError when it holds another job, or cannot be written to.
    """
    file = folder / "job.json"
    document = to_document(request, folder)
    if file.is_file():
        old = read_document(file)
        if old["request"] != document["request"]:
            changed = sorted(k for k, v in document["request"].items() if old["request"].get(k) != v)
            raise UserError(
                f'"{folder}" holds another job (it differs in {", ".join(changed)}).',
                "Give another --out, or the same settings to go on with it.",
                "FQ370",
            )
        return
    if folder.exists() and not folder.is_dir():
        raise UserError(f'"{folder}" is a file, not a folder.', "Give another --out.", "FQ371")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        save_text(file, json.dumps(document, indent=2))
    except PermissionError as error:
        raise UserError(f'"{folder}" cannot be written to.', "Give another --out.", "FQ371") from error


def load_request(folder: Path) -> JobRequest:
    """The request of a job's folder, with paths as seen from here. Raises UserError when there is none."""
    document = read_document(folder / "job.json")
    values: dict[str, Any] = {}
    for field in fields(JobRequest):
        if field.name not in document["request"]:
            continue
        value = document["request"][field.name]
        if field.name in _PATHS:
            value = [_outward(path, folder) for path in value]
        if field.name == "layouts":
            value = [_outward(v, folder) if v.endswith(".json") else v for v in value]
        if field.name == "actor" and value is not None:
            value = _outward(value, folder)
        values[field.name] = tuple(value) if isinstance(value, list) else value
    return JobRequest(**values)


def read_document(file: Path) -> dict[str, Any]:
    """job.json, checked. Raises UserError when it is missing, no job, or from a newer version."""
    try:
        document: Any = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f'"{file.parent}" is no job folder.', "It has no job.json.", "FQ372") from None
    except (OSError, ValueError) as error:
        raise UserError(f'"{file}" cannot be read ({error}).', code="FQ372") from None
    if not isinstance(document, dict) or document.get("schema") != SCHEMA:
        raise UserError(f'"{file}" is no FaceQuery job.', code="FQ372")
    if not isinstance(document.get("version"), int) or document["version"] > VERSION:
        raise UserError(f'"{file}" was written by a newer FaceQuery.', "Update FaceQuery.", "FQ373")
    if not isinstance(document.get("request"), dict):
        raise UserError(f'"{file}" is no FaceQuery job.', code="FQ372")
    return document


def to_document(request: JobRequest, folder: Path) -> dict[str, Any]:
    """The JSON form of a request, its paths relative to the job's folder where they can be."""
    values = json.loads(json.dumps(asdict(request)))
    for name in _PATHS:
        values[name] = [_inward(path, folder) for path in values[name]]
    values["layouts"] = [_inward(v, folder) if v.endswith(".json") else v for v in values["layouts"]]
    values["actor"] = _inward(values["actor"], folder) if values["actor"] else None
    return {"schema": SCHEMA, "version": VERSION, "request": values}


def _inward(path: str, folder: Path) -> str:
    try:
        return Path(os.path.relpath(path, folder)).as_posix()
    except ValueError:  # another drive
        return Path(path).resolve().as_posix()


def _outward(path: str, folder: Path) -> str:
    return path if os.path.isabs(path) else os.path.normpath(folder / path)
