"""A farm of two processes, one of which is killed in the middle, against one machine."""

import os
import signal
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from facequery.detection.tracks import Tracks
from facequery.errors import UserError
from facequery.pipeline.farm import run_farm
from facequery.pipeline.job import JobRequest, open_job
from facequery.pipeline.run import run_job

distributed = pytest.importorskip("distributed")

PROGRAM = Path(__file__).parents[1] / "dot_program.py"  # the stand-ins, in every process


@pytest.fixture
def cluster(monkeypatch):
    monkeypatch.setenv("FACEQUERY_TEST_PAUSE", "0.15")
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0", preload=[str(PROGRAM)]
    ) as running:
        yield running


@pytest.mark.usefixtures("networks")
@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL")
def test_two_shots_on_two_processes_one_of_which_is_killed(sequence, tmp_path, cluster, monkeypatch):
    from facequery.pipeline import find, parts, track

    for module in (find, track, parts):
        monkeypatch.setattr(module, "CHUNK", 5)
    asked = JobRequest(shots=(sequence(count=25),), preview=False)
    whole = run_job(asked, tmp_path / "whole").tracks[0]
    jobs = [tmp_path / "a", tmp_path / "b b"]
    for job in jobs:
        open_job(job, asked)
    broken = tmp_path / "no job"
    killed = []

    def kill() -> None:
        """Kill the first process once the first chunk is tracked."""
        deadline = time.monotonic() + 120
        while not any((job / "tracks").is_dir() for job in jobs) and time.monotonic() < deadline:
            time.sleep(0.02)
        process = next(iter(cluster.workers.values())).process
        os.kill(process.pid, signal.SIGKILL)
        killed.append(process.pid)

    killer = threading.Thread(target=kill)
    killer.start()
    told: list[tuple[int, int]] = []
    outcomes = run_farm([*jobs, broken], cluster=cluster, progress=lambda step, done, total: told.append((done, total)))
    killer.join()
    assert killed
    assert [outcome.problem for outcome in outcomes[:2]] == ["", ""]
    assert "job" in outcomes[2].problem
    assert told[-1][0] == told[-1][1] == 2 * (5 + 1 + 5 + 1)
    for job in jobs:
        for name in ("xy", "sigma", "visible"):
            found, expected = getattr(Tracks.load(job), name), getattr(whole, name)
            np.testing.assert_allclose(found, expected, atol=1e-6)


def test_a_scheduler_that_is_not_there(tmp_path):
    with pytest.raises(UserError, match="not reached"):
        run_farm([tmp_path], scheduler="tcp://127.0.0.1:1")
