"""A job's folder: what it was asked for, so that it can be gone on with, and only with the same request."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from facequery_protocol import job as documents
from facequery_protocol.errors import ProtocolError

from facequery import __version__
from facequery.errors import UserError


@dataclass(frozen=True)
class JobRequest:
    """What `facequery track` is asked for: the request of a job document (facequery_protocol.job)."""

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
    mirror: bool = False  # see every picture mirrored too: a little better, at twice the time
    smooth: float = 0.0  # strength of the smoother; 0: tracks are what the detector saw
    refine: bool = False  # align to the plate at its own resolution
    references: tuple[int, ...] = ()  # frames that it compares with; none: it chooses
    preview: bool = True


def open_job(folder: Path, request: JobRequest) -> None:
    """Make a job's folder, or check that the one that is there is the same job.

    Raises UserError when it holds another job, or cannot be written to.
    """
    if (folder / documents.FILE).is_file():
        old, new = asdict(load_request(folder)), asdict(_absolute(request, folder))
        changed = sorted(name for name in new if old[name] != new[name])
        if changed:
            raise UserError(
                f'"{folder}" holds another job (it differs in {", ".join(changed)}).',
                "Give another --out, or the same settings to go on with it.",
                "FQ370",
            )
        return
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        try:
            documents.write_job(folder, _document(request))
        except ProtocolError as error:
            raise UserError(error.cause, error.next_step, error.code) from error


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """For a block that makes a folder or writes into it. Raises UserError where that cannot be; that the disk is full
    stays an OSError."""
    if folder.exists() and not folder.is_dir():
        raise UserError(f'"{folder}" is a file, not a folder.', "Give another --out.", "FQ371")
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise
        why = f" ({error.strerror})" if error.strerror else ""
        raise UserError(f'"{folder}" cannot be written to{why}.', "Give another --out.", "FQ371") from error


def load_request(folder: Path) -> JobRequest:
    """The request of a job's folder, with paths as seen from here. Raises UserError when there is none."""
    try:
        document = documents.read_job(folder)
    except ProtocolError as error:
        raise UserError(error.cause, error.next_step, error.code) from error
    return _request(document)


def _document(request: JobRequest) -> dict[str, Any]:
    return {
        "schema": documents.SCHEMA,
        "version": documents.VERSION,
        "facequery": __version__,
        "request": asdict(request),
    }


def _request(document: dict[str, Any]) -> JobRequest:
    given = document["request"]
    values: dict[str, Any] = {field.name: given[field.name] for field in fields(JobRequest)}
    for name, value in values.items():
        values[name] = tuple(value) if isinstance(value, list) else value
    return JobRequest(**values)


def _absolute(request: JobRequest, folder: Path) -> JobRequest:
    """The request as it reads once it was written into the folder and read back."""

    def way(path: str) -> str:
        return documents.outward(documents.inward(path, folder), folder)

    try:
        values = asdict(_request(documents.validated(_document(request))))
    except ProtocolError as error:
        raise UserError(error.cause, error.next_step, error.code) from error
    values["shots"] = tuple(way(path) for path in request.shots)
    values["cameras"] = tuple(way(path) for path in request.cameras)
    values["layouts"] = tuple(way(v) if v.endswith(".json") else v for v in request.layouts)
    values["actor"] = way(request.actor) if request.actor else None
    return JobRequest(**values)
