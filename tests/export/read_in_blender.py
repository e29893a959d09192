"""Imports a file into Blender and writes what it shows: python read_in_blender.py FILE OUT.npz FIRST LAST."""

import importlib
import sys
from typing import Any

import numpy as np

bpy: Any = importlib.import_module("bpy")
path, out, first, last = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
bpy.ops.wm.read_factory_settings(use_empty=True)
scene = bpy.context.scene
scene.render.fps, scene.render.fps_base = 24, 1.001
if path.endswith(".abc"):
    bpy.ops.wm.alembic_import(filepath=path, as_background_job=False)
else:
    bpy.ops.import_scene.fbx(filepath=path, anim_offset=0.0)
found = {"objects": np.array(sorted(o.name for o in scene.objects))}
for frame in range(first, last + 1):
    # Blender's FBX importer turns seconds into frames by 24, not by 24 / 1.001.
    at = frame * (scene.render.fps_base if path.endswith(".fbx") else 1.0)
    scene.frame_set(int(at), subframe=at - int(at))
    graph = bpy.context.evaluated_depsgraph_get()
    for thing in scene.objects:
        here = thing.evaluated_get(graph)
        matrix = np.array(here.matrix_world)
        found[f"{thing.name}_matrix_{frame}"] = matrix
        if thing.type == "MESH":
            mesh = here.to_mesh()
            points = np.empty(len(mesh.vertices) * 3, np.float32)
            mesh.vertices.foreach_get("co", points)
            found[f"{thing.name}_{frame}"] = points.reshape(-1, 3) @ matrix[:3, :3].T + matrix[:3, 3]
            here.to_mesh_clear()
            if thing.data.shape_keys:
                keys = thing.data.shape_keys.evaluated_get(graph).key_blocks
                found[f"weights_{frame}"] = np.array([keys[name].value for name in keys.keys()[1:]])
                found["names"] = np.array(keys.keys()[1:])
        elif thing.type == "CAMERA":
            lens = here.data
            found[f"lens_{frame}"] = np.array([lens.lens, lens.sensor_width, lens.shift_x, lens.shift_y])
np.savez(out, **found)
