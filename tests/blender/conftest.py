"""Every test runs a script in a Python of its own with the bpy module, under a time limit.

bpy has one global state, and a crash or a hang of it must not take the tests along. FACEQUERY_BLENDER_PYTHON may name
another Python whose bpy module is to be tested, such as that of Blender 4.2 or 5.0.
"""

import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = Path(__file__).parent / "scripts"

PYTHON = os.environ.get("FACEQUERY_BLENDER_PYTHON", sys.executable)

RunScript = Callable[..., str]


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "no_bpy: a test of the extension that needs no bpy module")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if sys.executable == PYTHON and importlib.util.find_spec("bpy") is None:
        skip = pytest.mark.skip(reason="the bpy module is not installed")
        for item in items:
            if Path(__file__).parent in item.path.parents and item.get_closest_marker("no_bpy") is None:
                item.add_marker(skip)


@pytest.fixture(scope="session")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The extension's zip, built by Blender's own tool; its repository index lies beside it."""
    sys.path.insert(0, str(ROOT))
    from tools.build_extension import build

    return build(tmp_path_factory.mktemp("extension"))


@pytest.fixture
def run_script(tmp_path: Path) -> RunScript:
    """Run scripts/NAME with arguments; returns what it printed. It fails the test when the script fails."""

    def run(name: str, *arguments: object, timeout: float = 600.0, checkout: bool = True) -> str:
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("BLENDER_", "PYTHON"))}
        environment["PYTHONPATH"] = str(ROOT) if checkout else ""
        environment["BLENDER_USER_RESOURCES"] = str(tmp_path / "blender_user")
        environment["XDG_CONFIG_HOME"] = str(tmp_path / "config")
        environment["PYTHONDONTWRITEBYTECODE"] = "1"
        command = [PYTHON, str(SCRIPTS / name), *map(str, arguments)]
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=timeout, env=environment, cwd=tmp_path, check=False
        )
        if done.returncode != 0:
            pytest.fail(f"{name} ended with {done.returncode}\n{done.stdout[-4000:]}\n{done.stderr[-6000:]}")
        return done.stdout

    return run
