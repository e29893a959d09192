"""What the worker does for a client about exports: methods of (params, context), see `facequery.worker`."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from facequery.pipeline.params import Params, all_texts, folder_and_device, path, required, texts, value

if TYPE_CHECKING:
    from facequery.worker import Context


def list_formats(params: Params, context: "Context") -> dict[str, Any]:
    """The formats: name, title, suffix, what each needs of a job, whether points may be undistorted."""
    from facequery.export.formats import FORMATS

    names = ("name", "title", "suffix", "needs", "undistorted")
    return {"formats": [{name: getattr(one, name) for name in names} for one in FORMATS]}


def write_export(params: Params, context: "Context") -> dict[str, Any]:
    """Export the job of `params["folder"]`: the other parameters are ExportRequest's, `format` alone is required.

    Returns the absolute paths of the files, and notes. Raises UserError; FQ501 when a file is there already.
    """
    from facequery.pipeline.export import export_job

    folder = Path(required(params, "folder"))
    result = export_job(folder, request_from(params), context.progress, context.log)
    return {"files": [str(file.resolve()) for file in result.files], "notes": result.notes}


def write_stmaps(params: Params, context: "Context") -> dict[str, Any]:
    """ST maps of the job of `params["folder"]`: the other parameters are MapRequest's, and "device".

    Returns the absolute paths of the files. Raises UserError; FQ501 when a file is there already.
    """
    from facequery.pipeline.stmap import MapRequest, write_maps

    values: dict[str, Any] = {}
    for name, kind in (("size", int), ("source", str), ("reference", int), ("view", int)):
        values[name] = value(params, name, kind, getattr(MapRequest, name))
    for name in ("unwrap", "mean", "overwrite"):
        values[name] = value(params, name, bool, False)
    for name in ("put_back", "out"):
        values[name] = path(params, name)
    values["directions"] = texts(params, "directions", MapRequest.directions)
    folder, device = folder_and_device(params)
    files = write_maps(folder, MapRequest(**values), context.progress, context.log, device)
    return {"files": [str(file.resolve()) for file in files]}


def write_job_report(params: Params, context: "Context") -> dict[str, Any]:
    """The report of the job of `params["folder"]`, to "out" (null: JOB/report.html); "view", "overwrite".

    Returns its absolute path. Raises UserError; FQ501 when it is there already.
    """
    from facequery.pipeline.report import write_report

    view, overwrite = value(params, "view", int, 1), value(params, "overwrite", bool, False)
    folder = Path(required(params, "folder"))
    file = write_report(folder, path(params, "out"), overwrite, view, context.progress)
    return {"files": [str(file.resolve())]}


def request_from(params: Params) -> Any:
    """An ExportRequest from a message. Raises UserError naming what is of the wrong kind."""
    from facequery.pipeline.export import ExportRequest

    values: dict[str, Any] = {"format": required(params, "format"), "out": path(params, "out")}
    for name in ("layout", "timecode"):
        values[name] = value(params, name, str)
    for name in ("undistorted", "keep_hidden", "overwrite"):
        values[name] = value(params, name, bool, False)
    values["view"], values["start"] = value(params, "view", int, 1), value(params, "start", int)
    values["points"] = texts(params, "points", None)
    values["quads"] = tuple(all_texts(quad, "quads") for quad in value(params, "quads", list, []))
    return ExportRequest(**values)
