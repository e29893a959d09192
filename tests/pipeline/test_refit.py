"""What `facequery fit` did to a job stays when the job is run again; and who writes into a job holds it."""

import json
from pathlib import Path

import numpy as np
import pytest
from facequery.cli import main
from facequery.detection.tracks import Tracks
from facequery.errors import UserError
from facequery.fitting.results import ShotFit
from facequery.geometry.cameras import Camera
from facequery.pipeline.fit_stage import FitRequest, run_fit
from facequery.pipeline.job import JobRequest
from facequery.pipeline.lock import BUSY, job_lock, results_lock
from facequery.pipeline.run import run_job

pytestmark = pytest.mark.usefixtures("networks")


def code(*words: object) -> int:
    with pytest.raises(SystemExit) as stop:
        main([str(word) for word in words])
    return int(stop.value.code or 0)


def refused(job: Path) -> bool:
    """Whether somebody holds a job."""
    try:
        with job_lock(job):
            return False
    except UserError as error:
        return error.code == BUSY


def state(job: Path) -> dict[str, bytes]:
    """The bytes of every result; tracks.npz says the same as the tracks' .npy files."""
    found = [path for path in job.rglob("*") if path.suffix in (".json", ".npz", ".npy") and path.name != "tracks.npz"]
    return {str(path.relative_to(job)): path.read_bytes() for path in found}


@pytest.fixture
def camera(tmp_path: Path) -> Path:
    path = tmp_path / "known.json"
    path.write_text(json.dumps(Camera.pinhole(320, 240, 777.0).to_dict()))
    return path


def test_a_refit_stays_when_the_job_is_run_again(sequence, job, camera, capsys):
    asked = JobRequest(shots=(sequence(count=4),), fits=("face", "skull", "jaw"), preview=False)
    run_job(asked, job)
    run_fit([job], FitRequest(cameras=(str(camera),), settings={"shape_spread": 0.0}))
    before = state(job)
    assert code("run", job) == 0
    assert "is kept" in capsys.readouterr().out
    again = run_job(asked, job)
    assert state(job) == before
    assert again.fit is not None and again.fit.cameras[0].fx[0] == 777.0
    np.testing.assert_array_equal(again.tracks[0].visible, Tracks.load(job).visible)


def test_a_job_without_a_fit_keeps_the_one_that_was_made_later(sequence, job, camera):
    asked = JobRequest(shots=(sequence(count=3),))
    run_job(asked, job)
    run_fit([job], FitRequest(fits=("face",), cameras=(str(camera),), settings={"shape_spread": 0.0}, preview=False))
    assert not (job / "preview.mp4").exists()
    before = state(job)
    assert run_job(asked, job).fit is None  # the skull and the jaw are not there
    assert state(job) == before and (job / "preview.mp4").is_file()


def test_a_fit_that_was_interrupted_is_made_again(sequence, job, monkeypatch):
    asked = JobRequest(shots=(sequence(count=3),), fits=("face", "skull", "jaw"), preview=False)
    run_job(asked, job)
    whole = ShotFit.load(job)

    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("facequery.pipeline.fit_stage.update_visibility", stopped)
        with pytest.raises(KeyboardInterrupt):
            run_fit([job], FitRequest(settings={"shape_spread": 0.0}))
    again = run_job(asked, job).fit
    assert again is not None
    np.testing.assert_allclose(again.face.vertices, whole.face.vertices, atol=1e-6)  # metres


def test_tracks_made_anew_get_a_fit_of_their_own(sequence, job, camera):
    asked = JobRequest(shots=(sequence(count=3),), fits=("face", "skull", "jaw"), preview=False)
    run_job(asked, job)
    run_fit([job], FitRequest(cameras=(str(camera),), settings={"shape_spread": 0.0}))
    (job / "tracks.json").unlink()
    again = run_job(asked, job).fit
    assert again is not None and again.cameras[0].fx[0] != 777.0


def test_whoever_writes_into_a_job_that_is_held_is_refused(sequence, job, tmp_path, capsys):
    run_job(JobRequest(shots=(sequence(count=2),), fits=("face", "skull", "jaw"), preview=False), job)
    picture = Path(sequence(count=1).replace("####", "1001"))
    before = state(job)
    writers: list[tuple[object, ...]] = [
        ("fit", job),
        ("segment", job),
        ("project", job, "--picture", picture),
        ("export", job, "--format", "json"),
        ("stmap", job, "--size", 32),
        ("run", job),
    ]
    with job_lock(job):
        for words in writers:
            assert code(*words) == 75, words
            assert BUSY in capsys.readouterr().err
        assert state(job) == before
        assert code("export", job, "--format", "json", "--out", tmp_path / "elsewhere.json") == 0
    for words in writers[3:]:  # and what is held by nobody is written
        assert code(*words) == 0, words


def test_results_inside_a_job_hold_it_and_results_elsewhere_do_not(tmp_path):
    (tmp_path / "job").mkdir()
    (tmp_path / "job" / "job.json").write_text("{}")
    for place in ("job", "job/export/a.usd", "job/view1"):
        with results_lock(tmp_path / place):
            assert refused(tmp_path / "job")
    with job_lock(tmp_path / "job"), results_lock(tmp_path / "other" / "a.usd"):
        assert not (tmp_path / "other").exists()
