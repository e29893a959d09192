"""PC2 point cache of the fitted face, with the mesh that it moves as .obj beside it.

"POINTCACHE2" and a zero byte, then little-endian: int32 version 1, int32 points, float32 first frame, float32 frames a
sample (1), int32 samples; then float32 x, y, z of every point of every sample. Positions are in metres on the stage of
`facequery.export.stage` (y up, camera at the origin looking along -z, unless the camera came with a pose). One sample a
frame: frames missing from the plate repeat the one before, for the format knows no gaps. The first frame's number is in
the header. No pixels. The .obj has the same vertices in the same order, quads, texture coordinates, and the shape of
the person without expression.
"""

import struct
from pathlib import Path

import numpy as np

from facequery.export.files import whole_file
from facequery.export.mesh import FaceMesh, face_mesh
from facequery.export.source import Source
from facequery.export.stage import stage_of


def targets(source: Source, path: Path) -> list[Path]:
    """The cache, and the mesh beside it."""
    return [path, path.with_suffix(".obj")]


def write(source: Source, path: Path) -> list[Path]:
    """Write the .pc2 and the .obj. Raises UserError when the job has no fitted face or no camera."""
    face, stage = source.need_face(), stage_of(source)
    samples = sample_rows(source.frames)
    with whole_file(path) as temporary, open(temporary, "wb") as file:
        head = struct.pack("<iiffi", 1, face.vertices.shape[1], float(source.frames[0]), 1.0, len(samples))
        file.write(b"POINTCACHE2\0" + head)
        for done, row in enumerate(samples, 1):
            file.write(stage.points(row, face.vertices[row]).astype("<f4").tobytes())
            if source.report:
                source.report(done, len(samples))
    files = targets(source, path)
    write_obj(files[1], face_mesh(face))
    return files


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
