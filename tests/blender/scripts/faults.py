"""Blender and a backend that dies, hangs, floods, babbles, answers late or twice, is deaf, or of another version."""

import sys
import time
from pathlib import Path

import bpy
from bl_helpers import fresh_scene, refused, session
from blender_addon._vendor.facequery_protocol.registry import write_registry
from ending import end

from blender_addon.host import backend, jobs, pump
from blender_addon.link import client
from blender_addon.link.connection import State
from blender_addon.link.lookup import find_backend

program, plate, folder, python = Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), sys.argv[4]
pick = bpy.ops.facequery.pick_point


def use(mode):
    backend.release()
    write_registry([python, str(program), mode], "0.1.0")


def scene():
    fresh_scene()
    bpy.ops.facequery.add_head()
    clip = bpy.data.movieclips.load(str(plate))
    bpy.context.scene.active_clip = clip
    bpy.ops.wm.save_as_mainfile(filepath=str(folder / "scene.blend"))
    return clip


def points():
    found = bpy.context.scene.facequery.points
    return len(found.data.vertices) if found else 0


def pump_until(condition, seconds=60.0):
    until, turns = time.monotonic() + seconds, 0
    while not condition():
        assert time.monotonic() < until
        pump.pump()
        turns += 1
        time.sleep(0.005)
    return turns


def refused_and_well_again(mode, *codes):
    """A pick is refused with one sentence; the file is as it was; the next pick, of a good backend, works."""
    use(mode)
    before = points()
    message = refused(pick, place=(300, 200))
    assert any(code in message for code in codes) and len(message.strip().splitlines()) == 1, message
    assert points() == before
    use("good")
    assert pick(place=(300, 200)) == {"FINISHED"} and points() == before + 1
    return message


def it_dies():
    scene()
    assert "out of memory, perhaps" in refused_and_well_again("dies", "FQ718")
    assert "no such library, perhaps" in refused_and_well_again("dies_before_greeting", "FQ718")
    # Dead while nobody asks: the next request starts another.
    use("good")
    pick(place=(300, 200))
    process = backend._connection._client._process
    process.kill()
    process.wait()
    assert pick(place=(310, 200)) == {"FINISHED"}


def it_hangs_and_does_not_hold_blender():
    client.SILENT, client._TERMINATING = 1.0, 0.3
    use("hangs")
    started = []
    original = backend.Connection

    def noted(*arguments):
        started.append(original(*arguments))
        return started[-1]

    backend.Connection = noted
    assert "FQ717" in refused(pick, place=(300, 200))
    backend.Connection = original
    client.wait_for_endings()
    assert all(not one.open for one in started) and not any(thread.is_alive() for thread in client._ending)
    client.SILENT, client._TERMINATING = 20.0, 3.0
    use("good")
    assert pick(place=(300, 200)) == {"FINISHED"}


def it_floods():
    clip = scene()
    use("floods")
    pick(place=(300, 200), wait=False)
    call = backend.call_of("pick")
    lines = backend._connection._client._lines
    most = 0

    def ready():
        nonlocal most
        most = max(most, lines.qsize())
        return not call.active

    turns = pump_until(ready, 180)
    assert call.state is State.READY and points() == 1
    assert turns > 3, "no turn takes more than a moment of Blender's time"
    assert most <= client._WAITING and len(call.log) <= 200
    bpy.ops.facequery.track(wait=False)
    run = jobs.run_of(clip)
    pump_until(lambda: run.done > 0)
    bpy.ops.facequery.cancel_track()
    bpy.ops.facequery.cancel_track()
    assert run.state is State.CANCELLED and jobs.unfinished(clip) == run.folder


def it_babbles_and_answers_twice():
    scene()
    for mode in ("babbles", "twice", "greets_late"):
        use(mode)
        before = points()
        assert pick(place=(300, 200)) == {"FINISHED"}
        for _ in range(20):
            pump.pump()
            time.sleep(0.01)
        assert points() == before + 1, mode
    refused_and_well_again("nonsense", "FQ713")


def it_answers_late():
    scene()
    use("late")
    pick(place=(300, 200), wait=False)
    call = backend.call_of("pick")
    pump_until(lambda: call.state is State.RUNNING)
    backend.cancel("pick")
    pump_until(lambda: not call.active)
    assert call.state is State.READY and points() == 1, "it was done before it heard of the wish"
    # Of another file by then: it is not brought into this one.
    pick(place=(300, 200), wait=False)
    call = backend.call_of("pick")
    scene()
    pump_until(lambda: not call.active)
    assert points() == 0
    # The head is gone by then.
    pick(place=(300, 200), wait=False)
    call = backend.call_of("pick")
    bpy.ops.object.select_all(action="SELECT")
    bpy.ops.object.delete()
    pump_until(lambda: not call.active)
    assert call.state is State.READY and not bpy.data.meshes.get("FaceQuery Points")


def it_never_answers_and_never_listens():
    scene()
    use("waits")
    pick(place=(300, 200), wait=False)
    call = backend.call_of("pick")
    pump_until(lambda: call.state is State.RUNNING)
    backend.cancel("pick")
    pump_until(lambda: not call.active)
    assert call.state is State.CANCELLED and backend.warm(), "cancelled by a message, the backend stays"
    use("deaf")
    big = "x" * 100_000  # more than a pipe holds
    chosen = find_backend()
    calls = [backend.ask(chosen, f"topic {i}", "pick.points", {"name": big}, lambda answer: None) for i in range(5)]
    pump_until(lambda: all(call.state is State.RUNNING for call in calls))
    backend.cancel("topic 0")
    backend.cancel("topic 0")
    assert not any(call.active for call in calls) and not backend.warm()
    assert "FQ773" in refused(pick, place=(300, 200), timeout=1.0)


def it_is_of_another_version():
    scene()
    refused_and_well_again("other_protocol", "FQ303")
    refused_and_well_again("lacks", "FQ719")
    use("other_release")
    assert "FQ715" in refused(bpy.ops.facequery.check_backend)
    use("good")
    assert "FQ398" in refused(bpy.ops.facequery.check_backend), "it did not read the file"
    bpy.ops.facequery.check_backend(wait=False)  # as the button does it: the answer comes when the operator is gone
    call = backend.call_of("check")
    pump_until(lambda: not call.active)
    assert call.error is not None and call.error.code == "FQ398", call
    assert not list(folder.glob(".facequery-*")), "the file is gone"


with session():
    for test in (
        it_dies,
        it_hangs_and_does_not_hold_blender,
        it_floods,
        it_babbles_and_answers_twice,
        it_answers_late,
        it_never_answers_and_never_listens,
        it_is_of_another_version,
    ):
        test()
        print(test.__name__, "good", flush=True)
end()
