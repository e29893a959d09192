"""Jobs in pieces, processes that get in each other's way or are killed, memory that runs out."""

import multiprocessing
import random
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from dot_face import DotDetector
from dot_program import track_slowly
from facequery.detection import tracks as track_files
from facequery.detection.tracks import Tracks
from facequery.errors import UserError
from facequery.pipeline import find, parts, track
from facequery.pipeline.job import JobRequest, open_job
from facequery.pipeline.lock import BUSY, job_lock
from facequery.pipeline.memory import in_smaller_parts
from facequery.pipeline.parts import link, merge, own_chunks, parse_chunk, run_part
from facequery.pipeline.run import run_job

pytestmark = pytest.mark.usefixtures("networks", "small_chunks")
ARRAYS = ("xy", "sigma", "visible")


@pytest.fixture
def small_chunks(monkeypatch):
    for module in (find, track, parts):
        monkeypatch.setattr(module, "CHUNK", 5)
    assert track_files.CHUNK == 128


def request(shot: str, **kwargs) -> JobRequest:
    return JobRequest(shots=(shot,), preview=False, **kwargs)


def same(one: Tracks, two: Tracks) -> None:
    for name in ARRAYS:
        np.testing.assert_array_equal(getattr(one, name), getattr(two, name))


@pytest.mark.parametrize(("pieces", "smooth"), [(1, 0.0), (2, 0.0), (3, 1.0), (7, 0.0)])
def test_pieces_in_any_order_make_the_same_tracks(sequence, tmp_path, pieces, smooth):
    asked = request(sequence(count=23), smooth=smooth)
    whole = run_job(asked, tmp_path / "whole").tracks[0]
    job = tmp_path / "job"
    open_job(job, asked)
    order = list(range(1, pieces + 1))
    random.Random(pieces).shuffle(order)
    assert sum(run_part(job, "find", piece, pieces) for piece in order) == 23
    link(job)
    for piece in reversed(order):
        run_part(job, "track", piece, pieces)
    same(merge(job).tracks[0], whole)


def test_a_piece_that_was_not_linked_links_for_itself(sequence, tmp_path):
    asked = request(sequence(count=12))
    whole = run_job(asked, tmp_path / "whole").tracks[0]
    open_job(tmp_path / "job", asked)
    for piece in (2, 1):
        run_part(tmp_path / "job", "track", piece, 2)
    same(merge(tmp_path / "job").tracks[0], whole)


def test_merging_too_early_names_the_frames(sequence, tmp_path):
    open_job(tmp_path / "job", request(sequence(count=12)))
    run_part(tmp_path / "job", "track", 1, 3)
    with pytest.raises(UserError, match="1006-1012"):
        merge(tmp_path / "job")


def test_pieces_share_chunks_out():
    for total in (1, 2, 7, 20):
        for count in (1, 2, 3, 9, 40):
            shares = [own_chunks(list(range(total)), piece, count) for piece in range(1, count + 1)]
            assert [chunk for share in shares for chunk in share] == list(range(total))
            assert max(map(len, shares)) - min(map(len, shares)) <= 1


@pytest.mark.parametrize("text", ["0/3", "4/3", "3", "a/b", "1/0", "-1/2", ""])
def test_pieces_that_are_none(text):
    with pytest.raises(UserError, match="no piece"):
        parse_chunk(text)
    assert parse_chunk("2/8") == (2, 8)


# ---- locks


def test_the_second_process_refuses_and_the_lock_ends_with_the_first(sequence, tmp_path):
    asked = request(sequence())
    open_job(tmp_path / "job", asked)
    program = "import sys, time; from pathlib import Path; from facequery.pipeline.lock import job_lock\n"
    program += f"with job_lock(Path({str(tmp_path / 'job')!r})):\n    print('held', flush=True); time.sleep(60)"
    other = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    try:
        assert other.stdout and other.stdout.readline() == "held\n"
        for attempt in (lambda: run_job(asked, tmp_path / "job"), lambda: run_part(tmp_path / "job", "track", 1, 1)):
            with pytest.raises(UserError, match="Another process") as caught:
                attempt()
            assert caught.value.code == BUSY
        assert not (tmp_path / "job" / "tracks.json").exists()
    finally:
        other.kill()
        other.wait()
    assert run_job(asked, tmp_path / "job").tracks[0].found.all()


@pytest.mark.skipif(sys.platform == "win32", reason="pieces hold no lock on Windows")
def test_pieces_share_the_job_but_not_with_a_whole_run(tmp_path):
    with job_lock(tmp_path, shared=True):
        with job_lock(tmp_path, shared=True):
            pass
        with pytest.raises(UserError, match="Another process"), job_lock(tmp_path):
            pass


# ---- memory


class Hungry(DotDetector):
    """Has room for three pictures."""

    def see(self, crops):
        if len(crops) > 3:
            raise RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return super().see(crops)


def test_batches_are_halved_when_memory_runs_out(sequence, tmp_path, monkeypatch):
    from facequery.detection.detector import Detector

    asked = request(sequence(count=12))
    whole = run_job(asked, tmp_path / "whole").tracks[0]
    monkeypatch.setattr(Detector, "from_pretrained", classmethod(lambda cls, *a, **k: Hungry()))
    result = run_job(asked, tmp_path / "job")
    np.testing.assert_array_equal(result.tracks[0].xy, whole.xy)
    np.testing.assert_array_equal(result.tracks[0].sigma, whole.sigma)
    assert any("Memory ran out with 5 pictures at once; going on with 2." in note for note in result.notes)


def test_no_room_for_one_picture_and_other_errors():
    def full(batch):
        raise MemoryError

    with pytest.raises(UserError, match="single picture"):
        in_smaller_parts(full, [1, 2, 3])

    def broken(batch):
        raise RuntimeError("shapes do not fit")

    with pytest.raises(RuntimeError, match="shapes"):
        in_smaller_parts(broken, [1, 2])
    assert in_smaller_parts(sum, [1, 2]) == [3]


# ---- kill -9


def test_killed_at_any_moment_the_result_is_the_same_to_the_bit(sequence, tmp_path):
    """A process that tracks, killed again and again at random moments and started anew, until it gets through."""
    asked = request(sequence(count=40))
    whole = run_job(asked, tmp_path / "whole").tracks[0]
    job = tmp_path / "job"
    # Forked from a process that has the libraries: loading them would take most of the time.
    known = multiprocessing.get_all_start_methods()
    context: Any = multiprocessing.get_context("forkserver" if "forkserver" in known else "spawn")
    if "forkserver" in known:
        context.set_forkserver_preload(["facequery.pipeline.run"])
    dice = random.Random(3)
    kills = 0
    for _ in range(60):
        process = context.Process(target=track_slowly, args=(asked.shots[0], job))
        process.start()
        process.join(dice.uniform(0.0, 0.9) if kills < 6 else 60)
        if process.exitcode is not None:
            assert process.exitcode == 0
            break
        process.kill()
        process.join()
        kills += 1
    assert kills >= 3
    same(Tracks.load(job), whole)
