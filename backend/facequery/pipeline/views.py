"""The views of a job: the shots that were given, and the folders of their tracks."""

from pathlib import Path

import numpy as np

from facequery.errors import UserError
from facequery.pipeline.job import JobRequest
from facequery.shots.shot import Shot, open_shot


def open_shots(request: JobRequest) -> list[Shot]:
    """The shots of a request. Raises UserError when several views do not have the same frames."""
    if not request.shots:
        raise UserError("No shot was given.", code="FQ201")
    shots = [
        open_shot(path, request.frames, request.colorspace, request.exposure, request.allow_gaps, request.fps)
        for path in request.shots
    ]
    for shot in shots[1:]:
        if not np.array_equal(shot.frame_numbers, shots[0].frame_numbers):
            raise UserError(
                f'The views "{shots[0].name}" and "{shot.name}" do not have the same frames.',
                "Give a range that all have with --frames.",
                "FQ360",
            )
    return shots


def view_folder(folder: Path, index: int, count: int) -> Path:
    """Where a view's tracks are: the job's folder itself, or view1, view2, ... when there are several."""
    return folder if count == 1 else folder / f"view{index + 1}"
