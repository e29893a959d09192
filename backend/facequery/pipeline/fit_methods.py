"""What the worker does for a client about fits, see `facequery.worker`."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from facequery.errors import UserError

if TYPE_CHECKING:
    from facequery.worker import Context


def run_fit(params: dict[str, Any], context: "Context") -> dict[str, Any]:
    """Fit the tracks of the job `params["folder"]` again.

    Optional, as in `facequery.pipeline.fit_stage.FitRequest`: "out" (a folder), "fits", "cameras" (files or "solve"),
    "actor" (a file, "" for none), "corrections" (a document), "frames" [first, last], "points", "settings" (by name),
    "meshes" (files), "preview". Returns {"folder", "files", "notes", "summary" (lines for the user), "quality" (as
    fit.json)}. Raises UserError.
    """
    from facequery.pipeline.fit_stage import FitRequest
    from facequery.pipeline.fit_stage import run_fit as run_stage

    folder, out = params.get("folder"), params.get("out")
    if not isinstance(folder, str) or not (out is None or isinstance(out, str)):
        raise UserError('"folder" and "out" of fit.run must be texts.', code="FQ391")
    frames = params.get("frames")
    if frames is not None and not (
        isinstance(frames, list) and len(frames) == 2 and all(type(f) is int for f in frames) and frames[0] <= frames[1]
    ):
        raise UserError('"frames" of fit.run must be the first and the last frame number.', code="FQ391")
    for name, kind in (("actor", str), ("corrections", dict), ("preview", bool), ("points", str), ("settings", dict)):
        if params.get(name) is not None and not isinstance(params[name], kind):
            raise UserError(f'"{name}" of fit.run has the wrong form.', code="FQ391")
    request = FitRequest(
        fits=_texts(params, "fits"),
        cameras=_texts(params, "cameras"),
        actor=params.get("actor"),
        corrections=params.get("corrections"),
        frames=(frames[0], frames[1]) if frames else None,
        points=params.get("points") or "fit",
        settings=params.get("settings") or {},
        meshes=tuple(Path(path) for path in _texts(params, "meshes")),
        preview=params.get("preview"),
    )
    result = run_stage([Path(folder)], request, Path(out) if out else None, context.progress)
    assert result.fit is not None
    return {
        "folder": str(result.folder),
        "files": [path.relative_to(result.folder).as_posix() for path in result.files],
        "notes": result.notes,
        "summary": result.fit.quality.summary(),
        "quality": result.fit.quality.to_dict(),
    }


def _texts(params: dict[str, Any], name: str) -> tuple[str, ...]:
    values = params.get(name) or []
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise UserError(f'"{name}" of fit.run must be a list of texts.', code="FQ391")
    return tuple(values)
