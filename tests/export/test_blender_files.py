"""Alembic and FBX, written by one Blender and read by another."""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from facequery.errors import UserError
from facequery.export.blender_files import blender_command
from facequery.pipeline.export import ExportRequest, export_job, job_source

sys.path.insert(0, str(Path(__file__).parents[1] / "blender"))
from synthetic_job import FIRST, FRAMES, PLATES, write_job

needs_bpy = pytest.mark.skipif(find_spec("bpy") is None, reason="bpy is not installed")


@pytest.fixture(scope="module")
def job(tmp_path_factory) -> Path:
    folder, _ = write_job(tmp_path_factory.mktemp("files") / "a shot", PLATES["anamorphic"])
    return folder


def read(path: Path) -> dict:
    out = path.with_suffix(".npz")
    script = str(Path(__file__).with_name("read_in_blender.py"))
    arguments = [sys.executable, script, str(path), str(out), str(FIRST), str(FIRST + FRAMES - 1)]
    done = subprocess.run(arguments, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    with np.load(out) as file:
        return {name: file[name] for name in file.files}


def blender(points: np.ndarray) -> np.ndarray:
    """OpenCV's camera space as Blender shows an upright stage: x, z forward becomes y, y down becomes -z."""
    return np.stack([points[..., 0], points[..., 2], -points[..., 1]], axis=-1)


def check_parts(found: dict, source) -> None:
    for row, frame in enumerate(range(FIRST, FIRST + FRAMES)):
        for name, part in (("Skull", source.skull), ("Jaw", source.jaw)):
            np.testing.assert_allclose(found[f"{name}_{frame}"], blender(part.placed(row)), atol=2e-5)
        camera = source.camera
        lens, sensor, *_ = found[f"lens_{frame}"]
        assert lens / sensor == pytest.approx(camera.fx[0] / camera.width, rel=1e-4)
        matrix = found[f"Camera_matrix_{frame}"]
        np.testing.assert_allclose(matrix[:3, 3], 0, atol=1e-6)
        looks = -matrix[:3, 2] / np.linalg.norm(matrix[:3, 2])
        np.testing.assert_allclose(looks, [0, 1, 0], atol=1e-5)


@needs_bpy
def test_alembic_holds_the_points_of_the_fit(job, tmp_path):
    export_job(job, ExportRequest("alembic", tmp_path / "a.abc"))
    found = read(tmp_path / "a.abc")
    source: Any = job_source(job, ExportRequest("alembic"))
    assert {"Camera", "Face", "Skull", "Jaw"} <= set(found["objects"].tolist())
    for row, frame in enumerate(range(FIRST, FIRST + FRAMES)):
        np.testing.assert_allclose(found[f"Face_{frame}"], blender(source.face.vertices[row]), atol=2e-5)
    check_parts(found, source)
    shift = found[f"lens_{FIRST}"][2]
    assert shift == pytest.approx(0.5 - source.camera.cx[0] / source.camera.width, abs=2e-3)


@needs_bpy
def test_fbx_drives_arkits_shapes(job, tmp_path):
    export_job(job, ExportRequest("fbx", tmp_path / "a.fbx"))
    found = read(tmp_path / "a.fbx")
    source: Any = job_source(job, ExportRequest("fbx"))
    assert found["names"].tolist() == list(source.face.expression_names)
    for row, frame in enumerate(range(FIRST, FIRST + FRAMES)):
        np.testing.assert_allclose(found[f"weights_{frame}"], source.face.expression[row], atol=1e-4)
    check_parts(found, source)
    # The skin is linear, and exact; a straight line cannot turn the lower teeth, nor an eye.
    skin = slice(0, 10721)
    for row in range(FRAMES):
        error = np.linalg.norm(found[f"Face_{FIRST + row}"] - blender(source.face.vertices[row]), axis=1)
        assert error[skin].max() < 1e-5 and error.max() < 1e-2


def test_no_blender(monkeypatch, tmp_path, job):
    monkeypatch.setenv("FACEQUERY_BLENDER", str(tmp_path / "blender"))
    with pytest.raises(UserError, match="not there"):
        blender_command()
    monkeypatch.delenv("FACEQUERY_BLENDER")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UserError, match="written by Blender"):
        export_job(job, ExportRequest("fbx", tmp_path / "a.fbx"))
    assert not (tmp_path / "a.fbx").exists()


@pytest.mark.skipif(os.name != "posix", reason="a shell script stands in for Blender")
def test_a_blender_that_fails_leaves_no_file_and_its_last_word(monkeypatch, tmp_path, job):
    program = tmp_path / "blender"
    program.write_text("#!/bin/sh\necho 'no display' >&2\necho 'Error: script failed, file: x' >&2\nexit 3\n")
    program.chmod(0o755)
    monkeypatch.setenv("FACEQUERY_BLENDER", str(program))
    with pytest.raises(UserError, match="no display"):
        export_job(job, ExportRequest("alembic", tmp_path / "a.abc"))
    assert [p.name for p in tmp_path.iterdir()] == ["blender"]
