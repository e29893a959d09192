"""What the worker does with a tracked face for a client: methods of (params, context), see `facequery.worker`."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from facequery.errors import UserError

if TYPE_CHECKING:
    from facequery.pipeline.face_shot import FaceShot
    from facequery.worker import Context


def pick_points_in_job(params: dict[str, Any], context: "Context") -> dict[str, Any]:
    """The points of the head under marks in frames of a job's shot; nothing is tracked.

    `params`: "folder" of the job; "marks", a list of {"frame": file number, "x", "y": plate pixels, "name": text, the
    same for all marks of one point}; "view" (1), "device" ("auto"). Returns {"points": [{"name", "id", "kind",
    "position": [x, y, z] canonical metres, "triangle", "barycentric", "offset"}], "marks": [{"name", "frame",
    "residual": px, "sigma": px}], "notes": [...]}. The shot stays loaded for the next call. Raises UserError.
    """
    from facequery.pipeline.pick import PlateMark, pick_in_shot, pick_notes

    marks = []
    for mark in _list(params, "marks"):
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


def _seen(params: dict[str, Any], context: "Context") -> "FaceShot":
    """The job's shot with its face found; the last few stay loaded."""
    from facequery.pipeline.face_shot import load_face_shot
    from facequery.pipeline.job import load_request

    folder, device, view = params.get("folder"), params.get("device", "auto"), params.get("view", 1)
    if not isinstance(folder, str) or not isinstance(device, str) or not isinstance(view, int):
        raise UserError('"folder" and "device" must be texts, "view" a whole number.', code="FQ391")
    request = load_request(Path(folder))
    key = (folder, device, view, request)
    if key not in _LOADED:
        while len(_LOADED) >= _MOST_LOADED:
            del _LOADED[next(iter(_LOADED))]
        _LOADED[key] = load_face_shot(request, Path(folder), context.progress, device, view - 1)
    return _LOADED[key]


_MOST_LOADED = 2
_LOADED: dict[Any, Any] = {}


def _list(params: dict[str, Any], name: str) -> list[Any]:
    value = params.get(name)
    if not isinstance(value, list):
        raise UserError(f'"{name}" must be a list.', code="FQ391")
    return value
