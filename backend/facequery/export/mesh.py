"""The face's mesh for exports: faces and texture coordinates of the head in the order of a fit's vertices."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facequery.errors import UserError
from facequery.fitting.output import FACE_PARTS
from facequery.fitting.results import FaceFit
from facequery.head.model import HeadModel


@dataclass(frozen=True, eq=False)
class FaceMesh:
    """`faces`: corners of every polygon one after the other, `counts` how many each has (4 or 3); `st` (corners, 2)
    texture coordinates of every corner, v up; `neutral` (V, 3) the person without expression, canonical metres;
    `head_index` (V,) each vertex's index in the head's own arrays."""

    counts: NDArray[np.int32]
    faces: NDArray[np.int32]
    st: NDArray[np.float32]
    neutral: NDArray[np.float64]
    head_index: NDArray[np.int64]


def face_mesh(face: FaceFit, model: HeadModel | None = None) -> FaceMesh:
    """The mesh of a fit. Raises UserError when it was made with a head of other vertices."""
    head = model or HeadModel.load()
    index = np.concatenate([np.arange(len(head.rest))[head.parts[p].vertices] for p in FACE_PARTS])
    if face.vertices.shape[1] != len(index):
        raise UserError("The fit was made with another head than this FaceQuery's.", "Fit the shot again.", "FQ509")
    place = np.full(len(head.rest), -1, np.int64)
    place[index] = np.arange(len(index))
    wanted = [quad for part in FACE_PARTS for quad in range(*head.parts[part].quads.indices(len(head.quads)))]
    quads, uv = head.quads[wanted], head.quads_uv[wanted]
    there = quads >= 0
    offsets = face.offsets if len(face.offsets) == len(head.rest) else np.zeros_like(head.rest)
    return FaceMesh(
        counts=there.sum(axis=1).astype(np.int32),
        faces=place[quads[there]].astype(np.int32),
        st=head.uv[uv[there]].astype(np.float32),
        neutral=(head.vertices(face.identity) + offsets)[index].astype(np.float64),
        head_index=index,
    )
