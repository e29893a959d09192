"""Corrections made in Blender, and the backend's own fit with them."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from synthetic_job import PLATES, write_job


def test_corrections(run_script, tmp_path):
    results, _ = write_job(tmp_path / "shot", PLATES["landscape"])
    printed = run_script("correct.py", results, Path(__file__).parent / "fake_backend.py", tmp_path, sys.executable)
    assert printed.count(" good") == 4, printed
