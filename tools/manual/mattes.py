"""The picture of the mattes: the standard regions on a frame of the sample shot, each in a colour of its own."""

from pathlib import Path
from typing import Final

import numpy as np
from facequery.apps.edges import HeadZones, follow_edges
from facequery.apps.mattes import face_mattes
from facequery.apps.regions import standard_regions
from facequery.pipeline.face_shot import load_face_shot
from facequery.pipeline.job import JobRequest
from numpy.typing import NDArray

_COLOURS: Final = (
    (250, 160, 60), (60, 220, 60), (40, 40, 255), (255, 255, 255), (255, 60, 60), (255, 0, 255), (255, 255, 0),
    (128, 128, 0),
)  # fmt: skip


def picture(request: JobRequest, job: Path, frame: int, window: tuple[slice, slice]) -> NDArray[np.uint8]:
    """Rows and columns `window` of a job's shot at a frame (file number) under its mattes, twice, RGB.

    On the left as the landmarks alone have them, on the right as they end in the picture.
    """
    seen = load_face_shot(request, job)
    index = seen.shot.index_of(frame)
    plate, face = seen.shot.display(index), seen.source().face(index)
    assert face is not None
    head = seen.head
    regions = standard_regions(head.model, head.count)
    by_landmarks = face_mattes(face, head.model, regions, seen.shot.width, seen.shot.height)
    zones = HeadZones.of(head.model, head.triangles, head.count)
    panels = [by_landmarks, follow_edges(by_landmarks, regions, plate, face, zones)]
    return np.hstack([_coloured(plate, mattes)[window] for mattes in panels])


def _coloured(plate: NDArray, mattes: NDArray) -> NDArray[np.uint8]:
    shown = plate.astype(np.float32)
    for matte, colour in zip(mattes, _COLOURS, strict=True):
        shown += 0.55 * matte[..., None] * (np.array(colour, np.float32) - shown)
    return shown.clip(0, 255).astype(np.uint8)
