import json
import os

import cv2
import numpy as np
import pytest
from dot_face import SIGMA, draw, true_pixels
from facequery.detection.tracks import Tracks
from facequery.errors import UserError
from facequery.geometry.cameras import Camera
from facequery.head.layouts import load_layout
from facequery.pipeline import find, track, views
from facequery.pipeline.cameras import load_camera
from facequery.pipeline.job import JobRequest, load_request
from facequery.pipeline.run import run_job
from facequery.pipeline.track import load_queries

pytestmark = pytest.mark.usefixtures("networks")


def request(shot: str, **kwargs) -> JobRequest:
    return JobRequest(shots=(shot,), preview=False, **kwargs)


def assert_right(tracks: Tracks, first: int = 1001, aspect: float = 1.0, tolerance: float = 0.35) -> None:
    positions = tracks.queries.positions
    for row, number in enumerate(tracks.frames):
        error = tracks.xy[row] - true_pixels(number - first, positions, aspect)
        assert np.linalg.norm(error, axis=-1).max() < tolerance, number


def test_tracks_come_out_in_plate_pixels(sequence, job):
    result = run_job(request(sequence()), job)
    tracks = result.tracks[0]
    assert tracks.frames.tolist() == list(range(1001, 1013))
    assert (tracks.width, tracks.height) == (320, 240)
    assert tracks.found.all()
    assert_right(tracks)
    crops = find.load_path(job / "faces.npz").crops
    half = np.hypot(crops[:, 0, 0], crops[:, 1, 0])
    np.testing.assert_allclose(tracks.sigma, SIGMA * half[:, None] * np.ones(len(tracks.queries)), rtol=1e-4)


def test_squeezed_plates_are_tracked_in_their_own_pixels(sequence, job, monkeypatch):
    pattern = sequence(width=160, aspect=2.0)
    original = views.open_shot

    def anamorphic(*args):
        shot = original(*args)
        object.__setattr__(shot, "pixel_aspect", 2.0)
        return shot

    monkeypatch.setattr(views, "open_shot", anamorphic)
    tracks = run_job(request(pattern), job).tracks[0]
    assert tracks.pixel_aspect == 2.0
    assert_right(tracks, aspect=2.0, tolerance=0.6)


def test_frames_are_file_numbers(sequence, job):
    tracks = run_job(request(sequence(), frames=(1004, 1007)), job).tracks[0]
    assert tracks.frames.tolist() == [1004, 1005, 1006, 1007]
    assert_right(tracks)


def test_several_layouts_stand_side_by_side(sequence, job):
    tracks = run_job(request(sequence(), layouts=("ibug68", "jaw")), job).tracks[0]
    bones = load_layout("jaw")
    assert tracks.layouts == {"ibug68": (0, 68), "jaw": (68, 68 + len(bones))}
    assert tracks.layout("jaw").names == bones.names
    assert len(set(tracks.queries.ids)) == len(tracks.queries)


def test_a_job_that_was_stopped_goes_on_and_ends_the_same(sequence, job, tmp_path, monkeypatch):
    monkeypatch.setattr(find, "CHUNK", 5)
    monkeypatch.setattr(track, "CHUNK", 5)
    pattern = sequence()
    whole = run_job(request(pattern), tmp_path / "whole").tracks[0]

    class StoppedError(Exception):
        pass

    def stop_at(step: str, count: int):
        def report(name: str, done: int, total: int) -> None:
            if name == step and done >= count:
                raise StoppedError

        return report

    for step, count in (("Find face", 3), ("Find face", 8), ("Track", 2), ("Track", 7)):
        with pytest.raises(StoppedError):
            run_job(request(pattern), job, stop_at(step, count))
        assert not (job / "tracks.json").exists()
    again = run_job(request(pattern), job).tracks[0]
    for name in ("xy", "sigma", "visible"):
        np.testing.assert_array_equal(getattr(again, name), getattr(whole, name))


def test_finished_chunks_are_not_tracked_again(sequence, job):
    pattern = sequence()
    run_job(request(pattern), job)
    stamps = {p: os.stat(p).st_mtime_ns for p in (job / "tracks").iterdir()}
    run_job(request(pattern), job)
    assert stamps == {p: os.stat(p).st_mtime_ns for p in (job / "tracks").iterdir()}


def test_a_folder_with_another_job_is_not_touched(sequence, job):
    pattern = sequence()
    run_job(request(pattern), job)
    with pytest.raises(UserError, match="holds another job"):
        run_job(request(pattern, layouts=("jaw",)), job)


def test_the_job_file_gives_the_request_back_from_any_working_folder(sequence, job, monkeypatch, tmp_path):
    asked = request(sequence(), frames=(1001, 1003), regions=("20,20,200,200",))
    run_job(asked, job)
    monkeypatch.chdir(tmp_path)
    back = load_request(job.relative_to(tmp_path))
    assert os.path.samefile(os.path.dirname(back.shots[0]), os.path.dirname(asked.shots[0]))
    assert (back.frames, back.regions, back.layouts) == (asked.frames, asked.regions, asked.layouts)
    run_job(back, job)


def test_frames_without_the_face_are_nan_and_short_gaps_are_bridged(sequence, job, tmp_path):
    pattern = sequence(count=60)
    for t in range(20, 24):
        cv2.imwrite(str(tmp_path / "plate" / f"shot.{1001 + t}.png"), draw(t, 320, 240, face=False))
    for t in range(45, 60):
        cv2.imwrite(str(tmp_path / "plate" / f"shot.{1001 + t}.png"), draw(t, 320, 240, face=False))
    tracks = run_job(request(pattern), job).tracks[0]
    assert tracks.found[:45].all() and not tracks.found[45:].any()
    assert np.isnan(tracks.xy[45:]).all()
    assert (tracks.visible[45:] == 0).all()
    assert (tracks.visible[20:24] < 0.05).all()  # bridged, and known not to be seen
    assert (np.median(tracks.visible[:20], axis=1) > 0.9).all()  # not all: some turn away at the jaw


def test_gaps_in_the_numbering(sequence, job, tmp_path):
    pattern = sequence()
    (tmp_path / "plate" / "shot.1005.png").unlink()
    with pytest.raises(UserError, match="1005"):
        run_job(request(pattern), job)
    tracks = run_job(request(pattern, allow_gaps=True), job).tracks[0]
    assert tracks.frames.tolist() == [n for n in range(1001, 1013) if n != 1005]
    assert_right(tracks)


def test_a_region_overrides_the_search(sequence, job, monkeypatch):
    def nothing(self, images):
        raise AssertionError("the whole picture was searched")

    monkeypatch.setattr("dot_face.DotFinder.find_batch", nothing)
    pattern = sequence()
    tracks = run_job(request(pattern, regions=("1001:60,50,100,100", "1012:80,60,100,100")), job).tracks[0]
    assert_right(tracks)


@pytest.mark.parametrize("text", ["1,2,3", "a,b,c,d", "1,2,0,4", "1,2,3,nan", "", "x:1,2,3,4"])
def test_a_region_that_is_none(text, sequence, job):
    with pytest.raises(UserError, match="region"):
        run_job(request(sequence(), regions=(text,)), job)
    assert not job.exists()


def test_a_region_outside_the_plate(sequence, job):
    with pytest.raises(UserError, match="outside the plate"):
        run_job(request(sequence(), regions=("400,10,50,50",)), job)


def test_no_face_in_the_shot(sequence, job):
    with pytest.raises(UserError, match="No face was found"):
        run_job(request(sequence(face=False)), job)


def test_views_lie_in_folders_of_their_own(sequence, job):
    pattern = sequence()
    two = JobRequest(shots=(pattern, pattern), preview=False)
    result = run_job(two, job)
    assert len(result.tracks) == 2
    assert (job / "view1" / "tracks.json").is_file() and (job / "view2" / "tracks.npz").is_file()
    np.testing.assert_array_equal(result.tracks[0].xy, result.tracks[1].xy)


def test_layouts_that_cannot_be():
    with pytest.raises(UserError, match="given twice"):
        load_queries(["ibug68", "ibug68"])
    with pytest.raises(UserError, match="No layout"):
        load_queries([])


def test_a_known_camera_is_kept_and_checked(sequence, job, tmp_path):
    pattern = sequence()
    file = tmp_path / "known.json"
    file.write_text(json.dumps({"width": 320, "height": 240, "focal_length": 35.0, "sensor_width": 36.0}))
    camera = load_camera(file)
    assert camera.fx[0] == pytest.approx(35 / 36 * 320)
    run_job(request(pattern, cameras=(str(file),)), job)
    kept = load_camera(job / "camera.json")
    assert isinstance(kept, Camera) and kept.fx[0] == camera.fx[0]
    file.write_text(json.dumps({"width": 640, "height": 240, "fx": 300}))
    with pytest.raises(UserError, match="640 x 240"):
        run_job(request(pattern, cameras=(str(file),)), tmp_path / "other")


def test_smoothed_tracks_follow_and_the_detectors_own_are_kept(sequence, job, tmp_path):
    plain = run_job(request(sequence()), tmp_path / "plain").tracks[0]
    smooth = run_job(request(sequence(), smooth=1.0), job).tracks[0]
    assert_right(smooth)
    assert np.array_equal(Tracks.load(job / "work" / "raw").xy, plain.xy)
    assert not np.array_equal(smooth.xy, plain.xy) and np.array_equal(smooth.sigma, plain.sigma)
