"""The whole job from an empty file, with the backend's real process and the sample shot.

Add a head, place, paint and fill points, fill the volume, track, fit, pick, correct, project, write mattes and ST maps,
export, save, reopen, undo, redo.
"""

import json
import sys
import time
from functools import partial
from pathlib import Path

import bpy
import numpy as np
from ending import end

folder, plate, module = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
FIRST, LAST = 1001, 1004
if module == "blender_addon":
    import blender_addon

    blender_addon.register()
else:
    # As an artist has it: installed from the zip by Blender's own operator, nothing else in reach.
    assert not [m for m in sys.modules if m.startswith(("facequery", "blender_addon"))]
    bpy.context.preferences.extensions.repos.new(
        name="Test", module="test_repo", custom_directory=str(folder / "extensions"), remote_url=""
    )
    bpy.ops.extensions.package_install_files(
        filepath=sys.argv[4], repo="test_repo", enable_on_install=True, overwrite=True
    )
bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)


def done(result):
    assert result == {"FINISHED"}, result


def points():
    return bpy.context.scene.facequery.points


def job():
    face = bpy.context.scene.active_clip.facequery.faces[0]
    return Path(bpy.path.abspath(face.job))


operators = bpy.ops.facequery
done(operators.add_head())
done(operators.load_layout(layout_name="ibug68"))
done(operators.place_point(origin=(0.02, -1, 0.03), direction=(0, 1, 0), name="scar", symmetric=True))
skin = next(o for o in bpy.context.scene.objects if o.facequery.part == "skin")
group = skin.vertex_groups.new(name="FaceQuery")
group.add([v.index for v in skin.data.vertices if v.co.y < -0.02 and v.co.x > 0.01], 1.0, "REPLACE")
done(operators.points_from_weights(count=20, symmetric=True))
done(operators.fill_points(rounds=1))
before = len(points().data.vertices)
done(operators.fill_volume())
count = len(points().data.vertices)
assert count > before > 90, (before, count)
print("points good", count)

done(operators.check_backend())
bpy.ops.wm.save_as_mainfile(filepath=str(folder / "scene.blend"))
clip = bpy.data.movieclips.load(str(plate))
bpy.context.scene.active_clip = clip
clip.frame_start = FIRST
state = clip.facequery
state.limit_frames, state.first, state.last = True, FIRST, LAST
done(operators.track())
tracks = clip.tracking.objects[state.faces[0].tracking_object].tracks
assert len(tracks) == min(count, 500), len(tracks)
header = json.loads((job() / "tracks.json").read_text())
assert header["frames"] == list(range(FIRST, LAST + 1)) and "scar" in header["names"]
done(operators.match_scene())
scene = bpy.context.scene
assert (scene.render.resolution_x, scene.frame_start, scene.frame_end) == (clip.size[0], FIRST, LAST)

# What Blender's camera shows of the fitted face is where the backend has it.
with np.load(job() / "face.npz", allow_pickle=False) as fit:
    vertices = fit["vertices"].astype(np.float64)
camera = json.loads((job() / "camera.json").read_text())
fx, fy, cx, cy = (np.broadcast_to(np.array(camera[k], float), (LAST - FIRST + 1,)) for k in ("fx", "fy", "cx", "cy"))
fitted = next(o for o in scene.objects if o.facequery.part == "skin" and o.facequery.role == "RESULT")
shown = np.arange(0, len(fitted.data.vertices), 97)
for row, frame in enumerate(range(FIRST, LAST + 1)):
    scene.frame_set(frame)
    depsgraph = bpy.context.evaluated_depsgraph_get()
    evaluated, eye = fitted.evaluated_get(depsgraph), scene.camera.evaluated_get(depsgraph)
    projection = np.array(eye.calc_matrix_camera(
        depsgraph, x=scene.render.resolution_x, y=scene.render.resolution_y,
        scale_x=scene.render.pixel_aspect_x, scale_y=scene.render.pixel_aspect_y,
    ))  # fmt: skip
    place = np.array([(*evaluated.data.vertices[i].co, 1.0) for i in shown])
    seen = place @ (projection @ np.linalg.inv(np.array(eye.matrix_world)) @ np.array(evaluated.matrix_world)).T
    ndc = seen[:, :2] / seen[:, 3:]
    pixels = np.c_[(ndc[:, 0] + 1) / 2 * scene.render.resolution_x, (1 - ndc[:, 1]) / 2 * scene.render.resolution_y]
    x, y, z = vertices[row, shown].T
    expected = np.c_[fx[row] * x / z + cx[row], fy[row] * y / z + cy[row]]
    assert np.abs(pixels - expected).max() < 0.1, (frame, np.abs(pixels - expected).max())
print("tracked and fitted good")

scene.frame_set(FIRST + 1)
row = header["names"].index("scar")
xy = np.load(job() / "tracks" / "xy_0000.npy")[1, row]
before = len(points().data.vertices)
done(operators.pick_point(place=xy.tolist(), name="picked"))
assert len(points().data.vertices) == before + 1
print("picked good")

names = json.loads(state.faces[0].track_names)
for track in tracks:
    track.select = False
moved = next(t for t in tracks if t.markers.find_frame(2, exact=True) and not t.markers.find_frame(2, exact=True).mute)
moved.markers.find_frame(2, exact=True).co[0] += 4 / clip.size[0]
done(operators.refine(scope="ALL"))
corrections = json.loads((job() / "corrections.json").read_text())
assert [pin["frame"] for pin in corrections["pins"]] == [FIRST + 1]
assert job().name == "v002" and len(bpy.data.cameras) == 1
print("corrected good")


class Button:
    """What an operator's `from_panel` is given by Blender, which has no buttons without a window."""

    def __init__(self, cls):
        self._cls = cls

    def __getattr__(self, name):
        found = getattr(self._cls, name)
        return partial(found, self) if callable(found) else found


def press(operator, topic):
    """Press the button of a panel, which does not wait. Returns the files that were written, or the error's number."""
    addon = sys.modules[module]
    kinds = (addon.ops.project.Project, addon.ops.project.WriteMattes, addon.ops.project.WriteSTMaps)
    kind = next(cls for cls in (*kinds, addon.ops.export.Export) if cls.topic == topic)
    button = Button(kind)
    kind.from_panel(button, bpy.context)
    done(operator(wait=False, **{name: value for name, value in vars(button).items() if name != "_cls"}))
    call, until = addon.host.backend.call_of(topic), time.monotonic() + 600
    while call.active:
        assert time.monotonic() < until
        addon.host.pump.pump()
        time.sleep(0.02)
    addon.host.pump.pump()
    return [Path(file) for file in call.result["files"]] if call.error is None else call.error.code


picture = bpy.data.images.new("cross", 64, 64, alpha=True)
ink = np.zeros((64, 64, 4), np.float32)
ink[24:40], ink[:, 24:40] = (0.1, 0.1, 0.4, 1), (0.1, 0.1, 0.4, 1)
picture.pixels.foreach_set(ink.ravel())
picture.filepath_raw, picture.file_format = str(folder / "cross.png"), "PNG"
picture.save()
scene.frame_set(FIRST)
state.picture, state.as_decal, state.decal_width, state.blend = str(folder / "cross.png"), True, 60, "multiply"
state.matte_regions, state.matte_suffix = {"skin", "lips"}, ".png"
tracks = clip.tracking.objects[state.faces[0].tracking_object].tracks
next(t for t in tracks if (m := t.markers.find_frame(1, exact=True)) and not m.mute).select = True
frames = LAST - FIRST + 1
projected = press(operators.project, "project")
assert len([f for f in projected if f.parent.name == "comp"]) == len([f for f in projected if f.parent.name == "rgba"])
assert len(projected) >= 2 * frames and all(f.is_file() and f.is_relative_to(job()) for f in projected), projected
state.blend, state.refine_picture = "over", True
assert press(operators.project, "project") == "FQ620", "what is there is not replaced unasked"
assert len(press(operators.project, "project")) == len(projected), "pressed again, it is"
mattes = press(operators.write_mattes, "mattes")
assert len(mattes) == 2 * frames and all(f.suffix == ".png" and f.stat().st_size > 100 for f in mattes), mattes
maps = press(operators.write_stmaps, "stmaps")
assert maps and all(f.suffix == ".exr" for f in maps)
print("projected, mattes and ST maps good")

formats = [item.identifier for item in state.bl_rna.properties["export_format"].enum_items]
for kind in formats:
    if kind in ("nuke-cornerpin", "usd"):  # of four selected tracks; of a library that not every backend has
        continue
    state.export_format = kind
    written = press(operators.export, "export")
    assert written and all(f.is_file() for f in written), (kind, written)
assert press(operators.export, "export") == "FQ501"
print(f"exported in {len(formats) - 2} formats good")

bpy.ops.wm.save_mainfile()
bpy.ops.wm.open_mainfile(filepath=str(folder / "scene.blend"))
clip = bpy.context.scene.active_clip
assert job().name == "v002" and len(clip.tracking.objects[clip.facequery.faces[0].tracking_object].tracks) == len(names)
count = len(points().data.vertices)
bpy.ops.ed.undo_push(message="before")
beside = bpy.context.scene.facequery.head.location.x  # of the solved camera
operators.place_point(origin=(beside - 0.03, -1, 0.0), direction=(0, 1, 0))
bpy.ops.ed.undo_push(message="placed")
bpy.ops.ed.undo()
assert len(points().data.vertices) == count
bpy.ops.ed.redo()
assert len(points().data.vertices) == count + 1
done(operators.release_backend())
print("saved, reopened, undone good")
if module == "blender_addon":
    blender_addon.unregister()
else:
    assert all(m.startswith(module) for m in sys.modules if "facequery" in m)
    bpy.ops.preferences.addon_disable(module=module)
end()
