"""Camera files of other programs become the same camera."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from facequery.errors import UserError
from facequery.pipeline.cameras import camera_at, load_camera
from facequery.pipeline.chan import read_chan


def write(path: Path, rows: Sequence[Sequence[float]]) -> Path:
    path.write_text("# a comment\n" + "\n".join(" ".join(map(str, row)) for row in rows) + "\n\n")
    return path


def test_a_chan_file_moves_turns_and_zooms(tmp_path: Path) -> None:
    """Turned to the left by 90 degrees the camera sees what lies along -x; y is up."""
    rows = [[1001, 1, 2, 3, 0, 0, 0, 90], [1002, 1, 2, 3, 0, 90, 0, 60]]
    camera = camera_at(write(tmp_path / "a.chan", rows), 1920, 1080, 1.0, [1001, 1002])
    np.testing.assert_allclose(camera.fy, [540, 540 * np.sqrt(3)])
    np.testing.assert_allclose(camera.centres, [[1, 2, 3], [1, 2, 3]], atol=1e-12)
    ahead = np.array([[[1, 2, 2.0]], [[0, 2, 3.0]]])
    np.testing.assert_allclose(camera.to_camera(ahead), [[[0, 0, 1]], [[0, 0, 1]]], atol=1e-12)
    above = camera.project(camera.to_camera(ahead + np.array([0, 0.1, 0])))
    assert (above[..., 1] < 540).all()


def test_the_order_of_rotations_is_told(tmp_path: Path) -> None:
    path = write(tmp_path / "a.chan", [[1, 0, 0, 0, 90, 0, 90, 40]])
    first = np.array(read_chan(path, 1080)["rotation"])[0]
    # About z first (what was ahead stays ahead), then about x: the camera looks up.
    np.testing.assert_allclose(first[2], [0, 1, 0], atol=1e-12)
    # About x first (it looks up), then about z: up becomes -x.
    np.testing.assert_allclose(np.array(read_chan(path, 1080, order="XYZ")["rotation"])[0, 2], [-1, 0, 0], atol=1e-12)


def test_anamorphic_pixels_and_units(tmp_path: Path) -> None:
    write(tmp_path / "a.chan", [[1, 100, 0, 0, 0, 0, 0, 90]])
    document = {"schema": "facequery.camera", "version": 1, "width": 1000, "height": 1000, "pixel_aspect": 2.0,
                "chan": "a.chan", "unit": 0.01, "lens": {"model": "division", "coefficients": [0.1, 0]}}  # fmt: skip
    (tmp_path / "c.json").write_text(json.dumps(document))
    camera = load_camera(tmp_path / "c.json")
    np.testing.assert_allclose([camera.fx[0], camera.fy[0]], [250, 500])
    np.testing.assert_allclose(camera.centres[0], [1, 0, 0], atol=1e-12)
    assert camera.lens.model == "division"


def test_a_frame_of_the_shot_must_be_there(tmp_path: Path) -> None:
    path = write(tmp_path / "a.chan", [[k, 0, 0, 0, 0, 0, 0, 40] for k in range(1, 5)])
    assert len(camera_at(path, 100, 100, 1.0, [2, 3])) == 2
    with pytest.raises(UserError, match="no frame 5"):
        camera_at(path, 100, 100, 1.0, [4, 5])


@pytest.mark.parametrize(
    "text",
    ["", "1 2 3\n", "1 0 0 0 0 0 0 x\n", "1 0 0 0 0 0 0 200\n", "1 0 0 0 0 0 0 40\n1 0 0 0 0 0 0 40\n",
     "1 0 0 0 0 0 0 40\n2 0 0 0 0 0 0\n", "1.5 0 0 0 0 0 0 40\n", "1 0 0 0 0 0 0\n"],
)  # fmt: skip
def test_a_broken_chan_file_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.chan").write_text(text)
    with pytest.raises(UserError):
        camera_at(tmp_path / "a.chan", 100, 100, 1.0, [1])
