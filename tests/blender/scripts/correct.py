"""Corrections: moved and muted markers, pins, keyed poses, clearing, and a refit through the backend's own fit."""

import json
import sys
from pathlib import Path

import bpy
import numpy as np
from bl_helpers import fresh_scene, refused, session
from blender_addon._vendor.facequery_protocol.registry import write_registry
from ending import end

from blender_addon.host import correcting, jobs
from blender_addon.host.clip_state import active_face, track_names

results, backend, folder, python = Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), sys.argv[4]
plate = results.parents[1] / "shot.1001.png"
WIDTH, HEIGHT = 640, 360


def tracked():
    fresh_scene()
    clip = bpy.data.movieclips.load(str(plate))
    bpy.context.scene.active_clip = clip
    clip.frame_start = 1001
    bpy.ops.wm.save_as_mainfile(filepath=str(folder / "scene.blend"))
    clip = bpy.context.scene.active_clip
    assert bpy.ops.facequery.track() == {"FINISHED"}
    return clip


def marker(clip, identifier, frame):
    face = active_face(clip)
    track = clip.tracking.objects[face.tracking_object].tracks[track_names(face)[identifier]]
    return track, track.markers.find_frame(frame - 1000, exact=True)


def nose(frame):
    """Where the fitted nose tip is seen, in pixels."""
    from bpy_extras.object_utils import world_to_camera_view

    scene = bpy.context.scene
    scene.render.resolution_x, scene.render.resolution_y = WIDTH, HEIGHT
    scene.frame_set(frame)
    face = active_face(scene.active_clip)
    skin = next(o for o in face.head.children if o.facequery.part == "skin")
    evaluated = skin.evaluated_get(bpy.context.evaluated_depsgraph_get())
    tip = min(evaluated.data.vertices, key=lambda v: v.co.y).co
    u, v, _ = world_to_camera_view(scene, face.camera, skin.matrix_world @ tip)
    return np.array([u * WIDTH, (1 - v) * HEIGHT])


def what_was_done_by_hand_counts():
    clip = tracked()
    shown = correcting.corrected(clip)
    assert not correcting.gathered(shown), "nothing was done yet"
    assert "FQ786" in refused(bpy.ops.facequery.refine, scope="ALL")
    ids = [i for i in shown.tracks.ids if not marker(clip, i, 1004)[1].mute]
    marker(clip, ids[0], 1004)[1].co[0] += 6 / WIDTH
    for frame in (1004, 1005):
        marker(clip, ids[1], frame)[1].mute = True
    target = clip.tracking.objects[active_face(clip).tracking_object]
    for track in target.tracks:
        track.select = False
    marker(clip, ids[2], 1004)[0].select = True
    bpy.context.scene.frame_set(1004)
    assert bpy.ops.facequery.pin_markers() == {"FINISHED"}
    corrections = correcting.gathered(shown)
    assert set(corrections.pins) == {(1004, ids[0]), (1004, ids[2])}
    column = shown.tracks.ids.index(ids[0])
    assert np.abs(np.array(corrections.pins[1004, ids[0]]) - shown.tracks.xy[3, column] - (6, 0)).max() < 0.01
    assert (ids[1], 1004) in {(name, first) for name, first, _ in corrections.ignored} or any(
        name == ids[1] and first <= 1004 <= last for name, first, last in corrections.ignored
    )

    bpy.context.scene.frame_set(1003)
    bpy.ops.facequery.clear_corrections(which="BEFORE")
    assert correcting.gathered(shown).pins == corrections.pins
    bpy.ops.facequery.clear_corrections(which="AFTER")
    assert not correcting.gathered(shown)
    bpy.context.scene.frame_set(2000)
    assert "FQ780" in refused(bpy.ops.facequery.pin_markers)


def refined_where_it_was_moved_and_nowhere_else():
    clip = tracked()
    assert bpy.ops.facequery.worst_frame(direction="NEXT") == {"FINISHED"}
    first = active_face(clip).job
    skin = next(o for o in active_face(clip).head.children if o.facequery.part == "skin")
    old_action = active_face(clip).head.animation_data.action
    # The import is the truth and the first refit the solver's own: refits are compared with each other.
    for track in clip.tracking.objects[active_face(clip).tracking_object].tracks:
        track.select = False
    marker(clip, "ibug68.30", 1004)[0].select = True
    bpy.context.scene.frame_set(1004)
    bpy.ops.facequery.pin_markers()
    assert bpy.ops.facequery.refine(scope="ALL") == {"FINISHED"}
    face = active_face(clip)
    assert face.job != first and (Path(bpy.path.abspath(face.job)) / "corrections.json").is_file()
    assert json.loads((Path(bpy.path.abspath(face.job)) / "job.json").read_text())["request"]["shots"]
    before = {frame: nose(frame) for frame in (1001, 1004)}
    bpy.ops.facequery.clear_corrections(which="ALL")
    for identifier in correcting.corrected(clip).tracks.ids:
        marker(clip, identifier, 1004)[1].co[0] += 8 / WIDTH
    assert bpy.ops.facequery.refine(scope="ALL") == {"FINISHED"}
    face = active_face(clip)
    moved, elsewhere = nose(1004) - before[1004], nose(1001) - before[1001]
    assert np.abs(moved - (8, 0)).max() < 3 and np.linalg.norm(elsewhere) < np.linalg.norm(moved), (moved, elsewhere)
    # The same objects with new actions; the old ones are kept.
    assert skin.name in bpy.context.scene.objects and skin.parent is face.head
    assert face.head.animation_data.action is not old_action and old_action.use_fake_user
    assert len(jobs.versions(clip, face)) >= 2
    assert len(clip.tracking.objects) == 2, "the camera's and the face's: the tracks are the same"


def a_keyed_pose_is_met():
    clip = tracked()
    scene, face = bpy.context.scene, active_face(clip)
    scene.frame_set(1002)
    before = nose(1002)
    face.head.location.z += 0.02
    bpy.context.view_layer.update()
    assert bpy.ops.facequery.key_pose() == {"FINISHED"}
    assert bpy.ops.facequery.refine(scope="ALL") == {"FINISHED"}
    moved = nose(1002) - before
    assert moved[1] < -10 and abs(moved[0]) < 6, moved
    scene.frame_set(1004)
    shown = correcting.corrected(clip)
    before = {frame: nose(frame) for frame in (1001, 1004)}
    for identifier in shown.tracks.ids:
        marker(clip, identifier, 1004)[1].co[0] += 8 / WIDTH
    scene.frame_set(1004)
    assert bpy.ops.facequery.refine(scope="HERE") == {"FINISHED"}
    assert np.abs(nose(1001) - before[1001]).max() < 1e-3, "frames before the last key stay as they are"
    assert nose(1004)[0] - before[1004][0] > 4
    bpy.ops.facequery.clear_corrections(which="ALL")
    assert not correcting.gathered(correcting.corrected(clip))


def exported_to_files():
    clip = tracked()
    face = active_face(clip)
    folder = Path(bpy.path.abspath(face.job)) / "export"
    assert bpy.ops.facequery.export(format="csv") == {"FINISHED"}
    rows = next(folder.glob("*.csv")).read_text().splitlines()
    assert len(rows) > 68 * 3
    assert "FQ501" in refused(bpy.ops.facequery.export, format="csv")
    assert bpy.ops.facequery.export(format="csv", overwrite=True) == {"FINISHED"}
    tracks = clip.tracking.objects[face.tracking_object].tracks
    for track in tracks:
        track.select = False
    bpy.context.scene.frame_set(1004)
    assert "FQ782" in refused(bpy.ops.facequery.export, format="nuke", selected=True)
    # Outer brow ends and mouth corners: a quad whatever the order in which they were selected.
    for identifier in ("ibug68.17", "ibug68.26", "ibug68.54", "ibug68.48"):
        marker(clip, identifier, 1004)[0].select = True
    assert bpy.ops.facequery.export(format="nuke-cornerpin") == {"FINISHED"}
    assert "CornerPin2D" in next(folder.glob("*corner*")).read_text()
    assert bpy.ops.facequery.export(format="nuke", selected=True) == {"FINISHED"}
    assert "FQ789" in refused(bpy.ops.facequery.project) and "FQ790" in refused(
        bpy.ops.facequery.write_mattes, regions=set()
    )


with session():
    write_registry([python, str(backend), str(results), "works"], "0.1.0")
    for test in (
        what_was_done_by_hand_counts,
        refined_where_it_was_moved_and_nowhere_else,
        a_keyed_pose_is_met,
        exported_to_files,
    ):
        test()
        print(test.__name__, "good")
end()
