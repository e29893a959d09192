"""What the worker does with a tracked face for a client: methods of (params, context), see `facequery.worker`."""

from dataclasses import MISSING, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from facequery.errors import UserError
from facequery.pipeline.params import Params, folder_and_device, value

if TYPE_CHECKING:
    from facequery.pipeline.face_shot import FaceShot
    from facequery.worker import Context


def pick_points_in_job(params: Params, context: "Context") -> dict[str, Any]:
    """The points of the head under marks in frames of a job's shot; nothing is tracked.

    `params`: "folder" of the job; "marks", a list of {"frame": file number, "x", "y": plate pixels, "name": text, the
    same for all marks of one point}; "view" (1), "device" ("auto"). Returns {"points": [{"name", "id", "kind",
    "position": [x, y, z] canonical metres, "triangle", "barycentric", "offset"}], "marks": [{"name", "frame",
    "residual": px, "sigma": px}], "notes": [...]}. The shot stays loaded for the next call. Raises UserError.
    """
    from facequery.pipeline.pick import PlateMark, pick_in_shot, pick_notes

    marks = []
    for mark in value(params, "marks", list, []):
        try:
            marks.append(PlateMark(str(mark["name"]), int(mark["frame"]), (float(mark["x"]), float(mark["y"]))))
        except (TypeError, KeyError, ValueError):
            raise UserError('A mark needs "name", "frame", "x" and "y".', code="FQ391") from None
    if not marks:
        raise UserError("No points were marked.", "Mark one in the picture.", "FQ606")
    seen = _seen(params, context)
    context.check()
    picks = pick_in_shot(seen, marks)
    q = picks.queries
    points = [
        {
            "name": q.names[i],
            "id": q.ids[i],
            "kind": q.kinds[i],
            "position": q.positions[i].tolist(),
            "triangle": int(q.triangle[i]),
            "barycentric": q.bary[i].tolist(),
            "offset": q.offset[i].tolist(),
        }
        for i in range(len(q))
    ]
    told = [
        {"name": m.name, "frame": m.frame, "residual": float(r), "sigma": float(s)}
        for m, r, s in zip(marks, picks.residual, picks.sigma, strict=True)
    ]
    return {"points": points, "marks": told, "notes": pick_notes(seen, picks, marks)}


def refine_job(params: Params, context: "Context") -> dict[str, Any]:
    """Refine a job's shot at the plate's resolution, so that what asks for it later finds it made.

    `params`: "folder"; "anchor": frame number whose landmarks are exact, or null; "references": frame numbers, or null;
    "view", "device". Returns {"references": frame numbers, "found": share of patches found per frame}.
    """
    from facequery.pipeline.lock import job_lock
    from facequery.pipeline.refine import reference_frames, shot_refinement

    seen = _seen(params, context)
    anchor, numbers = params.get("anchor"), value(params, "references", list)
    chosen = reference_frames(seen, numbers) if numbers else None
    index = None if anchor is None else reference_frames(seen, [anchor])[0]
    with job_lock(seen.folder):
        made = shot_refinement(seen, index, chosen, context.progress)
    found = [float((row > 0).mean()) for row in made.score]
    return {"references": [int(seen.shot.frame_numbers[r]) for r in made.references], "found": found}


def segment_job(params: Params, context: "Context") -> dict[str, Any]:
    """Mattes of a job's shot. `params`: "folder", "device", and what SegmentRequest has, by its names ("regions" a list
    of names and files, "suffix", "ids", "cut", "refine", "fit", "name", "overwrite"). Returns {"files", "folder"}."""
    from facequery.pipeline.job import load_request
    from facequery.pipeline.segment import SegmentRequest, run_segment

    folder, device, wanted = _wanted(params, SegmentRequest)
    files = run_segment(load_request(folder), folder, wanted, context.progress, device)
    return {"folder": str(folder / wanted.name), "files": [str(file) for file in files]}


def project_job(params: Params, context: "Context") -> dict[str, Any]:
    """A texture, decal or print on a job's shot. `params`: "folder", "device", and what ProjectRequest has, by name
    ("picture", "at" [x, y] or null, "frame", "width", "rotation", "space", "blend", "shutter", "cut", "refine", "fit",
    "name", "overwrite"). Returns {"files", "folder"}."""
    from facequery.pipeline.job import load_request
    from facequery.pipeline.project import ProjectRequest, run_project

    folder, device, wanted = _wanted(params, ProjectRequest)
    files = run_project(load_request(folder), folder, wanted, context.progress, device)
    return {"folder": str(folder / wanted.name), "files": [str(file) for file in files]}


def _wanted(params: Params, kind: type) -> tuple[Path, str, Any]:
    """The folder, the device and the settings (an object of the dataclass `kind`) of a request's parameters."""
    folder, device = folder_and_device(params)
    names = {field.name: field for field in fields(kind)}
    given = {name: one for name, one in params.items() if name not in ("folder", "device")}
    unknown = sorted(given.keys() - names.keys())
    if unknown:
        raise UserError(f'There is no setting "{unknown[0]}".', f"Settings: {', '.join(names)}.", "FQ391")
    given = {name: tuple(one) if isinstance(one, list) else one for name, one in given.items()}
    for name, one in given.items():
        default = names[name].default
        number = isinstance(default, float) and isinstance(one, int | float) and not isinstance(one, bool)
        if default is not MISSING and default is not None and not number and not isinstance(one, type(default)):
            raise UserError(f'The setting "{name}" has a value of the wrong kind.', code="FQ391")
    try:
        return folder, device, kind(**given)
    except TypeError as error:
        raise UserError(f"A setting is missing ({error}).", code="FQ391") from None


def _seen(params: Params, context: "Context") -> "FaceShot":
    """The job's shot with its face found; the last few stay loaded."""
    from facequery.models.weights import weights_version
    from facequery.pipeline.face_shot import load_face_shot
    from facequery.pipeline.job import load_request

    (folder, device), view = folder_and_device(params), value(params, "view", int, 1)
    request = load_request(folder)
    if not 1 <= view <= len(request.shots):
        raise UserError(f"The job has no view {view}.", f"It has {len(request.shots)}.", "FQ507")
    key = (folder, device, view, request, weights_version(request.weights), weights_version("finder"))
    if key not in _LOADED:
        while len(_LOADED) >= _MOST_LOADED:
            del _LOADED[next(iter(_LOADED))]
        _LOADED[key] = load_face_shot(request, folder, context.progress, device, view - 1)
    return _LOADED[key]


_MOST_LOADED = 2
_LOADED: dict[Any, Any] = {}
