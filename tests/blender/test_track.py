"""Blender and a backend's process: the whole way of a job, and everything that can go wrong on it."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from synthetic_job import PLATES, write_job


def test_tracking_from_blender(run_script, tmp_path):
    results, _ = write_job(tmp_path / "shot", PLATES["landscape"])
    printed = run_script("track.py", results, Path(__file__).parent / "fake_backend.py", tmp_path, sys.executable)
    assert printed.count(" good") == 8, printed
