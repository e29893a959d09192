"""Pick, segment and project on two frames of the sample shot, with the weights that ship."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
from facequery.assets import asset
from facequery.errors import UserError
from facequery.head.actor import Actor
from facequery.pipeline.app_methods import pick_points_in_job, segment_job
from facequery.pipeline.job import JobRequest, load_request, open_job
from facequery.pipeline.pick import PlateMark, run_pick
from facequery.pipeline.pictures_out import open_output
from facequery.pipeline.project import ProjectRequest, run_project, side_by_side
from facequery.pipeline.segment import SegmentRequest, run_segment
from facequery.pipeline.stmap import MapRequest, write_maps
from facequery.shots.images import read_picture, write_picture
from read_cryptomatte import read_cryptomatte

CHEEK = (440.0, 320.0)
SHOT = str(asset("sample") / "plate" / "shot.####.jpg")
REQUEST = JobRequest(shots=(SHOT,), frames=(1001, 1002), preview=False)
QUIET: Any = SimpleNamespace(progress=lambda *_: None, check=lambda: None)


@pytest.fixture(scope="module")
def job(tmp_path_factory):
    """A job of two picked points."""
    folder = tmp_path_factory.mktemp("apps") / "job"
    marks = [PlateMark("cheek", 1001, CHEEK), PlateMark("sky", 1001, (30.0, 30.0))]
    picks, result = run_pick(REQUEST, folder, marks, folder.parent / "actor.npz")
    return SimpleNamespace(folder=folder, picks=picks, result=result, marks=marks)


def request_of(job):
    return load_request(job.folder)


def plate(number):
    return cv2.imread(SHOT.replace("####", str(number)))[..., ::-1]


def test_picked_points_are_tracked_through_their_marks(job):
    tracks = job.result.tracks[0]
    assert tracks.names == ("cheek", "sky")
    assert np.linalg.norm(tracks.xy[0, 0] - CHEEK) < 0.3
    assert np.linalg.norm(tracks.xy[1, 0] - tracks.xy[0, 0]) < 15
    assert any('"sky"' in note for note in job.result.notes)
    assert not any('"cheek"' in note for note in job.result.notes)
    kept = Actor.load(job.folder.parent / "actor.npz").picked
    assert kept is not None and kept.names == ("cheek", "sky")


def test_other_marks_give_other_tracks_in_the_same_folder(job):
    before = (job.folder / "tracks" / "xy_0000.npy").stat().st_mtime_ns
    run_pick(REQUEST, job.folder, job.marks)
    assert (job.folder / "tracks" / "xy_0000.npy").stat().st_mtime_ns == before  # nothing was done again
    moved = [PlateMark("cheek", 1001, (450.0, 330.0)), job.marks[1]]
    tracks = run_pick(REQUEST, job.folder, moved)[1].tracks[0]
    assert np.linalg.norm(tracks.xy[0, 0] - [450, 330]) < 0.3


def test_refined_tracks_go_through_the_marks(tmp_path):
    request = replace(REQUEST, refine=True, references=(1002,))
    picks, result = run_pick(request, tmp_path / "job", [PlateMark("cheek", 1002, CHEEK)])
    assert picks.residual[0] < 0.3
    assert np.linalg.norm(result.tracks[0].xy[1, 0] - CHEEK) < 0.3
    assert load_request(tmp_path / "job").references == (1002,)
    with pytest.raises(UserError, match="no frame"):
        wanted = SegmentRequest(("nose",), refine=True, references=(7,))
        run_segment(load_request(tmp_path / "job"), tmp_path / "job", wanted)


def test_the_worker_picks_in_a_job(job):
    marks = [{"name": "a", "frame": 1001, "x": CHEEK[0], "y": CHEEK[1]}]
    told = pick_points_in_job({"folder": str(job.folder), "marks": marks}, QUIET)
    np.testing.assert_allclose(told["points"][0]["position"], job.picks.queries.positions[0], atol=1e-4)
    assert told["marks"][0]["residual"] < 0.3
    for bad in ([], [{"name": "a"}], [{"name": "a", "frame": 7, "x": 1, "y": 1}]):
        with pytest.raises(UserError):
            pick_points_in_job({"folder": str(job.folder), "marks": bad}, QUIET)


def test_mattes_of_a_job(job):
    wanted, steps = SegmentRequest(("nose", "skin"), ".png"), []
    files = run_segment(request_of(job), job.folder, wanted, lambda *step: steps.append(step))
    # Nothing takes long in silence.
    assert steps == [("Skin", 1, 2), ("Skin", 2, 2), ("Mattes", 1, 2), ("Mattes", 2, 2)]
    assert [f.name for f in files] == ["nose.1001.png", "skin.1001.png", "nose.1002.png", "skin.1002.png"]
    nose, skin = (cv2.imread(str(f), cv2.IMREAD_UNCHANGED) / 65535 for f in files[:2])
    assert nose.shape == (540, 960)
    assert 0.02 < nose.sum() / skin.sum() < 0.15
    middle = [np.average(np.arange(n), weights=nose.sum(axis)) for n, axis in ((960, 0), (540, 1))]
    assert np.linalg.norm(np.array(middle) - [508, 285]) < 25
    with pytest.raises(UserError, match="other pictures"):
        run_segment(request_of(job), job.folder, SegmentRequest(("lips",), ".png"))
    told = segment_job({"folder": str(job.folder), "regions": ["lips"], "ids": True, "overwrite": True}, QUIET)
    assert [f[-13:] for f in told["files"]] == ["/ids.1001.png", "/ids.1002.png"]
    assert set(np.unique(cv2.imread(told["files"][0], cv2.IMREAD_UNCHANGED))) == {0, 1}
    wanted = SegmentRequest(("skin", "nose"), cryptomatte=True, name="crypto")
    file = run_segment(request_of(job), job.folder, wanted)[0]
    assert file.name == "cryptomatte.1001.exr"
    found = read_cryptomatte(file)
    assert np.abs(found["nose"] - nose).max() < 0.001
    assert np.abs(found["skin"] + found["nose"] - skin)[skin > 0.99].max() < 0.001  # the nose lies on the skin
    with pytest.raises(UserError, match="no setting"):
        segment_job({"folder": str(job.folder), "colour": 1}, QUIET)


def test_a_decal_and_its_print_on_other_footage(job, tmp_path):
    picture = np.full((40, 40, 4), 255, np.uint8)
    picture[..., :3] = (40, 60, 200)
    cv2.imwrite(str(tmp_path / "decal.png"), picture)
    wanted = ProjectRequest(str(tmp_path / "decal.png"), CHEEK, 1001, 30.0, blend="over", shutter=0.0, cut=False)
    run_project(request_of(job), job.folder, wanted)
    folder = job.folder / "project"
    rgba = read_picture(folder / "rgba" / "rgba.1001.exr", "layer")
    alpha = rgba[..., 3]
    assert alpha.sum() == pytest.approx(30 * 30, rel=0.03)
    np.testing.assert_allclose(rgba[..., :3][alpha > 0.99].mean(0), (np.array([200, 60, 40]) / 255) ** 2.2, atol=0.02)
    comp = cv2.imread(str(folder / "comp" / "comp.1001.png"), cv2.IMREAD_UNCHANGED)[..., ::-1] / 65535
    untouched = alpha == 0
    assert np.abs(comp - plate(1001) / 255)[untouched].max() < 1e-4
    assert np.abs(comp[alpha > 0.99] - np.array([200, 60, 40]) / 255).max() < 0.01

    again = ProjectRequest(str(folder / "print.npz"), blend="over", shutter=0.0, cut=False, name="again")
    run_project(request_of(job), job.folder, again)
    same = read_picture(job.folder / "again" / "rgba" / "rgba.1002.exr", "layer")
    np.testing.assert_allclose(same, read_picture(folder / "rgba" / "rgba.1002.exr", "layer"), atol=1e-3)
    files = side_by_side(folder, job.folder / "again", tmp_path / "side")
    assert len(files) == 2
    assert cv2.imread(str(files[0])).shape == (540, 1920, 3)


def test_composites_of_film_scans_are_seen_side_by_side_in_their_jobs_space(tmp_path):
    looks = []
    for space in ("cineon", "srgb"):
        open_job(tmp_path / space, JobRequest(shots=(SHOT,), colorspace=space))
        (tmp_path / space / "project" / "comp").mkdir(parents=True)
        write_picture(tmp_path / space / "project" / "comp" / "comp.1001.dpx", np.full((54, 96, 3), 0.7, np.float32))
        looks.append(tmp_path / space / "project")
    (file,) = side_by_side(looks[0], looks[1], tmp_path / "side")
    log, display = np.hsplit(cv2.imread(str(file)).astype(float), 2)
    assert display.mean() == pytest.approx(0.7 * 255, abs=4)
    assert abs(log.mean() - display.mean()) > 10


@pytest.mark.parametrize(
    "wanted",
    [
        ProjectRequest("decal.png", (30.0, 30.0), 1001),  # no skin there
        ProjectRequest("decal.png", CHEEK),  # no frame
        ProjectRequest("decal.png", blend="burn"),
        ProjectRequest("decal.png", width=0.0),
        ProjectRequest("absent.png"),
        ProjectRequest("decal.png", fit=True),  # the job has none
    ],
)
def test_what_cannot_be_projected_is_told(job, tmp_path, wanted, monkeypatch):
    cv2.imwrite(str(tmp_path / "decal.png"), np.full((8, 8, 3), 99, np.uint8))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError):
        run_project(request_of(job), job.folder, wanted)


def test_maps_without_a_fit_carry_the_plate_to_the_atlas_and_back(job, tmp_path):
    directions = ("pixel-to-uv", "pixel-to-reference")
    wanted = MapRequest(directions, 512, "tracks", reference=1001, mean=True, out=tmp_path / "maps")
    files = {file.name: file for file in write_maps(job.folder, wanted)}
    still = read_picture(files["pixel-to-reference.1001.exr"], "map")
    y, x = np.mgrid[:540, :960] + 0.5
    here = still[..., 3] > 0
    off = still[..., :2] * [960, -540] + [0, 540] - np.stack([x, y], -1)
    assert np.abs(off[here]).max() < 0.02
    assert 0.05 < here.mean() < 0.4
    back = MapRequest((), 512, "tracks", put_back=files["mean.exr"], out=tmp_path / "back")
    put = {file.name: file for file in write_maps(job.folder, back)}["put_back.1001.exr"]
    layer = read_picture(put, "layer")
    solid = cv2.erode((layer[..., 3] > 0.99).astype(np.uint8), np.ones((9, 9))) > 0
    assert solid.mean() > 0.04
    assert np.abs(layer[..., :3] - plate(1001) / 255)[solid].mean() < 0.03


def test_what_was_refused_does_not_bar_the_next_attempt(tmp_path):
    """A folder with settings and no pictures is free; one with pictures is not."""
    folder = tmp_path / "project"
    open_output(folder, {"at": [30, 30]}, overwrite=False)
    open_output(folder, {"at": [430, 310]}, overwrite=False)
    (folder / "rgba").mkdir()
    (folder / "rgba" / "rgba.1001.exr").write_bytes(b"x")
    open_output(folder, {"at": [430, 310]}, overwrite=False)  # goes on
    with pytest.raises(UserError, match="other pictures"):
        open_output(folder, {"at": [1, 1]}, overwrite=False)
