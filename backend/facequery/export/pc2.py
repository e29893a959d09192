"""PC2 point cache of the fitted face, with the mesh that it moves as .obj beside it.

"POINTCACHE2" and a zero byte, then little-endian: int32 version 1, int32 points, float32 first frame, float32 frames a
sample (1), int32 samples; then float32 x, y, z of every point of every sample. Positions are in metres on the stage of
`facequery.export.stage` (y up, camera at the origin looking along -z, unless the camera came with a pose). One sample a
frame: frames missing from the plate repeat the one before, for the format knows no gaps. The first frame's number is in
the header. No pixels. The .obj has the same vertices in the same order, quads, texture coordinates, and the shape of
the person without expression.
"""

import struct
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from facequery.export.files import whole_file
from facequery.export.mesh import FaceMesh, face_mesh
from facequery.export.source import Report, Source
from facequery.export.stage import stage_of


def targets(source: Source, path: Path) -> list[Path]:
    """The cache, and the mesh beside it."""
    return [path, path.with_suffix(".obj")]


def write(source: Source, path: Path) -> list[Path]:
    """Write the .pc2 and the .obj. Raises UserError when the job has no fitted face or no camera."""
    face, stage = source.need_face(), stage_of(source)
    mesh = face_mesh(face)
    rows = sample_rows(source.frames)
    with whole_file(path) as temporary:
        samples = (stage.points(row, face.vertices[row]) for row in rows)
        write_cache(temporary, face.vertices.shape[1], int(source.frames[0]), samples, len(rows), source.report)
    files = targets(source, path)
    write_obj(files[1], mesh)
    return files


def write_cache(
    path: Path, points: int, first: int, samples: Iterable[NDArray], count: int, report: Report | None = None
) -> None:
    """Write `count` samples (V, 3) of `points` points, the first at frame `first`."""
    with open(path, "wb") as file:
        file.write(b"POINTCACHE2\0" + struct.pack("<iiffi", 1, points, float(first), 1.0, count))
        for done, sample in enumerate(samples, 1):
            file.write(np.ascontiguousarray(sample, "<f4").tobytes())
            if report:
                report(done, count)


def sample_rows(frames: np.ndarray) -> list[int]:
    """The row to take at every number from the first frame to the last: its own, or that of the frame before a gap."""
    numbers = np.arange(frames[0], frames[-1] + 1)
    return (np.searchsorted(frames, numbers, side="right") - 1).tolist()


def write_obj(path: Path, mesh: FaceMesh) -> None:
    """Write a Wavefront .obj: vertices, texture coordinates of every corner, polygons."""
    lines = ["# the face without expression, canonical space, metres", "o face"]
    lines += [f"v {x:.7f} {y:.7f} {z:.7f}" for x, y, z in mesh.neutral]
    st, corner = np.unique(mesh.st, axis=0, return_inverse=True)
    lines += [f"vt {u:.6f} {v:.6f}" for u, v in st]
    corners = [f"{v + 1}/{t + 1}" for v, t in zip(mesh.faces, np.ravel(corner), strict=True)]
    ends = np.cumsum(mesh.counts)
    lines += ["f " + " ".join(corners[end - n : end]) for end, n in zip(ends, mesh.counts, strict=True)]
    with whole_file(path) as temporary:
        temporary.write_text("\n".join(lines) + "\n", encoding="ascii")
