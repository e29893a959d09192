"""The whole job of an artist: the extension from its zip, the backend from its wheel, the checkout out of reach."""

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from facequery_protocol.registry import write_registry

ROOT = Path(__file__).resolve().parents[2]
_BACKEND = """
import sys
sys.path[:] = [SITE, *(p for p in sys.path if not p.startswith(ROOT) or ".venv" in p)]
import facequery
assert facequery.__file__.startswith(SITE), facequery.__file__
from facequery.cli import main
main()
"""


@pytest.fixture
def backend(tmp_path: Path) -> Path:
    """A program that is the backend, out of its wheel alone."""
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", str(tmp_path)]
    subprocess.run([*command, str(ROOT)], check=True, timeout=300)
    site = tmp_path / "site"
    with zipfile.ZipFile(next(tmp_path.glob("facequery-*.whl"))) as wheel:
        wheel.extractall(site)
    program = tmp_path / "backend.py"
    program.write_text(f"SITE, ROOT = {str(site)!r}, {str(ROOT)!r}\n{_BACKEND}", encoding="utf-8")
    return program


def test_from_an_empty_file_to_an_export(package, backend, run_script, tmp_path):
    write_registry([sys.executable, str(backend)], "0.1.0", tmp_path / "config" / "facequery" / "backend.json")
    plate = tmp_path / "plate"
    plate.mkdir()
    for picture in sorted((ROOT / "assets" / "sample" / "plate").glob("*.jpg"))[:6]:
        shutil.copy(picture, plate)
    first = plate / "shot.1001.jpg"
    module = "bl_ext.test_repo.facequery"
    printed = run_script("whole_job.py", tmp_path, first, module, package, timeout=900, checkout=False)
    assert printed.count(" good") == 7, printed
