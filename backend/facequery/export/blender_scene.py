"""Runs inside Blender (or Python with the bpy module): builds the scene of a fit and exports it.

    python blender_scene.py -- SCENE.npz CACHE.pc2 OUT.abc|OUT.fbx

Standard library, NumPy and bpy only: Blender's own Python has nothing of FaceQuery's. Everything comes in Blender's
coordinates, z up, metres; see `facequery.export.blender_files` for what is in the file.
"""

import importlib
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

bpy: Any = importlib.import_module("bpy")  # the stubs of bpy call almost everything optional


def build(data: Mapping[str, np.ndarray], cache: str, shapes: bool) -> None:
    """The whole scene: the face moved by `cache`, or by blend shapes."""
    scene = bpy.context.scene
    frames = data["frames"]
    scene.frame_start, scene.frame_end = int(frames[0]), int(frames[-1])
    rate = float(data["fps"])
    scene.render.fps = max(1, round(rate))
    scene.render.fps_base = scene.render.fps / rate
    scene.render.resolution_x, scene.render.resolution_y = (int(v) for v in data["size"])
    ratio = float(data["fy"][0] / data["fx"][0])
    scene.render.pixel_aspect_x, scene.render.pixel_aspect_y = max(ratio, 1.0), max(1.0 / ratio, 1.0)
    face = polygons("Face", data["neutral"], data["counts"], data["faces"], data["st"])
    if shapes:
        blend_shapes(face, data, frames)
        pose(face, data["head"], frames)
    else:
        modifier = face.modifiers.new("Cache", "MESH_CACHE")
        modifier.cache_format, modifier.filepath = "PC2", cache
        modifier.frame_start, modifier.interpolation = float(frames[0]), "NONE"
    for name in ("Skull", "Jaw"):
        if name + "_vertices" in data:
            triangles = data[name + "_triangles"]
            part = polygons(name, data[name + "_vertices"], np.full(len(triangles), 3), triangles.ravel(), None)
            pose(part, data[name + "_poses"], frames)
    camera(data, frames)


def polygons(name: str, vertices: np.ndarray, counts: np.ndarray, faces: np.ndarray, st: np.ndarray | None) -> Any:
    """A mesh object; `faces` holds the corners of all polygons in a row."""
    mesh = bpy.data.meshes.new(name)
    ends = np.cumsum(counts)
    mesh.from_pydata(vertices.tolist(), [], [faces[e - n : e].tolist() for e, n in zip(ends, counts, strict=True)])
    if st is not None:
        mesh.uv_layers.new(name="st").data.foreach_set("uv", np.ascontiguousarray(st, np.float32).ravel())
    thing = bpy.data.objects.new(name, mesh)
    bpy.context.scene.collection.objects.link(thing)
    return thing


def blend_shapes(face: Any, data: Mapping[str, np.ndarray], frames: np.ndarray) -> None:
    """Shape keys with a weight at every frame."""
    face.shape_key_add(name="Basis")
    neutral = data["neutral"]
    for index, name in enumerate(data["names"].tolist()):
        key = face.shape_key_add(name=name)
        key.data.foreach_set("co", (neutral + data["shapes"][index]).astype(np.float32).ravel())
        keyed(face.data.shape_keys, f'key_blocks["{name}"].value', -1, frames, data["weights"][:, index])


def pose(thing: Any, matrices: np.ndarray, frames: np.ndarray) -> None:
    """Keys of location and rotation at every frame."""
    matrix_type = importlib.import_module("mathutils").Matrix
    thing.rotation_mode = "QUATERNION"
    turns: list[tuple[float, ...]] = []
    moves: list[tuple[float, ...]] = []
    last = None
    for matrix in matrices:
        place, turn, _ = matrix_type(matrix.tolist()).decompose()
        if last is not None:
            turn.make_compatible(last)
        last = turn
        turns.append(tuple(turn))
        moves.append(tuple(place))
    for path, values in (("location", np.array(moves)), ("rotation_quaternion", np.array(turns))):
        for axis in range(values.shape[1]):
            keyed(thing, path, axis, frames, values[:, axis])


def camera(data: Mapping[str, np.ndarray], frames: np.ndarray) -> None:
    """The camera with its zoom and shift; squeezed pixels are the scene's."""
    lens = bpy.data.cameras.new("Camera")
    thing = bpy.data.objects.new("Camera", lens)
    bpy.context.scene.collection.objects.link(thing)
    bpy.context.scene.camera = thing
    width, height = (float(v) for v in data["size"])
    lens.sensor_fit, lens.sensor_width = "HORIZONTAL", 36.0
    lens.sensor_height = 36.0 * float(data["fx"][0] / data["fy"][0]) * height / width
    lens.clip_start, lens.clip_end = 0.01, 1000.0
    keyed(lens, "lens", -1, frames, 36.0 * data["fx"] / width)
    keyed(lens, "shift_x", -1, frames, 0.5 - data["cx"] / width)
    keyed(lens, "shift_y", -1, frames, (data["cy"] / height - 0.5) * data["fx"] * height / (data["fy"] * width))
    pose(thing, data["camera"], frames)


def keyed(owner: Any, path: str, index: int, frames: np.ndarray, values: np.ndarray) -> None:
    """An f-curve with a key at every frame, straight between them; `index` -1: of a value that is no array."""
    values = np.asarray(values, np.float64)
    if not owner.animation_data:
        owner.animation_data_create()
    if owner.animation_data.action is None:
        owner.animation_data.action = bpy.data.actions.new(owner.name)
    if hasattr(owner.animation_data.action, "fcurve_ensure_for_datablock"):  # Blender 5
        curve = owner.animation_data.action.fcurve_ensure_for_datablock(owner, path, index=max(index, 0))
    else:
        curve = owner.animation_data.action.fcurves.new(path, index=max(index, 0))
    curve.keyframe_points.add(len(frames))
    curve.keyframe_points.foreach_set("co", np.stack([frames, values], axis=1).astype(np.float32).ravel())
    curve.keyframe_points.foreach_set("interpolation", np.full(len(frames), 1, np.int32))  # linear
    curve.update()


def main(scene_file: str, cache: str, out: str) -> None:
    """Build and export; the suffix of `out` says what."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    shapes = Path(out).suffix == ".fbx"
    with np.load(scene_file, allow_pickle=False) as file:
        data = {name: file[name] for name in file.files}
    build(data, cache, shapes)
    scene = bpy.context.scene
    scene.frame_set(scene.frame_start)
    if shapes:
        bpy.ops.export_scene.fbx(
            filepath=out, object_types={"MESH", "CAMERA"}, use_mesh_modifiers=False, bake_anim=True,
            bake_anim_use_nla_strips=False, bake_anim_use_all_actions=False, bake_anim_simplify_factor=0.0,
        )  # fmt: skip
    elif not bpy.app.build_options.alembic:
        raise RuntimeError("this Blender was built without Alembic")
    else:
        bpy.ops.wm.alembic_export(
            filepath=out, start=scene.frame_start, end=scene.frame_end, as_background_job=False, uvs=True,
        )  # fmt: skip


if __name__ == "__main__":
    main(*sys.argv[sys.argv.index("--") + 1 :])
