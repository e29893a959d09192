"""Fixtures of several folders: stand-ins for the networks, and picture sequences that they can track."""

import os
from pathlib import Path

import pytest

# Read when the libraries load, here and in the processes that tests start. Tests run in several processes side by side;
# with as many threads in each as there are cores, the threads would spend most of the time waiting for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture
def networks(monkeypatch):
    """Stand-ins for both networks; see dot_face."""
    from dot_face import DotDetector, DotFinder
    from facequery.detection.detector import Detector
    from facequery.detection.finder import FaceFinder

    monkeypatch.setattr(Detector, "from_pretrained", classmethod(lambda cls, *a, **k: DotDetector()))
    monkeypatch.setattr(FaceFinder, "from_pretrained", classmethod(lambda cls, *a, **k: DotFinder()))


@pytest.fixture
def sequence(tmp_path):
    """Writes a numbered sequence of dot faces into tmp_path/plate; returns its pattern."""
    import cv2
    from dot_face import draw

    def write(count: int = 12, first: int = 1001, width: int = 320, height: int = 240, aspect: float = 1.0, **kwargs):
        folder = tmp_path / "plate"
        folder.mkdir(exist_ok=True)
        for t in range(count):
            picture = draw(t, width, height, aspect, **kwargs)
            cv2.imwrite(str(folder / f"shot.{first + t:04d}.png"), picture[..., ::-1])
        return str(folder / "shot.####.png")

    return write


@pytest.fixture
def job(tmp_path) -> Path:
    """Where a job may go; not there yet."""
    return tmp_path / "job"
