"""What happens to a job when the machine fails it: disks, clocks, files that change under it. Nothing finished is lost,
nothing half-written is taken for finished, and what is gone on with comes out the same to the bit.
"""

import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from facequery.cli import main
from facequery.detection.tracks import Tracks
from facequery.pipeline import find, parts, track
from facequery.pipeline.job import JobRequest, open_job
from facequery.pipeline.run import run_job
from facequery_protocol import messages

pytestmark = pytest.mark.usefixtures("networks", "small_chunks")


@pytest.fixture
def small_chunks(monkeypatch):
    for module in (find, track, parts):
        monkeypatch.setattr(module, "CHUNK", 5)


@pytest.fixture
def mounted(tmp_path) -> Iterator[Path]:
    """A disk of 60 kilobytes; skipped where none may be mounted."""
    place = tmp_path / "a disk"
    place.mkdir()
    mount = shutil.which("mount")
    if sys.platform != "linux" or not mount or not hasattr(os, "geteuid") or os.geteuid():
        pytest.skip("only root mounts disks")
    if subprocess.run([mount, "-t", "tmpfs", "-o", "size=60k", "tmpfs", str(place)], capture_output=True).returncode:
        pytest.skip("no disk may be mounted here")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def remount(place: Path, options: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{options}", str(place)], check=True)


def fails(capsys, *words: object) -> str:
    """Runs a command that must end with exit code 2 and one line on stderr; the line."""
    with pytest.raises(SystemExit) as stop:
        main([str(word) for word in words])
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("facequery:")]
    assert stop.value.code == 2 and len(lines) == 1
    return lines[0]


def same(job: Path, whole: Tracks) -> None:
    found = Tracks.load(job)
    for name in ("xy", "sigma", "visible"):
        np.testing.assert_array_equal(getattr(found, name), getattr(whole, name))


def leftovers(folder: Path) -> list[str]:
    return [path.name for path in folder.rglob("*") if ".part" in path.name]


@pytest.fixture
def asked(sequence) -> JobRequest:
    return JobRequest(shots=(sequence(count=23),), preview=False)


@pytest.fixture
def whole(asked, tmp_path) -> Tracks:
    return run_job(asked, tmp_path / "whole").tracks[0]


def test_a_disk_that_fills_up_and_is_then_made_larger(asked, whole, mounted, capsys):
    job = mounted / "job"
    open_job(job, asked)
    full = mounted / "other"
    line = ""
    for taken in range(40_000, -1, -8_000):  # full at once, then a little later, then later still
        full.write_bytes(bytes(taken))
        try:
            run_job(asked, job)
            break
        except OSError:
            line = fails(capsys, "run", job)
            assert "disk is full" in line and "FQ396" in line
            assert not leftovers(job) and not (job / "tracks.json").exists()
    assert line
    full.unlink()
    remount(mounted, "size=2m")
    run_job(asked, job)
    same(job, whole)


def test_a_disk_that_becomes_read_only(asked, whole, mounted, capsys):
    remount(mounted, "size=2m")
    job = mounted / "job"
    open_job(job, asked)
    parts.run_part(job, "track", 1, 3)
    remount(mounted, "ro")
    assert "Read-only" in fails(capsys, "run", job)
    assert "Read-only" in fails(capsys, "run", job, "--chunk", "2/3")
    assert "cannot be written to" in fails(capsys, "track", asked.shots[0], "--out", mounted / "other")
    remount(mounted, "rw")
    run_job(asked, job)
    same(job, whole)


@pytest.mark.skipif(sys.platform == "win32", reason="no limits on files")
def test_files_that_may_not_become_large(asked, whole, tmp_path, capsys):
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (3_000, hard))
    try:
        line = fails(capsys, "track", asked.shots[0], "--no-preview", "--out", tmp_path / "job")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "larger than the disk or the system allows" in line and "FQ396" in line and "job" in line
    assert not leftovers(tmp_path / "job")
    same(run_job(asked, tmp_path / "job").folder, whole)


def test_a_file_where_the_folder_should_be(asked, tmp_path, capsys):
    (tmp_path / "taken").write_text("")
    for out in (tmp_path / "taken", tmp_path / "taken" / "job"):
        line = fails(capsys, "track", asked.shots[0], "--out", out)
        assert "taken" in line and "FQ371" in line


@pytest.mark.parametrize("harm", ["deleted", "truncated", "another size"])
def test_a_frame_that_is_harmed_meanwhile(asked, whole, tmp_path, harm, capsys):
    frame = Path(asked.shots[0].replace("####", "1017"))
    good = frame.read_bytes()
    job = tmp_path / "job"
    open_job(job, asked)
    parts.run_part(job, "track", 1, 5)
    if harm == "deleted":
        frame.unlink()
    elif harm == "truncated":
        frame.write_bytes(good[: len(good) // 2])
    else:
        cv2.imwrite(str(frame), np.zeros((64, 64, 3), np.uint8))
    assert "1017" in fails(capsys, "run", job)
    assert (job / "tracks" / "visible_0000.npy").is_file() and not (job / "tracks.json").exists()
    frame.write_bytes(good)
    run_job(asked, job)
    same(job, whole)


def test_clocks_that_jump(asked, whole, tmp_path, monkeypatch):
    """Files of the future and of long ago, and a clock that jumps while a job is stopped and gone on with."""
    dice = random.Random(4)
    monkeypatch.setattr(time, "time", lambda: dice.uniform(0, 4e9))
    monkeypatch.setattr(time, "time_ns", lambda: int(dice.uniform(0, 4e18)))
    job = tmp_path / "job"

    def stop_after(chunks: int):
        def report(step: str, done: int, total: int) -> None:
            for path in [*job.rglob("*"), *Path(asked.shots[0]).parent.iterdir()]:
                moment = dice.uniform(0, 4e9)
                os.utime(path, (moment, moment))
            if step == "Track" and done >= 5 * chunks:
                raise KeyboardInterrupt

        return report

    for chunks in (1, 2, 4):
        with pytest.raises(KeyboardInterrupt):
            run_job(asked, job, stop_after(chunks))
    run_job(asked, job)
    same(job, whole)


def test_what_is_gone_on_with_computes_on_as_many_cores(asked, tmp_path):
    """BLAS adds in another order on several: a fit after tracks that are there shall be that of the undisturbed job."""
    from facequery.pipeline.crew import one_core_for_blas
    from threadpoolctl import threadpool_info, threadpool_limits

    job = tmp_path / "job"
    run_job(asked, job)
    with threadpool_limits(2, user_api="blas"):
        one_core_for_blas.cache_clear()  # as in a process of its own
        run_job(asked, job)
        assert {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"} == {1}


def test_what_killed_processes_left_is_swept_and_others_are_left_alone(asked, whole, tmp_path):
    job = tmp_path / "job"
    open_job(job, asked)
    (job / "tracks").mkdir()
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    left = [job / f".faces.{dead.pid}.part.npz", job / "tracks" / f".xy_0001.{dead.pid}.part.npy"]
    own = [job / f".mine.{os.getpid()}.part.npy", job / "tracks" / "my.part", job / "notes.part.txt"]
    for path in (*left, *own):
        path.write_bytes(b"half")
    run_job(asked, job)
    assert not any(path.exists() for path in left)
    assert all(path.exists() for path in own) or os.name != "posix"
    same(job, whole)


def test_a_damaged_intermediate_file_is_made_anew(asked, whole, tmp_path):
    job = tmp_path / "job"
    open_job(job, asked)
    parts.run_part(job, "find", 1, 1)
    found = sorted((job / "work").glob("faces_key_*.npz"))
    assert len(found) > 2
    found[0].write_bytes(b"")
    found[1].write_bytes(found[1].read_bytes()[:-60])
    run_job(asked, job)
    same(job, whole)


def test_a_worker_that_is_killed_while_it_finds_and_while_it_tracks(asked, whole, tmp_path):
    """The whole of it, with the networks and at random moments: `python -m tools.kill_jobs`."""
    job = tmp_path / "job"
    open_job(job, asked)
    program = Path(__file__).with_name("dot_program.py")
    request = messages.encode(messages.Request("job.run", {"folder": str(job)}, 1))
    for step, times in (("Find face", 1), ("Track", 1), ("Track", 2), ("", 0)):
        worker = subprocess.Popen(
            [sys.executable, str(program), "worker"],
            env=os.environ | {"FACEQUERY_TEST_PAUSE": "0.05"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        assert worker.stdin and worker.stdout
        worker.stdin.write(request)
        worker.stdin.flush()
        for line in worker.stdout:
            message = messages.decode(line)
            if not isinstance(message, messages.Request):
                assert isinstance(message, messages.Result), message
                break
            if message.method == "progress" and message.params["step"] == step:
                times -= 1
                if not times:
                    break
        worker.kill()
        worker.wait()
    same(job, whole)
    assert not leftovers(job)
