"""Start Cycles in a process of its own, with a time limit and progress."""

import importlib.util
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from facequery.errors import UserError
from facequery.synthesis.cycles.take import Take

CHILD = "facequery.synthesis.cycles.blender_render"


def available() -> bool:
    """Whether the bpy module is installed."""
    return importlib.util.find_spec("bpy") is not None


def render_take(
    take: Take, out: Path, seconds_per_frame: float = 300.0, progress: Callable[[int, int], None] | None = None
) -> None:
    """Render the frames of `take` that are not in `out` yet, as `out/<number>.png`.

    The process is ended when a frame takes longer than `seconds_per_frame`. Raises UserError when bpy is missing or
    the process fails, with the last line that it wrote.
    """
    if not available():
        raise UserError(
            "Rendering with Cycles needs the bpy module.", 'Install it: pip install "facequery[blender]".', "FQ281"
        )
    with tempfile.TemporaryDirectory(prefix="facequery-take-") as folder:
        take.save(Path(folder))
        process = subprocess.Popen(
            [sys.executable, "-m", CHILD, folder, str(out)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
        last = time.monotonic()
        late = threading.Event()

        def watch() -> None:
            while process.poll() is None:
                if time.monotonic() - last > seconds_per_frame:
                    late.set()
                    process.kill()
                time.sleep(0.5)

        threading.Thread(target=watch, daemon=True).start()
        lines: list[str] = []
        assert process.stdout is not None
        for line in process.stdout:
            lines = [*lines[-20:], line.strip()]
            if line.startswith("FRAME "):
                last = time.monotonic()
                _, done, total, _ = line.split(maxsplit=3)
                if progress is not None:
                    progress(int(done), int(total))
        code = process.wait()
    if late.is_set():
        raise UserError(f"Cycles took more than {seconds_per_frame:.0f} s for a frame.", "Lower the samples.", "FQ282")
    if code != 0:
        told = next((line for line in reversed(lines) if line), "no output")
        raise UserError(f"Cycles ended with code {code}: {told}", "See the lines above it with --verbose.", "FQ283")


def blender_pixels(take: Take, points: np.ndarray, seconds: float = 60.0) -> np.ndarray:
    """Where Blender's own camera puts camera-space points (F, N, 3): pixels (F, N, 2). For checks of the convention."""
    with tempfile.TemporaryDirectory(prefix="facequery-take-") as name:
        folder = Path(name)
        take.save(folder)
        np.save(folder / "check_points.npy", points)
        command = [sys.executable, "-m", CHILD, name, str(folder / "pixels.npy"), "--check"]
        subprocess.run(command, check=True, timeout=seconds, stdout=subprocess.DEVNULL)
        pixels: np.ndarray = np.load(folder / "pixels.npy")
    return pixels
