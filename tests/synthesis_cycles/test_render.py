"""Blender agrees with the project about where a point is. Skipped where bpy is not installed."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from facequery.errors import UserError
from facequery.synthesis.cycles.run import available, blender_pixels, render_take
from facequery.synthesis.cycles.take import Take, TakeCamera, TakeMesh

needs_blender = pytest.mark.skipif(not available(), reason="bpy is not installed")


def small_take(sky: Path, points: np.ndarray) -> Take:
    """A white square of 1.5 mm at each of `points` (N, 3), 0.4 m away, before black."""
    cv2.imwrite(str(sky), np.zeros((4, 8, 3), np.float32))
    corner = 0.00075 * np.array([[-1, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0.0]])
    square = (points[:, None] + corner).reshape(1, -1, 3)
    faces = np.arange(4 * len(points), dtype=np.int32).reshape(-1, 4)
    return Take(
        frames=np.array([5]),
        camera=TakeCamera.fixed(96, 72, 260.0, 260.0, 44.3, 39.1),
        meshes=[TakeMesh("squares", square, faces, "white", smooth=False)],
        materials={"white": {"kind": "plain", "color": [0.9, 0.9, 0.9]}},
        lights=[{"position": [0, 0, 0], "target": [0, 0, 0.4], "size": 0.05, "power": 2.0}],
        environment={"light": str(sky), "strength": 0.0},
        output={"samples": 32, "denoise": False, "threads": 1, "view": "Standard"},
    )


@needs_blender
def test_camera_agrees_with_blender(tmp_path: Path) -> None:
    take = small_take(tmp_path / "sky.hdr", np.array([[0, 0, 0.4]]))
    wide = replace(take.camera, fx=np.array([260.0]), fy=np.array([208.0]))  # pixels that are not square
    points = np.random.default_rng(0).uniform([-0.1, -0.1, 0.3], [0.1, 0.1, 2.0], (1, 50, 3))
    for camera in (take.camera, wide):
        expected = points[0, :, :2] / points[0, :, 2:] * [camera.fx[0], camera.fy[0]] + [camera.cx[0], camera.cy[0]]
        pixels = blender_pixels(replace(take, camera=camera), points)[0]
        assert np.abs(pixels - expected).max() < 0.01


@needs_blender
def test_rendered_dots_are_where_they_should_be(tmp_path: Path) -> None:
    points = np.array([[-0.04, -0.03, 0.4], [0.05, 0.02, 0.42], [0.0, 0.0, 0.38]])
    take = small_take(tmp_path / "sky.hdr", points)
    render_take(take, tmp_path / "out", seconds_per_frame=120)
    picture = cv2.imread(str(tmp_path / "out" / "0005.png")).astype(float).mean(-1)
    rows, columns = np.mgrid[:72, :96] + 0.5
    for x, y, z in points:
        u, v = 260 * x / z + 44.3, 260 * y / z + 39.1
        near = np.where(np.hypot(columns - u, rows - v) < 4, picture, 0)
        assert near.max() > 60
        found = np.array([(near * columns).sum(), (near * rows).sum()]) / near.sum()
        assert np.abs(found - [u, v]).max() < 0.3
    # Frames that are there are not rendered again.
    before = (tmp_path / "out" / "0005.png").stat().st_mtime_ns
    render_take(take, tmp_path / "out", seconds_per_frame=120)
    assert (tmp_path / "out" / "0005.png").stat().st_mtime_ns == before


@needs_blender
def test_a_broken_take_is_one_sentence(tmp_path: Path) -> None:
    take = small_take(tmp_path / "sky.hdr", np.array([[0, 0, 0.4]]))
    broken = replace(take, materials={"white": {"kind": "no such kind"}})
    with pytest.raises(UserError, match="Cycles ended"):
        render_take(broken, tmp_path / "out", seconds_per_frame=120)
