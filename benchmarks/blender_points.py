"""How quick the extension is with many points: `PYTHONPATH=. python -m benchmarks.blender_points [--points N]`.

Runs in a Python with the bpy module. Measures what an artist waits for: placing one more point among N (one click, its
redraw included but for the graphics card's part), selecting all, moving the head (the redraw alone), and saving.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import bpy
import numpy as np

import blender_addon
from blender_addon.host import drawing, sampling
from blender_addon.host import points as host_points
from blender_addon.host.state import scene_state


def seconds(action: Callable[[], object], repeats: int = 3) -> float:
    """The least processor time of some repeats, which a busy machine does not stretch."""
    times = []
    for _ in range(repeats):
        start = time.process_time()
        action()
        times.append(time.process_time() - start)
    return min(times)


def arrays() -> None:
    """What a redraw makes for the graphics card."""
    context = bpy.context
    context.view_layer.update()
    obj = scene_state(context.scene).points
    table = host_points.read(obj)
    drawing.point_colors(obj, table)
    drawing.world_positions(obj, table, context.evaluated_depsgraph_get())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--points", type=int, default=50_000)
    count = parser.parse_args().points
    blender_addon.register()
    bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)
    bpy.ops.facequery.add_head()
    from blender_addon.core.head_asset import load_head

    asset, rng = load_head(), np.random.default_rng(0)
    skin = asset.parts["skin"].triangles
    triangle = rng.integers(skin.start, skin.stop, count)
    share = rng.dirichlet((1, 1, 1), count)
    sampling.add_on_triangles(bpy.context.scene, triangle, share)

    def place() -> None:
        bpy.ops.facequery.place_point(origin=(0.02, -1, 0.03), direction=(0, 1, 0))
        arrays()

    def move() -> None:
        scene_state(bpy.context.scene).head.location.x += 0.01
        arrays()

    with tempfile.TemporaryDirectory() as folder:
        rows = {
            "place one point and redraw": seconds(place),
            "select all": seconds(lambda: bpy.ops.facequery.select_points(action="ALL")),
            "move the head and redraw": seconds(move),
            "save": seconds(lambda: bpy.ops.wm.save_as_mainfile(filepath=str(Path(folder) / "points.blend"))),
        }
    print(f"Blender {bpy.app.version_string}, {count:,} points")
    for name, time_taken in rows.items():
        print(f"{name:30} {1000 * time_taken:7.0f} ms")
    blender_addon.unregister()


if __name__ == "__main__":
    main()
