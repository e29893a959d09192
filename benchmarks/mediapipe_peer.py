"""MediaPipe's face mesh (0.10.21) on our pictures and films, from an environment of its own."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from facequery.evaluation.annotated import AnnotatedSet
from facequery.evaluation.films import Film
from numpy.typing import NDArray

from tools.label_portraits import environment_python

# MediaPipe's points of the same meaning as the 68 of iBUG
MESH_68 = (
    127, 234, 93, 58, 172, 136, 149, 148, 152, 377, 378, 365, 397, 288, 323, 454, 356,
    70, 63, 105, 66, 107, 336, 296, 334, 293, 300, 168, 197, 5, 4, 98, 97, 2, 326, 327,
    33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380,
    61, 39, 37, 0, 267, 269, 291, 321, 314, 17, 84, 91, 78, 82, 13, 312, 308, 317, 14, 87,
)  # fmt: skip
_PROGRAM = Path(__file__).with_name("mediapipe_program.py")


@dataclass(frozen=True)
class MediaPipe:
    """MediaPipe in `environment`, which is made at the first call. Points come back as the 68 of ibug68, (n, 68, 2)
    pixels, NaN where no face was found at the annotated place, with the median milliseconds of a picture."""

    environment: Path

    def on_pictures(self, chosen: AnnotatedSet) -> tuple[NDArray[np.float64], float]:
        """On whole annotated pictures, and where it finds nothing on a crop of twice the annotated face."""
        boxes = np.concatenate([chosen.points.min(1), chosen.points.max(1)], 1)
        entries = [{"path": str(p), "box": b.tolist(), "again": True} for p, b in zip(chosen.paths, boxes, strict=True)]
        points, _, spent = self._run([[entry] for entry in entries], video=False)
        return points, spent

    def on_images(
        self, images: Iterable[tuple[NDArray[np.uint8], NDArray | None]]
    ) -> tuple[NDArray[np.float64], NDArray[np.int64], float]:
        """On pictures (H, W, 3) with the true points (N, 2) of the face that counts, or None; also how many faces it
        found in each, (n,)."""
        with tempfile.TemporaryDirectory() as folder:
            entries = []
            for index, (image, points) in enumerate(images):
                path = Path(folder) / f"{index:05d}.bmp"  # written in no time
                cv2.imwrite(str(path), np.ascontiguousarray(image[..., ::-1]))
                box = None if points is None else [*points.min(0).tolist(), *points.max(0).tolist()]
                entries.append({"path": str(path), "box": box, "again": False})
            return self._run([[entry] for entry in entries], video=False)

    def on_films(self, films: Sequence[Film], video: bool) -> tuple[list[NDArray[np.float64]], float]:
        """On films, in its image mode or in its video mode; one (F, 68, 2) for each."""
        shots = [
            [
                {"path": str(path), "box": [*truth.min(0).tolist(), *truth.max(0).tolist()], "again": False}
                for path, truth in zip(film.paths, film.truth, strict=True)
            ]
            for film in films
        ]
        points, _, spent = self._run(shots, video)
        return np.split(points, np.cumsum([len(shot) for shot in shots])[:-1]), spent

    def _run(self, shots: list[list[dict[str, Any]]], video: bool) -> tuple[NDArray, NDArray, float]:
        if not video:  # one detector for all
            shots = [[entry for shot in shots for entry in shot]]
        with tempfile.TemporaryDirectory() as folder:
            job, result = Path(folder) / "job.json", Path(folder) / "result.npz"
            job.write_text(json.dumps({"video": video, "shots": shots}))
            command = [environment_python(self.environment), _PROGRAM, job, result]
            subprocess.run(command, check=True, stdout=sys.stderr, stderr=subprocess.DEVNULL)
            with np.load(result) as found:
                return found["points"][:, MESH_68], found["count"], float(found["milliseconds"])
