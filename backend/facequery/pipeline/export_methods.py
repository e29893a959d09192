"""What the worker does for a client about exports: methods of (params, context), see `facequery.worker`."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from facequery.errors import UserError

if TYPE_CHECKING:
    from facequery.worker import Context


def list_formats(params: dict[str, Any], context: "Context") -> dict[str, Any]:
    """The formats: name, title, suffix, what each needs of a job, whether points may be undistorted."""
    from facequery.export.formats import FORMATS

    names = ("name", "title", "suffix", "needs", "undistorted")
    return {"formats": [{name: getattr(one, name) for name in names} for one in FORMATS]}


def write_export(params: dict[str, Any], context: "Context") -> dict[str, Any]:
    """Export the job of `params["folder"]`: the other parameters are ExportRequest's, `format` alone is required.

    Returns the absolute paths of the files, and notes. Raises UserError; FQ501 when a file is there already.
    """
    from facequery.pipeline.export import export_job

    folder = Path(_text(params, "folder"))
    result = export_job(folder, request_from(params), context.progress, context.log)
    return {"files": [str(path.resolve()) for path in result.files], "notes": result.notes}


def write_stmaps(params: dict[str, Any], context: "Context") -> dict[str, Any]:
    """ST maps of the job of `params["folder"]`: the other parameters are MapRequest's, and "device".

    Returns the absolute paths of the files. Raises UserError; FQ501 when a file is there already.
    """
    from facequery.pipeline.stmap import MapRequest, write_maps

    values: dict[str, Any] = {}
    for name, kind in (("size", int), ("source", str), ("reference", int), ("view", int)):
        values[name] = _of(params, name, kind, getattr(MapRequest, name))
    for name in ("unwrap", "mean", "overwrite"):
        values[name] = _of(params, name, bool, False)
    for name in ("put_back", "out"):
        path = _text(params, name, optional=True)
        values[name] = None if path is None else Path(path)
    directions = _of(params, "directions", list, None)
    if directions is not None:
        values["directions"] = _texts(directions, "directions")
    device = _of(params, "device", str, "auto")
    files = write_maps(Path(_text(params, "folder")), MapRequest(**values), context.progress, context.log, device)
    return {"files": [str(path.resolve()) for path in files]}


def write_job_report(params: dict[str, Any], context: "Context") -> dict[str, Any]:
    """The report of the job of `params["folder"]`, to "out" (null: JOB/report.html); "view", "overwrite".

    Returns its absolute path. Raises UserError; FQ501 when it is there already.
    """
    from facequery.pipeline.report import write_report

    out = _text(params, "out", optional=True)
    view, overwrite = _of(params, "view", int, 1), _of(params, "overwrite", bool, False)
    folder = Path(_text(params, "folder"))
    path = write_report(folder, None if out is None else Path(out), overwrite, view, context.progress)
    return {"files": [str(path.resolve())]}


def request_from(params: dict[str, Any]) -> Any:
    """An ExportRequest from a message. Raises UserError naming what is of the wrong kind."""
    from facequery.pipeline.export import ExportRequest

    values: dict[str, Any] = {"format": _text(params, "format")}
    for name in ("layout", "timecode"):
        values[name] = _text(params, name, optional=True)
    out = _text(params, "out", optional=True)
    values["out"] = None if out is None else Path(out)
    for name in ("undistorted", "keep_hidden", "overwrite"):
        values[name] = _of(params, name, bool, False)
    values["view"], values["start"] = _of(params, "view", int, 1), _of(params, "start", int, None)
    points = _of(params, "points", list, None)
    values["points"] = None if points is None else _texts(points, "points")
    values["quads"] = tuple(_texts(quad, "quads") for quad in _of(params, "quads", list, []))
    return ExportRequest(**values)


def _of(params: dict[str, Any], name: str, kind: type, default: Any) -> Any:
    value = params.get(name)
    if value is None:
        return default
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise UserError(f'"{name}" is of the wrong kind.', code="FQ391")
    return value


def _text(params: dict[str, Any], name: str, optional: bool = False) -> Any:
    value = _of(params, name, str, None)
    if value is None and not optional:
        raise UserError(f'"{name}" is missing.', code="FQ391")
    return value


def _texts(values: Any, name: str) -> tuple[str, ...]:
    if not isinstance(values, list) or not all(isinstance(v, str) for v in values):
        raise UserError(f'"{name}" must be a list of names.', code="FQ391")
    return tuple(values)
