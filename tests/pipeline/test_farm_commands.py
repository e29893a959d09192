"""`facequery farm`, `run --chunk` and `merge` as programs: exit codes, progress, Ctrl-C, tasks that break once."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from facequery.cli import main
from facequery.detection.tracks import Tracks
from facequery.fitting.results import FaceFit, RigidFit
from facequery.pipeline import find, parts, track
from facequery.pipeline.fit import read_quality
from facequery.pipeline.job import JobRequest, open_job
from facequery.pipeline.lock import job_lock
from facequery.pipeline.run import run_job

pytestmark = pytest.mark.usefixtures("networks", "small_chunks")
PROGRAM = Path(__file__).parents[1] / "dot_program.py"
LINE = re.compile(r"^([^:]+): (\d+)/(\d+)$")  # as docs/farm.md gives it


@pytest.fixture
def small_chunks(monkeypatch):
    for module in (find, track, parts):
        monkeypatch.setattr(module, "CHUNK", 5)


@pytest.fixture
def start() -> Iterator[Callable[..., subprocess.Popen]]:
    """Starts the command line with stand-ins in a process of its own, whose Dask processes have them too."""
    begun: list[subprocess.Popen] = []

    def begin(*words: object, **environment: str) -> subprocess.Popen:
        begun.append(
            subprocess.Popen(
                [sys.executable, str(PROGRAM), *map(str, words)],
                env=os.environ | {"DASK_DISTRIBUTED__WORKER__PRELOAD": str(PROGRAM)} | environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                start_new_session=True,
            )
        )
        return begun[-1]

    yield begin
    for process in begun:
        if process.poll() is None:  # it and the processes that it started
            os.killpg(process.pid, signal.SIGKILL) if os.name == "posix" else process.kill()
            process.wait()


def same(job: Path, whole: Tracks) -> None:
    found = Tracks.load(job)
    for name in ("xy", "sigma", "visible"):
        np.testing.assert_allclose(getattr(found, name), getattr(whole, name), atol=0.01)


@pytest.fixture
def asked(sequence) -> JobRequest:
    return JobRequest(shots=(sequence(count=25),), preview=False)


def test_a_task_that_breaks_once_is_tried_again_and_fits_follow_the_tracks(asked, tmp_path, start):
    pytest.importorskip("distributed")
    fitted = replace(asked, frames=(1001, 1007), fits=("face", "jaw"))
    whole, fit = run_job(asked, tmp_path / "whole").tracks[0], run_job(fitted, tmp_path / "fitted").fit
    jobs = [tmp_path / "one", tmp_path / 'it\'s "two" ü']
    for job, request in zip(jobs, (asked, fitted), strict=True):
        open_job(job, request)
    trip = tmp_path / "trip"
    trip.write_text("")
    farm = start("farm", *jobs, tmp_path / "none", "--workers", 2, FACEQUERY_TEST_TRIP=str(trip))
    out, err = farm.communicate(timeout=600)
    assert farm.returncode == 3, err  # one of the three is no job
    assert out.count(": done") == 2 and "no job folder" in out
    assert not trip.exists() and "a disk went away" in err  # it did break
    steps = [match for line in err.splitlines() if (match := LINE.match(line))]
    assert [m[1] for m in steps] == ["Farm"] * 10 and steps[-1][2] == steps[-1][3] == "18"
    same(jobs[0], whole)
    face, jaw, quality = FaceFit.load(jobs[1] / "face.npz"), RigidFit.load(jobs[1] / "jaw.npz"), read_quality(jobs[1])
    assert fit is not None and quality is not None
    np.testing.assert_allclose(face.vertices, fit.face.vertices, atol=1e-6)  # metres
    np.testing.assert_allclose(jaw.translation, fit.jaw.translation, atol=1e-6)
    assert quality.status == fit.quality.status


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_ctrl_c_stops_the_farm_and_the_same_command_goes_on(asked, tmp_path, start):
    pytest.importorskip("distributed")
    whole = run_job(asked, tmp_path / "whole").tracks[0]
    job = tmp_path / "job"
    open_job(job, asked)
    farm = start("farm", job, "--workers", 2, FACEQUERY_TEST_PAUSE="1")
    deadline = time.monotonic() + 600
    while not any((job / "work").glob("*")) and time.monotonic() < deadline and farm.poll() is None:
        time.sleep(0.05)
    farm.send_signal(signal.SIGINT)
    _, err = farm.communicate(timeout=120)
    assert farm.returncode == 130 and "goes on from here" in err
    assert not (job / "tracks.json").exists()
    again = start("farm", job, "--workers", 1)
    out, err = again.communicate(timeout=600)
    assert again.returncode == 0 and "done" in out, err
    same(job, whole)


def code(*words: object) -> int:
    with pytest.raises(SystemExit) as stop:
        main([str(word) for word in words])
    return int(stop.value.code or 0)


def test_exit_codes_of_pieces(asked, tmp_path, capsys):
    whole = run_job(asked, tmp_path / "whole").tracks[0]
    job = tmp_path / "job"
    open_job(job, asked)
    for wrong in ("0/3", "4/3", "three"):
        assert code("run", job, "--chunk", wrong) == 2
    assert code("run", job, "--chunk", "1/2", "--step", "dance") == 2
    assert code("merge", job, "--step", "dance") == 2
    assert code("merge", job) == 2 and "1001-1025" in capsys.readouterr().err
    assert code("run", tmp_path / "none", "--chunk", "1/2") == 2
    for piece in (1, 2):
        assert code("run", job, "--chunk", f"{piece}/2", "--step", "find") == 0
    assert code("merge", job, "--step", "find") == 0 and (job / "faces.npz").is_file()
    with job_lock(job):  # a whole run has it
        assert code("run", job, "--chunk", "1/2") == 75 and code("merge", job, "--step", "find") == 75
    capsys.readouterr()
    for piece in (2, 1):
        assert code("run", job, "--chunk", f"{piece}/2") == 0
    told = [line for line in capsys.readouterr().err.splitlines() if line]
    assert told and all(LINE.match(line) for line in told)
    assert code("run", job, "--chunk", "30/40") == 0  # more pieces than chunks
    assert code("merge", job) == 0 and code("merge", job) == 0
    same(job, whole)
