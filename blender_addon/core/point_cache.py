"""PC2, the point cache that Blender's Mesh Cache modifier and other applications read."""

import os
import struct
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


def write_pc2(path: Path, vertices: NDArray, start: int) -> None:
    """Write vertices (F, V, 3), one sample per frame from scene frame `start`, under a temporary name and rename."""
    samples, points = vertices.shape[:2]
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with temporary.open("wb") as file:
            file.write(struct.pack("<12siiffi", b"POINTCACHE2", 1, points, float(start), 1.0, samples))
            for sample in vertices:
                file.write(np.ascontiguousarray(sample, "<f4").tobytes())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
