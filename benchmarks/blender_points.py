"""How quick the extension is with many points, and how long a pick takes.

    PYTHONPATH=. python -m benchmarks.blender_points [--points N] [--picks N]
    blender --python benchmarks/blender_points.py -- --points N

The first runs in a Python with the bpy module. It measures what an artist waits for: placing one more point among N
(one click, and what its redraw makes for the graphics card), selecting all, moving the head, and saving. `--picks` has
a backend, started as the extension does it, pick N points on the sample shot one after the other.

The second runs in Blender's window, and measures whole frames: redrawing the 3D View as it stands, after placing one
more point, and after moving the head, each without points and with N of them.

Times of Blender are processor time, which a busy machine does not stretch; a software renderer's threads count in it.
Times of picks are those of the clock, from the click to the point on the head, and the backend's processor time.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bpy
import numpy as np

ROOT = Path(__file__).resolve().parents[1]
if str(ROOT) not in sys.path:  # Blender's window runs this as a file
    sys.path.insert(0, str(ROOT))

import blender_addon  # noqa: E402
from blender_addon.core.head_asset import load_head  # noqa: E402
from blender_addon.host import backend, drawing, sampling  # noqa: E402
from blender_addon.host import points as host_points  # noqa: E402
from blender_addon.host.state import scene_state  # noqa: E402


def seconds(action: Callable[[], object], repeats: int = 3) -> float:
    """The least processor time of some repeats."""
    times = []
    for _ in range(repeats):
        start = time.process_time()
        action()
        times.append(time.process_time() - start)
    return min(times)


def add_points(count: int) -> None:
    """Random points all over the skin."""
    rng, skin = np.random.default_rng(0), load_head().parts["skin"].triangles
    triangle = rng.integers(skin.start, skin.stop, count)
    sampling.add_on_triangles(bpy.context.scene, triangle, rng.dirichlet((1, 1, 1), count))


def place() -> None:
    """One click on the cheek."""
    bpy.ops.facequery.place_point(origin=(0.02, -1, 0.03), direction=(0, 1, 0))


def move() -> None:
    """The head as it moves under the mouse."""
    scene_state(bpy.context.scene).head.location.x += 0.001


def arrays() -> None:
    """What a redraw makes for the graphics card."""
    context = bpy.context
    context.view_layer.update()
    obj = scene_state(context.scene).points
    table = host_points.read(obj)
    drawing.point_colors(obj, table)
    drawing.world_positions(obj, table, context.evaluated_depsgraph_get())


def editing(count: int) -> dict[str, float]:
    """What an artist waits for with `count` points, seconds."""
    bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)
    bpy.ops.facequery.add_head()
    add_points(count)
    with tempfile.TemporaryDirectory() as folder:
        return {
            "place one point and redraw": seconds(lambda: (place(), arrays())),
            "select all": seconds(lambda: bpy.ops.facequery.select_points(action="ALL")),
            "move the head and redraw": seconds(lambda: (move(), arrays())),
            "save": seconds(lambda: bpy.ops.wm.save_as_mainfile(filepath=str(Path(folder) / "points.blend"))),
        }


def backend_seconds() -> float:
    """Processor time that the backend has taken, by Linux's account; elsewhere 0."""
    connection = backend._connection
    process = connection._client._process if connection is not None and connection._client is not None else None
    account = Path(f"/proc/{process.pid}/stat") if process is not None else None
    if account is None or not account.is_file():
        return 0.0
    fields = account.read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def picks(count: int) -> dict[str, float]:
    """Picks on the sample shot, one after the other: seconds."""
    bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)
    bpy.ops.facequery.add_head()
    bpy.context.scene.active_clip = bpy.data.movieclips.load(str(ROOT / "assets/sample/plate/shot.1001.jpg"))
    clock, backends = [], []
    for index in range(count + 1):
        start, before = time.monotonic(), backend_seconds()
        bpy.ops.facequery.pick_point(place=(470 + 8 * index, 300))
        clock.append(time.monotonic() - start)
        backends.append(backend_seconds() - before)
    return {
        "first pick: backend started, face found": clock[0],
        "    of which the backend computes": backends[0],
        "each further pick, the slowest": max(clock[1:]),
        "    of which the backend computes, the most": max(backends[1:]),
    }


def frames(count: int) -> None:
    """In Blender's window: whole frames of the 3D View with no points and with `count`; ends Blender."""
    window = bpy.context.window_manager.windows[0]
    area = next(area for area in window.screen.areas if area.type == "VIEW_3D")
    region: Any = next(region for region in area.regions if region.type == "WINDOW")

    def drawn() -> None:
        area.tag_redraw()
        bpy.ops.wm.redraw_timer(type="DRAW_WIN", iterations=1)

    with bpy.context.temp_override(window=window, area=area, region=region):
        bpy.ops.facequery.add_head("INVOKE_DEFAULT")
        drawn()
        rows = {"without points": seconds(drawn)}
        add_points(count)
        drawn()
        rows["as it stands"] = seconds(drawn)
        rows["one more point placed"] = seconds(lambda: (place(), drawn()))
        rows["head moved"] = seconds(lambda: (move(), drawn()))
    show(f"frames of {region.width} x {region.height} pixels with {count:,} points", rows)
    bpy.ops.wm.quit_blender()


def show(title: str, rows: dict[str, float]) -> None:
    """Print a table of milliseconds."""
    print(f"Blender {bpy.app.version_string}: {title}")
    for name, time_taken in rows.items():
        print(f"{name:42} {1000 * time_taken:7.0f} ms", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", type=int, default=50_000)
    parser.add_argument("--picks", type=int, default=0, help="have a backend pick this many points")
    # What stands before -- is for Blender, where this runs in its window.
    arguments = sys.argv if "--" in sys.argv or bpy.app.background else [*sys.argv, "--"]
    options = parser.parse_args(arguments[arguments.index("--") + 1 :] if "--" in arguments else arguments[1:])
    blender_addon.register()
    if not bpy.app.background:
        bpy.app.timers.register(lambda: frames(options.points), first_interval=2.0)
        return
    show(f"{options.points:,} points", editing(options.points))
    if options.picks:
        show("picks", picks(options.picks))
    blender_addon.unregister()


if __name__ == "__main__":
    main()
