"""`facequery fit`: tracks fitted again with other settings, cameras and corrections, without tracking."""

import json
from pathlib import Path

import numpy as np
import pytest
from facequery.detection.tracks import Tracks
from facequery.errors import UserError
from facequery.fitting.results import ShotFit
from facequery.geometry.cameras import Camera
from facequery.geometry.rotations import euler_to_matrix
from facequery.head.actor import Actor
from facequery.head.layouts import load_layout
from facequery.head.model import HeadModel
from facequery.head.queries import QuerySet
from facequery.pipeline.fit import tracks_to_fit
from facequery.pipeline.fit_methods import run_fit as method
from facequery.pipeline.fit_stage import FitRequest, run_fit

CAMERA = Camera.pinhole(1280, 720, 1500.0)
FIXED = {"schema": "facequery.corrections", "version": 1}
QUICK = {"shape_spread": 0.0}


def tracks_of(model: HeadModel, queries: QuerySet, name: str) -> Tracks:
    """Exact tracks of a neutral head that turns, half a metre before the camera."""
    identity = 0.5 * np.random.default_rng(3).standard_normal(len(model.identity_basis)).astype(np.float32)
    yaw = np.linspace(-0.4, 0.4, 9)
    to_camera = np.diag([1.0, -1.0, -1.0]) @ euler_to_matrix(yaw, 0.1 * yaw, 0.0)
    points = model.points(queries, identity, None) @ np.swapaxes(to_camera, 1, 2) + [0.0, 0.0, 0.5]
    shape = (len(yaw), len(queries))
    xy = CAMERA.project(points).astype(np.float32)
    xy += np.random.default_rng(4).normal(size=xy.shape).astype(np.float32) * 0.3
    return Tracks(
        xy, np.full(shape, 0.3, np.float32), np.ones(shape, np.float32), np.arange(1001, 1010), queries,
        {name: (0, len(queries))}, 1280, 720, 24.0,
    )  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of tracks: the user's own points, those for a fit beside them, and a first fit with a known camera."""
    model = HeadModel.load()
    where = tmp_path_factory.mktemp("job")
    tracks_of(model, QuerySet.concat([load_layout("skull").subset(np.arange(5))]), "mine").save(where)
    (where / "fit").mkdir()
    tracks_of(model, load_layout("ibug68"), "fit").save(where / "fit")
    (where / "camera_known.json").write_text(json.dumps(CAMERA.to_dict()))
    run_fit([where], FitRequest(cameras=(str(where / "camera_known.json"),), settings=QUICK))
    return where


def test_a_first_fit_leaves_all_its_files(folder: Path) -> None:
    fit = ShotFit.load(folder)
    assert fit.quality.mean_reprojection < 0.6 and set(fit.quality.status) == {"good"}
    assert not fit.quality.focal_solved[0]
    assert json.loads((folder / "fit.json").read_text())["settings"] == QUICK
    assert Actor.load(folder / "actor.npz").locked


def test_a_camera_is_solved_and_the_results_go_elsewhere(folder: Path, tmp_path: Path) -> None:
    before = (folder / "fit.json").read_bytes()
    result = run_fit([folder], FitRequest(fits=("skull",), cameras=("solve",), settings=QUICK), tmp_path / "other")
    assert result.fit is not None and result.fit.quality.focal_solved[0]
    assert (tmp_path / "other" / "skull.npz").is_file() and not (tmp_path / "other" / "face.npz").exists()
    assert (folder / "fit.json").read_bytes() == before


def test_corrections_hold_are_kept_and_a_range_leaves_the_rest(folder: Path, tmp_path: Path) -> None:
    plain = ShotFit.load(folder)
    own = Tracks.load(folder)
    wanted = own.xy[4, 2] + [3.0, -2.0]
    pins = [{"frame": 1005, "landmark": own.queries.ids[2], "xy": wanted.tolist()}]
    used = tracks_to_fit(folder, also=(own.queries.ids[2],))
    assert len(used.queries) == 69 and used.queries.ids[68] == own.queries.ids[2]
    request = FitRequest(corrections=FIXED | {"pins": pins, "fade": 2}, frames=(1003, 1007), settings=QUICK)
    fit = run_fit([folder], request, tmp_path).fit
    assert fit is not None
    model = HeadModel.load()
    neutral = model.vertices(fit.face.identity, fit.face.expression[4]) + fit.face.offsets
    point = model.bind(own.queries.positions[2:3]).moved(neutral, model.rest)
    seen = CAMERA.project((point @ fit.face.rotation[4].T + fit.face.translation[4])[None])[0, 0]
    np.testing.assert_allclose(seen, wanted, atol=0.05)
    np.testing.assert_array_equal(fit.face.vertices[[0, 1, 7, 8]], plain.face.vertices[[0, 1, 7, 8]])
    assert json.loads((tmp_path / "corrections.json").read_text())["pins"] == pins
    np.testing.assert_allclose(ShotFit.load(tmp_path).face.vertices, fit.face.vertices)


def test_an_actor_keeps_their_shape(folder: Path, tmp_path: Path) -> None:
    request = FitRequest(actor=str(folder / "actor.npz"), cameras=("solve",), settings=QUICK)
    fit = run_fit([folder], request, tmp_path).fit
    assert fit is not None
    np.testing.assert_array_equal(fit.face.identity, Actor.load(folder / "actor.npz").identity)
    assert not (tmp_path / "actor.npz").exists()


def test_the_worker_fits_and_can_be_stopped(folder: Path, tmp_path: Path) -> None:
    class Context:
        def __init__(self, last: int) -> None:
            self.calls, self.last = 0, last

        def progress(self, step: str, done: int, total: int) -> None:
            assert 0 <= done <= total
            self.calls += 1
            if self.calls > self.last:
                raise InterruptedError

    params = {"folder": str(folder), "out": str(tmp_path / "a"), "frames": [1002, 1004], "settings": QUICK}
    answer = method(params, Context(10_000))  # type: ignore[arg-type]
    assert "fit.json" in answer["files"] and json.loads(json.dumps(answer))["summary"]
    with pytest.raises(InterruptedError):
        method(params | {"out": str(tmp_path / "b")}, Context(1))  # type: ignore[arg-type]
    assert not (tmp_path / "b" / "fit.json").exists()
    wrongs: list[dict[str, object]] = [{"frames": [5, 1]}, {"fits": "face"}, {"corrections": []}, {"out": 3}]
    for wrong in wrongs:
        with pytest.raises(UserError):
            method(params | wrong, Context(10_000))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        (FitRequest(settings={"speed": 3}), "no setting"),
        (FitRequest(settings={"iterations": "many"}), "number from 1"),
        (FitRequest(settings={"iterations": 0}), "number from 1"),
        (FitRequest(settings={"robust": "0"}), "above 0"),
        (FitRequest(settings={"common_errors": 2}), "from 0 to 1"),
        (FitRequest(settings={"shape_spread": "nan"}), "from 0"),
        (FitRequest(points="all"), "points"),
        (FitRequest(cameras=("solve", "solve")), "cameras"),
        (FitRequest(frames=(1, 5)), "no frame"),
        (FitRequest(frames=(1002, 1003), actor="x.npz"), "keeps the camera"),
        (FitRequest(corrections={"schema": "x"}), "no corrections"),
        (FitRequest(corrections=FIXED | {"pins": [{"frame": 1, "landmark": 0, "xy": [0, 0]}]}), "frame 1"),
    ],
)
def test_a_wrong_request_is_refused_and_writes_nothing(
    folder: Path, tmp_path: Path, request_: FitRequest, words: str
) -> None:
    with pytest.raises(UserError, match=words):
        run_fit([folder], request_, tmp_path / "new")
    assert not list((tmp_path / "new").glob("*")) if (tmp_path / "new").exists() else True


def test_what_is_no_folder_of_tracks_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="neither"):
        run_fit([tmp_path], FitRequest())
