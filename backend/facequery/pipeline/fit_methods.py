"""What the worker does for a client about fits, see `facequery.worker`."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from facequery.errors import UserError
from facequery.pipeline.params import Params, path, required, texts, value

if TYPE_CHECKING:
    from facequery.worker import Context


def run_fit(params: Params, context: "Context") -> dict[str, Any]:
    """Fit the tracks of the job `params["folder"]` again.

    Optional, as in `facequery.pipeline.fit_stage.FitRequest`: "out" (a folder), "fits", "cameras" (files or "solve"),
    "actor" (a file, "" for none), "corrections" (a document), "frames" [first, last], "points", "settings" (by name),
    "meshes" (files), "preview". Returns {"folder", "files", "notes", "summary" (lines for the user), "quality" (as
    fit.json)}. Raises UserError.
    """
    from facequery.pipeline.fit_stage import FitRequest
    from facequery.pipeline.fit_stage import run_fit as run_stage

    frames = params.get("frames")
    if frames is not None and not (
        isinstance(frames, list) and len(frames) == 2 and all(type(f) is int for f in frames) and frames[0] <= frames[1]
    ):
        raise UserError('"frames" of fit.run must be the first and the last frame number.', code="FQ391")
    request = FitRequest(
        fits=texts(params, "fits"),
        cameras=texts(params, "cameras"),
        actor=value(params, "actor", str),
        corrections=value(params, "corrections", dict),
        frames=(frames[0], frames[1]) if frames else None,
        points=value(params, "points", str) or "fit",
        settings=value(params, "settings", dict, {}),
        meshes=tuple(map(Path, texts(params, "meshes"))),
        preview=value(params, "preview", bool),
    )
    result = run_stage([Path(required(params, "folder"))], request, path(params, "out"), context.progress)
    assert result.fit is not None
    return {
        "folder": str(result.folder),
        "files": [file.relative_to(result.folder).as_posix() for file in result.files],
        "notes": result.notes,
        "summary": result.fit.quality.summary(),
        "quality": result.fit.quality.to_dict(),
    }
