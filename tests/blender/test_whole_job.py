"""The whole job of an artist, with the backend's real process, on the first frames of the sample shot."""

import sys
from pathlib import Path

from facequery_protocol.registry import write_registry

ROOT = Path(__file__).resolve().parents[2]


def test_from_an_empty_file_to_an_export(run_script, tmp_path):
    write_registry([sys.executable, "-m", "facequery"], "0.1.0", tmp_path / "config" / "facequery" / "backend.json")
    plate = ROOT / "assets" / "sample" / "plate" / "shot.1001.jpg"
    printed = run_script("whole_job.py", tmp_path, plate, "blender_addon", timeout=500)
    assert printed.count(" good") == 6, printed
