"""The job document: job.json in a job's folder says what was asked for, and nothing about how far it is.

    {"schema": "facequery.job", "version": 1, "facequery": "0.1.0",
     "request": {"shots": ["../plates/shot.####.exr"], "layouts": ["ibug68", "points.json"], "frames": [1001, 1096],
                 "face": 1, "regions": ["1001:400,200,300,300"], "cameras": ["camera.json"], "colorspace": null,
                 "exposure": 0.0, "allow_gaps": false, "fps": null, "fits": ["face", "skull", "jaw"], "actor": null,
                 "weights": "landmarks", "mirror": false, "smooth": 0.0, "refine": false,
                 "references": [1001], "preview": true}}

Only schema, version and `shots` are required; several shots are synchronised views. `frames` are file numbers, regions
"x,y,w,h" or "frame:x,y,w,h" in plate pixels. Paths are relative to the folder, with "/", where they can be; a relative
path that is moved along with the folder stays right. Settings that this version does not know are kept as they are.
"""

import json
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from .errors import ProtocolError

SCHEMA: Final = "facequery.job"
VERSION: Final = 1
FILE: Final = "job.json"
FITS: Final = ("face", "skull", "jaw")
_LARGEST: Final = 16_000_000  # bytes
_DEFAULTS: Final[dict[str, Any]] = {
    "layouts": ["ibug68"],
    "frames": None,
    "face": 1,
    "regions": [],
    "cameras": [],
    "colorspace": None,
    "exposure": 0.0,
    "allow_gaps": False,
    "fps": None,
    "fits": [],
    "actor": None,
    "weights": "landmarks",
    "mirror": False,
    "smooth": 0.0,
    "refine": False,
    "references": [],
    "preview": True,
}

# From version n to n + 1: a function from document to document.
UPGRADES: dict[int, Callable[[dict[str, Any]], dict[str, Any]]] = {}


def upgrade(document: Any) -> dict[str, Any]:
    """The document in the present version. Raises ProtocolError when it is no job, or of a newer version."""
    if not isinstance(document, dict) or document.get("schema") != SCHEMA:
        raise ProtocolError("It is no FaceQuery job.", f'"schema" must be "{SCHEMA}".', "FQ320")
    version = document.get("version")
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise ProtocolError('The "version" of the job must be a whole number from 1.', code="FQ320")
    if version > VERSION:
        raise ProtocolError(f"The job was written by a newer FaceQuery (version {version}).", "Update it.", "FQ321")
    while version < VERSION:
        document = UPGRADES[version](document)
        version += 1
    return document


def validated(document: Any) -> dict[str, Any]:
    """The document upgraded, checked, and with every setting present. Raises ProtocolError saying what is wrong."""
    upgraded = upgrade(document)
    given = upgraded.get("request")
    if not isinstance(given, dict):
        raise ProtocolError('The job lacks its "request".', code="FQ320")
    request = {**_DEFAULTS, **given}
    _check_texts(request, "shots", least=1)
    for name in ("layouts", "regions", "cameras"):
        _check_texts(request, name)
    for region in request["regions"]:
        check_region(region)
    if len(request["cameras"]) not in (0, len(request["shots"])):
        raise ProtocolError(
            f"The job has {len(request['shots'])} shots and {len(request['cameras'])} cameras.",
            "Give one camera a shot, or none.",
            "FQ322",
        )
    _check_texts(request, "fits")
    unknown = [fit for fit in request["fits"] if fit not in FITS]
    if unknown:
        raise ProtocolError(f'"{unknown[0]}" cannot be fitted.', f"Use {', '.join(FITS)}.", "FQ322")
    frames = request["frames"]
    if frames is not None:
        pair = isinstance(frames, list | tuple) and len(frames) == 2 and all(_is_whole(n) for n in frames)
        if not pair or frames[0] > frames[1]:
            raise ProtocolError('"frames" of the job must be the first and the last frame number.', code="FQ322")
        request["frames"] = list(frames)
    if not _is_whole(request["face"]) or request["face"] < 1:
        raise ProtocolError('"face" of the job must be a whole number from 1.', code="FQ322")
    references = request["references"]
    if not isinstance(references, list | tuple) or not all(_is_whole(n) for n in references):
        raise ProtocolError('"references" of the job must be frame numbers.', code="FQ322")
    request["references"] = list(references)
    for name in ("allow_gaps", "mirror", "refine", "preview"):
        if not isinstance(request[name], bool):
            raise ProtocolError(f'"{name}" of the job must be true or false.', code="FQ322")
    if not _is_number(request["exposure"]):
        raise ProtocolError('"exposure" of the job must be a number of stops.', code="FQ322")
    if not _is_number(request["smooth"]) or request["smooth"] < 0:
        raise ProtocolError('"smooth" of the job must be a number from 0.', code="FQ322")
    if request["fps"] is not None and not (_is_number(request["fps"]) and request["fps"] > 0):
        raise ProtocolError('"fps" of the job must be a number above 0.', code="FQ322")
    for name in ("colorspace", "actor"):
        if request[name] is not None and not _is_text(request[name]):
            raise ProtocolError(f'"{name}" of the job must be a name.', code="FQ322")
    if not _is_text(request["weights"]):
        raise ProtocolError('"weights" of the job must be a name.', code="FQ322")
    return {**upgraded, "schema": SCHEMA, "version": VERSION, "request": request}


def check_region(text: str) -> tuple[int | None, tuple[float, float, float, float]]:
    """(frame or None, (x, y, width, height)) of "x,y,w,h" or "frame:x,y,w,h". Raises ProtocolError."""
    head, _, tail = text.rpartition(":")
    try:
        frame = int(head) if head.strip() else None
        x, y, width, height = (float(part) for part in tail.split(","))
    except ValueError:
        raise ProtocolError(f'"{text}" is no region.', "Write x,y,w,h or frame:x,y,w,h in pixels.", "FQ323") from None
    if not all(math.isfinite(v) for v in (x, y, width, height)) or width <= 0 or height <= 0:
        raise ProtocolError(f'The region "{text}" has no size.', code="FQ323")
    return frame, (x, y, width, height)


def read_job(folder: Path | str) -> dict[str, Any]:
    """The job of a folder, validated, with its paths made absolute. Raises ProtocolError naming the file."""
    file = Path(folder) / FILE
    try:
        if file.stat().st_size > _LARGEST:
            raise ProtocolError(f'"{file}" is too large to be a job.', code="FQ320")
        document = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ProtocolError(f'"{folder}" is no job folder.', f"It has no {FILE}.", "FQ324") from None
    except OSError as error:
        raise ProtocolError(f'"{file}" cannot be read ({error.strerror}).', code="FQ324") from None
    except (ValueError, RecursionError):
        raise ProtocolError(f'"{file}" is no JSON.', code="FQ320") from None
    try:
        return _with_paths(validated(document), lambda path: outward(path, folder))
    except ProtocolError as error:
        raise ProtocolError(f'"{file}": {error.cause}', error.next_step, error.code) from None


def write_job(folder: Path | str, document: dict[str, Any]) -> Path:
    """Validate and write a job, its paths relative to the folder where they can be; returns the file's path.

    The folder must exist. Written to a temporary name and renamed. Raises ProtocolError, and OSError for the disk.
    """
    checked = _with_paths(validated(document), lambda path: inward(path, folder))
    file = Path(folder) / FILE
    temporary = file.with_name(f".{FILE}.{os.getpid()}.part")
    try:
        temporary.write_text(json.dumps(checked, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        temporary.replace(file)
    finally:
        temporary.unlink(missing_ok=True)
    return file


def inward(path: str, folder: Path | str) -> str:
    """A path as it is written into a job's folder: relative to it, with "/"; absolute when it is on another drive."""
    try:
        return Path(os.path.relpath(path, folder)).as_posix()
    except ValueError:
        return Path(os.path.abspath(path)).as_posix()


def outward(path: str, folder: Path | str) -> str:
    """The path that `inward` wrote, from where the folder is now."""
    return path if os.path.isabs(path) else os.path.normpath(os.path.join(folder, path))


def inside(path: str, folder: Path | str) -> Path:
    """A path that must lie inside a folder, links followed. Raises ProtocolError when it climbs out."""
    root = Path(folder).resolve()
    try:
        target = (root / path).resolve()
    except (OSError, ValueError, RuntimeError):  # a null character, a loop of links
        raise ProtocolError(f"{path!r} is no path.", code="FQ325") from None
    if target != root and root not in target.parents:
        raise ProtocolError(f'The path "{path}" leads out of the job\'s folder.', code="FQ325")
    return target


def _with_paths(document: dict[str, Any], change: Callable[[str], str]) -> dict[str, Any]:
    request = dict(document["request"])
    for name in ("shots", "cameras"):
        request[name] = [change(path) for path in request[name]]
    # A layout is a name of ours, or a file.
    request["layouts"] = [change(v) if v.endswith(".json") else v for v in request["layouts"]]
    request["actor"] = change(request["actor"]) if request["actor"] is not None else None
    return {**document, "request": request}


def _check_texts(request: dict[str, Any], name: str, least: int = 0) -> None:
    values = request.get(name)
    if not isinstance(values, list | tuple) or len(values) < least or not all(_is_text(v) for v in values):
        some = "a list of at least one text" if least else "a list of texts"
        raise ProtocolError(f'"{name}" of the job must be {some}.', code="FQ322")
    request[name] = list(values)


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip()) and "\0" not in value


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**40


def _is_number(value: Any) -> bool:
    # Compared, not asked of math.isfinite, which a whole number of 400 digits breaks.
    return isinstance(value, int | float) and not isinstance(value, bool) and -1e300 < value < 1e300
