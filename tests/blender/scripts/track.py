"""Tracking from Blender: start, progress, cancel, go on, apply; crash, hang, mismatch and absence of the backend."""

import json
import sys
import time
from pathlib import Path

import bpy
import numpy as np
from bl_helpers import fresh_scene, refused, session
from blender_addon._vendor.facequery_protocol.registry import registry_path, write_registry
from ending import end
from mathutils import Vector

from blender_addon.host import jobs, pump
from blender_addon.host.clip_state import active_face, clip_state
from blender_addon.link import client
from blender_addon.link.job_run import State

results, backend, folder, python = Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), sys.argv[4]
plate = results.parents[1] / "shot.1001.png"


def use(mode):
    write_registry([python, str(backend), str(results), mode], "0.1.0")


def open_clip():
    fresh_scene()
    clip = bpy.data.movieclips.load(str(plate))
    bpy.context.scene.active_clip = clip
    bpy.ops.wm.save_as_mainfile(filepath=str(folder / "scene.blend"))
    return bpy.context.scene.active_clip


def pump_until(condition, seconds=30.0):
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, jobs.run_of(bpy.context.scene.active_clip)
        pump.pump()
        time.sleep(0.02)


def without_a_backend():
    open_clip()
    assert "FQ711" in refused(bpy.ops.facequery.track)
    assert "FQ711" in refused(bpy.ops.facequery.check_backend)


def the_whole_job_in_one_call():
    use("works")
    clip = open_clip()
    assert bpy.ops.facequery.check_backend() == {"FINISHED"}
    bpy.ops.facequery.add_head()
    bpy.ops.facequery.place_point(origin=(0.02, -1, 0.03), direction=(0, 1, 0), name="scar")
    assert bpy.ops.facequery.track() == {"FINISHED"}
    job = folder / "facequery" / "shot.1001.png" / "face1" / "v001"
    request = json.loads((job / "job.json").read_text())["request"]
    assert request["layouts"] == ["points.json"] and request["frames"] == [1001, 1005], request
    assert request["shots"][0].endswith("shot.####.png") and request["fits"] == ["face", "skull", "jaw"]
    assert json.loads((job / "points.json").read_text())["names"] == ["scar"]
    state = active_face(clip)
    from blender_addon.ops.backend import report_text

    report = report_text(bpy.context)
    assert "Weights landmarks: Apache-2.0" in report and "It reads the plate: 640 x 360" in report, report
    assert Path(bpy.path.abspath(state.job)).samefile(job) and state.job.startswith("//") and not state.pending
    assert len(clip.tracking.objects[state.tracking_object].tracks) == 68
    assert any(obj.name.endswith("Skin") and obj.facequery.role == "RESULT" for obj in bpy.context.scene.objects)


def start_returns_at_once_and_can_be_cancelled_and_gone_on_with():
    use("slow")
    clip = open_clip()
    clip_state(clip).limit_frames, clip_state(clip).first, clip_state(clip).last = True, 1002, 1004
    assert bpy.ops.facequery.track(wait=False) == {"FINISHED"}
    run = jobs.run_of(clip)
    assert run.active and not jobs.ready(clip)
    assert "FQ772" in refused(bpy.ops.facequery.track, wait=False)
    pump_until(lambda: run.done > 0)
    assert run.state is State.RUNNING and run.step == "Track" and run.total == 200 and run.device
    clip.name = "renamed"
    bpy.ops.facequery.cancel_track()
    pump_until(lambda: not run.active)
    assert run.state is State.CANCELLED and jobs.unfinished(clip) == run.folder
    assert json.loads((run.folder / "job.json").read_text())["request"]["frames"] == [1002, 1004]
    use("works")
    bpy.ops.facequery.resume_track(wait=False)
    pump_until(lambda: jobs.ready(clip))
    assert bpy.ops.facequery.apply_results() == {"FINISHED"}
    assert jobs.unfinished(clip) is None
    assert "FQ774" in refused(bpy.ops.facequery.apply_results)


def faults_are_one_sentence_and_nothing_is_lost():
    for mode, code in (("crash", "FQ718"), ("no_face", "FQ230"), ("old", "FQ303")):
        use(mode)
        clip = open_clip()
        message = refused(bpy.ops.facequery.track)
        assert code in message and len(message.strip().splitlines()) == 1, message
        assert jobs.unfinished(clip) is not None
        if mode == "crash":
            assert "Segmentation fault, perhaps" in message
    use("release")
    assert "FQ715" in refused(bpy.ops.facequery.check_backend)
    client.STARTING, client._TERMINATING = 1.0, 0.3
    use("mute")
    open_clip()
    assert "FQ716" in refused(bpy.ops.facequery.track)
    client.STARTING, client.SILENT = 60.0, 1.5
    use("hang")
    open_clip()
    assert "FQ717" in refused(bpy.ops.facequery.track)
    client.SILENT = 20.0


def what_is_gone_keeps_its_job_and_versions_can_be_had_again():
    use("works")
    clip = open_clip()
    bpy.ops.facequery.track()
    assert Path(active_face(clip).job).name != "v001"
    assert bpy.ops.facequery.apply_version(version="v001") == {"FINISHED"}
    assert Path(active_face(clip).job).name == "v001" and len(bpy.data.cameras) == 1, "the same objects, new actions"
    bpy.ops.facequery.track(wait=False)
    run = jobs.run_of(clip)
    bpy.data.movieclips.remove(clip)
    pump_until(lambda: not run.active)
    assert jobs.orphans() == [run]
    assert bpy.ops.facequery.apply_orphan(folder=str(run.folder)) == {"FINISHED"}
    assert not jobs.orphans() and len(bpy.data.movieclips) == 1
    # It is brought in by itself where that disturbs nobody.
    clip = open_clip()
    jobs.apply_when(lambda: True)
    bpy.ops.mesh.primitive_cube_add()
    bpy.ops.object.mode_set(mode="EDIT")
    bpy.ops.facequery.track(wait=False)
    run = jobs.run_of(clip)
    pump_until(lambda: not run.active)
    assert not jobs.apply_by_itself() and not active_face(clip).job and not bpy.ops.facequery.apply_results.poll()
    bpy.ops.object.mode_set(mode="OBJECT")
    assert jobs.apply_by_itself() == 1 and active_face(clip).job and jobs.run_of(clip) is None
    jobs.apply_when(None)
    # A job of another file is not brought into this one.
    clip = open_clip()
    bpy.ops.facequery.track(wait=False)
    run = jobs.run_of(clip)
    bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)
    pump_until(lambda: not run.active)
    assert jobs.orphans() == [run] and not jobs.apply_by_itself()
    jobs.applied(run, None)


def two_faces_have_regions_and_jobs_of_their_own():
    use("works")
    clip = open_clip()
    scene = bpy.context.scene
    clip.frame_start = 1001
    bpy.ops.facequery.add_face()
    bpy.ops.facequery.add_face()
    scene.frame_set(1001)
    assert bpy.ops.facequery.draw_region(region=(10, 20, 100, 120), key=True) == {"FINISHED"}
    scene.frame_set(1005)
    bpy.ops.facequery.draw_region(region=(50, 20, 100, 120))
    bpy.ops.facequery.track()
    job = Path(bpy.path.abspath(active_face(clip).job))
    assert job.parent.name == "face2"
    regions = json.loads((job / "job.json").read_text())["request"]["regions"]
    assert regions == ["1001:10,20,100,120", "1005:50,20,100,120"], regions
    scene.frame_set(1003)
    assert bpy.ops.facequery.key_region() == {"FINISHED"}
    assert np.allclose(jobs.region_at(clip, active_face(clip), 1003), (30, 20, 100, 120))
    clip_state(clip).active_face = 0
    assert active_face(clip).number == 1 and not active_face(clip).job
    assert "FQ778" in refused(bpy.ops.facequery.draw_region, region=(0, 0, 1, 1))


def a_known_camera_and_a_second_view_go_into_the_job():
    use("no_face")
    clip = open_clip()
    scene = bpy.context.scene
    scene.render.resolution_x, scene.render.resolution_y = 640, 360
    camera = bpy.data.objects.new("Matchmove", bpy.data.cameras.new("Matchmove"))
    scene.collection.objects.link(camera)
    camera.location, camera.rotation_euler = (0.1, -2, 0.3), (1.5, 0.02, 0.1)
    camera.data.lens, camera.data.shift_x, camera.data.shift_y = 50, 0.03, -0.02
    camera.keyframe_insert("location", frame=1)
    camera.location.x = 0.5
    camera.keyframe_insert("location", frame=5)
    clip_state(clip).camera = camera
    refused(bpy.ops.facequery.track)
    folder = jobs.unfinished(clip)
    request = json.loads((folder / "job.json").read_text())["request"]
    assert request["cameras"] == ["given_camera_1.json"] and request["colorspace"] == "srgb", request
    given = json.loads((folder / "given_camera_1.json").read_text())
    from bpy_extras.object_utils import world_to_camera_view

    points = np.array([[0.05, 0.1, 0.2], [-0.2, 0.3, -0.1], [0.3, -0.2, 0.4]])
    assert given["frames"] == [1001, 1002, 1003, 1004, 1005]
    for row in range(5):
        in_camera = points @ np.array(given["rotation"][row]).T + given["translation"][row]
        ideal = in_camera[:, :2] / in_camera[:, 2:]
        seen = ideal * (given["fx"][row], given["fy"][row]) + (given["cx"][row], given["cy"][row])
        scene.frame_set(row + 1)
        for point, pixel in zip(points, seen, strict=True):
            u, v, _ = world_to_camera_view(scene, camera, Vector(point))
            assert np.abs(np.array([u * 640, (1 - v) * 360]) - pixel).max() < 0.01, (row, u, v, pixel)
    other = bpy.data.movieclips.load(str(plate), check_existing=False)
    bpy.ops.facequery.add_view()
    clip_state(clip).views[0].clip = other
    assert "FQ777" in refused(bpy.ops.facequery.track)
    clip_state(clip).camera = None
    refused(bpy.ops.facequery.track)
    assert len(json.loads((jobs.unfinished(clip) / "job.json").read_text())["request"]["shots"]) == 2


def reopened_after_a_fault():
    use("crash")
    clip = open_clip()
    refused(bpy.ops.facequery.track)
    bpy.ops.wm.save_mainfile()
    bpy.ops.wm.open_mainfile(filepath=str(folder / "scene.blend"))
    clip = bpy.context.scene.active_clip
    assert jobs.unfinished(clip) is not None
    use("works")
    assert bpy.ops.facequery.resume_track() == {"FINISHED"}


with session():
    registry_path().unlink(missing_ok=True)
    for test in (
        without_a_backend,
        the_whole_job_in_one_call,
        start_returns_at_once_and_can_be_cancelled_and_gone_on_with,
        what_is_gone_keeps_its_job_and_versions_can_be_had_again,
        two_faces_have_regions_and_jobs_of_their_own,
        a_known_camera_and_a_second_view_go_into_the_job,
        faults_are_one_sentence_and_nothing_is_lost,
        reopened_after_a_fault,
    ):
        test()
        print(test.__name__, "good")
end()
