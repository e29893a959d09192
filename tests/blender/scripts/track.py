"""Tracking from Blender: start, progress, cancel, go on, apply; crash, hang, mismatch and absence of the backend."""

import json
import sys
import time
from pathlib import Path

import bpy
from bl_helpers import fresh_scene, refused, session
from blender_addon._vendor.facequery_protocol.registry import registry_path, write_registry
from ending import end

from blender_addon.host import jobs
from blender_addon.host.state import clip_state
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
        jobs.pump()
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
    state = clip_state(clip)
    assert Path(bpy.path.abspath(state.job)).samefile(job) and state.job.startswith("//") and not state.pending
    assert len(clip.tracking.objects[state.tracking_object].tracks) == 68
    assert any(obj.name.endswith("Skin") and obj.facequery.role == "RESULT" for obj in bpy.context.scene.objects)


def start_returns_at_once_and_can_be_cancelled_and_gone_on_with():
    use("slow")
    clip = open_clip()
    clip_state(clip).limit_frames, clip_state(clip).first, clip_state(clip).last = True, 1002, 1004
    before = time.monotonic()
    assert bpy.ops.facequery.track(wait=False) == {"FINISHED"}
    assert time.monotonic() - before < 5
    run = jobs.run_of(clip)
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


def reopened_after_a_fault():
    use("crash")
    clip = open_clip()
    refused(bpy.ops.facequery.track)
    bpy.ops.wm.save_mainfile()
    bpy.ops.wm.open_mainfile(filepath=str(folder / "scene.blend"))
    clip = bpy.context.scene.active_clip
    assert jobs.run_of(clip) is None and jobs.unfinished(clip) is not None
    use("works")
    assert bpy.ops.facequery.resume_track() == {"FINISHED"}


with session():
    registry_path().unlink(missing_ok=True)
    for test in (
        without_a_backend,
        the_whole_job_in_one_call,
        start_returns_at_once_and_can_be_cancelled_and_gone_on_with,
        faults_are_one_sentence_and_nothing_is_lost,
        reopened_after_a_fault,
    ):
        test()
        print(test.__name__, "good")
end()
