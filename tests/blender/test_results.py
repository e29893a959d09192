"""Results of synthetic jobs, imported into the real bpy module and held against the backend's pixels."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from synthetic_job import LENSES, PLATES, TWO_VIEWS, Plate, write_job


@pytest.mark.parametrize("name", PLATES)
def test_blender_shows_the_backends_pixels(name, run_script, tmp_path):
    folder, truth = write_job(tmp_path / name, PLATES[name])
    everything = ["all"] if name in ("landscape", "lens_and_moving_camera") else []
    printed = run_script("results.py", folder, truth, *everything)
    assert printed.count("good") == (7 if everything else 2), printed


def test_several_views_are_brought_back_each_to_its_clip(run_script, tmp_path):
    folder, truth = write_job(tmp_path / "two", TWO_VIEWS)
    backend = Path(__file__).parent / "fake_backend.py"
    printed = run_script("views.py", folder, truth, backend, tmp_path, sys.executable)
    assert printed.count(" good") == 2, printed


def test_blender_undistorts_the_plate_as_the_backend_does(run_script, tmp_path):
    for name, lens in LENSES.items():
        write_job(tmp_path / name, Plate(640, 400, pixel_aspect=1.5, off_centre=(0.04, -0.03), lens=lens))
    assert run_script("lenses.py", tmp_path, *LENSES).count(" good") == len(LENSES)
