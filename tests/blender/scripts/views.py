"""Two cameras on one performance: tracked from Blender, and brought back to both clips and before both cameras."""

import json
import sys
from pathlib import Path

import bpy
import numpy as np
from bl_helpers import fresh_scene, pixels, session
from blender_addon._vendor.facequery_protocol.registry import write_registry
from ending import end

from blender_addon.core.head_asset import load_head
from blender_addon.host.clip_state import active_face, clip_state

results, truth = Path(sys.argv[1]), np.load(sys.argv[2])
backend, folder, python = Path(sys.argv[3]), Path(sys.argv[4]), sys.argv[5]
FRAMES = truth["frames"].tolist()
WIDTH, HEIGHT = truth["size"].tolist()


def open_clips():
    fresh_scene()
    clips = []
    for name in ("shot", "other"):
        clip = bpy.data.movieclips.load(str(results.parents[1] / f"{name}.1001.png"))
        clip.frame_start = FRAMES[0]
        clips.append(clip)
    bpy.context.scene.active_clip = clips[0]
    return clips


def seen_by(camera, prefix, objects):
    """The fitted face, skull and jaw are where the view's pixels have them."""
    scene, asset = bpy.context.scene, load_head()
    scene.camera = camera
    for part, obj in objects.items():
        name = {"skull": "cranium", "jaw": "mandible"}.get(part, part)
        span = asset.parts[name].vertices
        for row, frame in enumerate(FRAMES):
            found = pixels(obj, np.arange(0, span.stop - span.start, 37), frame)
            error = np.abs(found - truth[prefix + name][row]).max()
            assert error < 0.1, (prefix, part, frame, error)


def markers_are_at(clip, expected):
    state = active_face(clip)
    names = json.loads(state.track_names)
    assert len(names) == 68
    for column, name in enumerate(names.values()):
        track = clip.tracking.objects[state.tracking_object].tracks[name]
        for row in range(len(FRAMES)):
            if np.isfinite(expected[row, column]).all():
                co = track.markers.find_frame(row + 1, exact=True).co
                place = np.array([co[0] * WIDTH, (1 - co[1]) * HEIGHT])
                assert np.abs(place - expected[row, column]).max() < 0.01, (name, row)


def parts(role="RESULT"):
    found = {o.facequery.part: o for o in bpy.context.scene.objects if o.facequery.role == role}
    return {name: found[name] for name in ("skin", "eye_left", "skull", "jaw")}


def tracked_and_applied_to_both():
    write_registry([python, str(backend), str(results), "works"], "0.1.0")
    clip, other = open_clips()
    bpy.ops.wm.save_as_mainfile(filepath=str(folder / "scene.blend"))
    bpy.ops.facequery.add_view()
    clip_state(clip).views[0].clip = other
    assert bpy.ops.facequery.track() == {"FINISHED"}
    scene = bpy.context.scene
    assert bpy.ops.facequery.match_scene() == {"FINISHED"}
    assert active_face(clip).view == 1 and active_face(other).view == 2
    assert len(bpy.data.cameras) == 2 and len([o for o in scene.objects if o.facequery.part == "skin"]) == 1
    markers_are_at(clip, truth["xy"])
    markers_are_at(other, truth["other_xy"])
    cameras = [active_face(one).camera for one in (clip, other)]
    assert cameras[0].data.background_images[0].clip is clip and cameras[1].data.background_images[0].clip is other
    seen_by(cameras[0], "", parts())
    seen_by(cameras[1], "other_", parts())
    # Tracked again: still one face and two cameras.
    assert bpy.ops.facequery.track() == {"FINISHED"}
    assert len(bpy.data.cameras) == 2 and len([o for o in scene.objects if o.facequery.part == "skin"]) == 1
    seen_by(active_face(other).camera, "other_", parts())


def the_second_view_alone():
    _, other = open_clips()
    operator = bpy.ops.facequery.import_job
    assert operator(filepath=str(results), view=2, clip=other.name, match_scene=True) == {"FINISHED"}
    seen_by(active_face(other).camera, "other_", parts())
    # Before a camera of the artist's, which looks from elsewhere.
    camera = bpy.data.objects.new("Own", active_face(other).camera.data)
    bpy.context.scene.collection.objects.link(camera)
    camera.location, camera.rotation_euler = (1, 2, 3), (1.2, 0.3, -0.5)
    bpy.context.view_layer.update()
    for obj in list(parts().values()):
        obj.facequery.role = "NONE"
    operator(filepath=str(results), view=2, clip=other.name, existing_camera="Own", tracks=False)
    seen_by(camera, "other_", parts())


with session():
    for test in (tracked_and_applied_to_both, the_second_view_alone):
        test()
        print(test.__name__, "good")
end()
