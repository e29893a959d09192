"""Tracks with everything that an export has to get right: start 1001, a gap, 23.976 fps, squeezed pixels, a lens, a
frame without the face, points that are hidden, off screen, of the same name, and with names that formats dislike."""

import numpy as np
from facequery.detection.tracks import Tracks
from facequery.export.source import Source, source_from_tracks
from facequery.geometry.cameras import Camera
from facequery.geometry.lens import Lens
from facequery.head.queries import QuerySet

FRAMES = np.array([1001, 1002, 1003, 1004, 1006])
WIDTH, HEIGHT, ASPECT, FPS = 1828, 1556, 2.0, 24000 / 1001
NAMES = ("nose tip", "brow", "brow", 'odd "name" {x}', "Kante ü", "never")


def tracks() -> Tracks:
    count = len(NAMES)
    base = np.array([[900.25, 700.5], [300, 200], [1500, 250], [800, 1400], [1820, 20], [50, 60]], np.float64)
    xy = (base + np.arange(len(FRAMES))[:, None, None] * [1.5, -2.25]).astype(np.float32)
    sigma = np.linspace(0.5, 2.0, len(FRAMES) * count).reshape(len(FRAMES), count).astype(np.float32)
    visible = np.ones((len(FRAMES), count), np.float32)
    visible[1, 1] = 0.1  # hidden
    visible[:, 5] = 0.2  # never seen
    xy[4, 4] = (1835.0, 11.0)  # off screen
    xy[3], sigma[3], visible[3] = np.nan, np.nan, 0  # no face
    zeros = np.zeros((count, 3), np.float32)
    queries = QuerySet(
        zeros, tuple(f"p.{i}" for i in range(count)), NAMES, ("a",) * count, ("skin",) * count,
        np.full(count, -1, np.int32), zeros, zeros,
    )  # fmt: skip
    return Tracks(xy, sigma, visible, FRAMES, queries, {"all": (0, count)}, WIDTH, HEIGHT, FPS, ASPECT)


def camera() -> Camera:
    lens = Lens("brown", np.array([-0.12, 0.03, 0, 0, 0.001, -0.002]))
    return Camera(WIDTH, HEIGHT, 1500.0, 3000.0, 930.0, 760.0, ASPECT, lens)  # type: ignore[arg-type]


def source(**kwargs) -> Source:
    return source_from_tracks("plate", tracks(), camera(), **kwargs)


# What the formats that leave hidden points out must hold: point, frame.
SEEN = {
    0: [1001, 1002, 1003, 1006],
    1: [1001, 1003, 1006],
    2: [1001, 1002, 1003, 1006],
    3: [1001, 1002, 1003, 1006],
    4: [1001, 1002, 1003],
}


def expected(point: int, frame: int, undistorted: bool = False) -> np.ndarray:
    """FaceQuery's pixels of a point in a frame."""
    xy = tracks().xy.astype(np.float64)
    if undistorted:
        xy = camera().undistort(xy)
    return xy[FRAMES.tolist().index(frame), point]
