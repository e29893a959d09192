"""What the worker does for a client: methods of (params, context), see `facequery.worker`."""

from typing import TYPE_CHECKING, Any

from facequery.errors import UserError
from facequery.pipeline.params import Params, folder_and_device, required, value

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from facequery.worker import Context


def run_job_folder(params: Params, context: "Context") -> dict[str, Any]:
    """Do, or go on with, the job of `params["folder"]` on `params["device"]` ("auto").

    Returns the folder, its result files relative to it, and notes for the user. Cancelling leaves what is finished, so
    that the same call goes on from there. Raises UserError.
    """
    from facequery.pipeline.job import load_request
    from facequery.pipeline.run import run_job

    folder, device = folder_and_device(params)
    result = run_job(load_request(folder), folder, context.progress, device)
    files = [path.relative_to(result.folder).as_posix() for path in result.files]
    return {"folder": str(result.folder), "files": files, "notes": result.notes}


def about(params: Params, context: "Context") -> dict[str, Any]:
    """What computes here: `device`, its name `device_title`, the version of PyTorch, and the weights.

    `weights` is a list of {"name", "licence", "parameters"} of the files that ship.
    """
    import torch

    from facequery.assets import asset
    from facequery.detection.devices import pick_device
    from facequery.models.weights import load_weights

    device = pick_device("auto")
    title = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type.upper()
    cards = {path.stem: load_weights(path)[1] for path in sorted(asset("weights").glob("*.safetensors"))}
    weights = [
        {"name": name, "licence": str(card.get("licence", "")), "parameters": card.get("parameters")}
        for name, card in cards.items()
    ]
    return {"device": str(device), "device_title": title, "torch": torch.__version__, "weights": weights}


def sample_volume(params: Params, context: "Context") -> dict[str, Any]:
    """Points in the soft tissue between the skin and the bone points in two .npy files (N, 3), canonical metres.

    `params`: "skin" and "bone", the files; "rounds" from 1 to 4; "out", the .npy file that gets the points (M, 3).
    Returns {"count": M}. Raises UserError.
    """
    import numpy as np

    from facequery.head.model import HeadModel
    from facequery.head.sampling import volume_delaunay

    rounds = value(params, "rounds", int, 1)
    if not 1 <= rounds <= 4:
        raise UserError('"rounds" of sample.volume must be a whole number from 1 to 4.', code="FQ391")
    out = required(params, "out")
    skin, bone = (_points(required(params, name)) for name in ("skin", "bone"))
    context.progress("Sample", 0, 1)
    points = volume_delaunay(HeadModel.load(), skin, bone, rounds)
    np.save(out, points.astype(np.float32))
    return {"count": len(points)}


def _points(path: str) -> "NDArray[np.float64]":
    """(N, 3) of an .npy file. Raises UserError."""
    import numpy as np

    from facequery.files import map_array

    try:
        points = np.array(map_array(path), np.float64).reshape(-1, 3)
    except (ValueError, TypeError) as error:
        raise UserError(f'"{path}" holds no points.', code="FQ391") from error
    if not np.isfinite(points).all():
        raise UserError(f'Not all points in "{path}" are numbers.', code="FQ391")
    return points
