"""Results of synthetic jobs, imported into the real bpy module and held against the backend's pixels."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from synthetic_job import PLATES, write_job


@pytest.mark.parametrize("name", PLATES)
def test_blender_shows_the_backends_pixels(name, run_script, tmp_path):
    folder, truth = write_job(tmp_path / name, PLATES[name])
    everything = ["all"] if name in ("landscape", "lens_and_moving_camera") else []
    printed = run_script("results.py", folder, truth, *everything)
    assert printed.count("good") == (6 if everything else 2), printed
