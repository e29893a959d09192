"""The extension against a backend that misbehaves: one sentence each, nothing lost, and the next request works."""

import sys
from pathlib import Path

import cv2
import numpy as np

HERE = Path(__file__).parent


def test_every_fault_of_a_backend(run_script, tmp_path, monkeypatch):
    monkeypatch.setenv("REQUESTS", str(tmp_path / "requests.txt"))
    plate = tmp_path / "shot.1001.png"
    cv2.imwrite(str(plate), np.full((360, 640, 3), 90, np.uint8))
    printed = run_script("faults.py", HERE / "faulty_backend.py", plate, tmp_path, sys.executable)
    assert printed.count(" good") == 7, printed
    assert "waits cancel" in (tmp_path / "requests.txt").read_text()
