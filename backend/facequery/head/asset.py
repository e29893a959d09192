"""Reading head.npz and bones.npz: parts concatenated, 16-bit offsets turned back into float32 bases."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from facequery.errors import DAMAGED, UserError

MIRROR = np.array([-1.0, 1.0, 1.0], np.float32)


@dataclass(frozen=True)
class Part:
    """Where a part lies in the head's arrays: slices into vertices, triangles, and quads (empty for bones)."""

    vertices: slice
    triangles: slice
    quads: slice


def read_arrays(path: Path) -> dict[str, NDArray]:
    """All arrays of an .npz file, without pickles. Raises UserError when it cannot be read."""
    try:
        with np.load(path, allow_pickle=False) as data:
            return {name: data[name] for name in data.files}
    except DAMAGED as error:
        raise UserError(
            f'The head file "{path}" cannot be read ({error}).', "Install FaceQuery again.", "FQ101"
        ) from error


def unfolded(stored: NDArray[np.int16], half: NDArray, symmetry: NDArray, step: float) -> NDArray[np.float32]:
    """Whole basis (K, V, 3) in metres of a symmetric one of which only the vertices `half` (H,) are stored.

    The other vertices mirror their partner in `symmetry` (V,): same offset with x reversed.
    """
    values = stored.astype(np.float32) * np.float32(step)
    whole = np.zeros((len(stored), len(symmetry), 3), np.float32)
    whole[:, half] = values
    missing = np.ones(len(symmetry), bool)
    missing[half] = False
    whole[:, missing] = whole[:, symmetry[missing]] * MIRROR
    return whole


def expression_basis(head: dict[str, NDArray], vertices: int) -> NDArray[np.float32]:
    """Expression basis (52, `vertices`, 3) in metres from its sparse form."""
    out = np.zeros((len(head["expression_names"]), vertices, 3), np.float32)
    values = head["expression"].astype(np.float32) * np.float32(head["step"])
    start = 0
    for shape, count in zip(out, head["expression_count"], strict=True):
        shape[head["expression_vertex"][start : start + count]] = values[start : start + count]
        start += count
    return out


def joined_parts(head: dict[str, NDArray], bones: dict[str, NDArray] | None) -> dict[str, Part]:
    """Parts of the head, then of the bones, by name and in the order of their vertices."""
    parts = {}
    vertex_offset = triangle_offset = 0
    for data in (head, bones):
        if data is None:
            continue
        quads = data.get("part_quads", np.zeros((len(data["part_names"]), 2), int))
        for name, v, t, q in zip(data["part_names"], data["part_vertices"], data["part_triangles"], quads, strict=True):
            parts[str(name)] = Part(
                slice(int(v[0]) + vertex_offset, int(v[1]) + vertex_offset),
                slice(int(t[0]) + triangle_offset, int(t[1]) + triangle_offset),
                slice(int(q[0]), int(q[1])),
            )
        vertex_offset += len(data["rest"])
        triangle_offset += len(data["triangles"])
    return parts
