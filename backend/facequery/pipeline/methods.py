"""What the worker does for a client: methods of (params, context), see `facequery.worker`."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from facequery.errors import UserError

if TYPE_CHECKING:
    from facequery.worker import Context


def run_job_folder(params: dict[str, Any], context: "Context") -> dict[str, Any]:
    """Do, or go on with, the job of `params["folder"]` on `params["device"]` ("auto").

    Returns the folder, its result files relative to it, and notes for the user. Cancelling leaves what is finished, so
    that the same call goes on from there. Raises UserError.
    """
    from facequery.pipeline.job import load_request
    from facequery.pipeline.run import run_job

    folder, device = params.get("folder"), params.get("device", "auto")
    if not isinstance(folder, str) or not isinstance(device, str):
        raise UserError('"folder" and "device" of job.run must be texts.', code="FQ391")
    result = run_job(load_request(Path(folder)), Path(folder), context.progress, device)
    files = [path.relative_to(result.folder).as_posix() for path in result.files]
    return {"folder": str(result.folder), "files": files, "notes": result.notes}
