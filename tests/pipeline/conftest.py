from pathlib import Path

import cv2
import pytest
from dot_face import DotDetector, DotFinder, draw
from facequery.detection.detector import Detector
from facequery.detection.finder import FaceFinder


@pytest.fixture
def networks(monkeypatch):
    """Stand-ins for both networks."""
    monkeypatch.setattr(Detector, "from_pretrained", classmethod(lambda cls, *a, **k: DotDetector()))
    monkeypatch.setattr(FaceFinder, "from_pretrained", classmethod(lambda cls, *a, **k: DotFinder()))


@pytest.fixture
def sequence(tmp_path):
    """Writes a numbered sequence of dot faces; returns its pattern."""

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
    return tmp_path / "job"
