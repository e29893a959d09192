import numpy as np
import pytest
from facequery.detection.tracks import Tracks
from facequery.geometry.align import similarity_transform
from facequery.geometry.cameras import Camera
from facequery.geometry.rotations import euler_to_matrix
from facequery.head.actor import Actor
from facequery.head.layouts import load_layout
from facequery.head.model import HeadModel
from facequery.pipeline.fit import fit_job

CAMERA = Camera.pinhole(1280, 720, 1500.0)


@pytest.fixture(scope="module")
def model() -> HeadModel:
    return HeadModel.load()


@pytest.fixture(scope="module")
def identity(model) -> np.ndarray:
    return 0.7 * np.random.default_rng(3).standard_normal(len(model.identity_basis)).astype(np.float32)


def shot_of(model: HeadModel, identity: np.ndarray, yaws: tuple[float, ...]) -> Tracks:
    """Exact tracks of a neutral head that turns, half a metre before the camera."""
    queries = load_layout("dense520")
    canonical = model.points(queries, identity, None)
    to_camera = np.diag([1.0, -1.0, -1.0]) @ np.stack([euler_to_matrix(yaw, 0.0, 0.0) for yaw in yaws])
    points = canonical @ np.swapaxes(to_camera, 1, 2) + [0.0, 0.0, 0.5]
    shape = (len(yaws), len(queries))
    return Tracks(
        xy=CAMERA.project(points).astype(np.float32),
        sigma=np.full(shape, 0.5, np.float32),
        visible=np.ones(shape, np.float32),
        frames=np.arange(1, len(yaws) + 1),
        queries=queries,
        layouts={"dense520": (0, len(queries))},
        width=1280,
        height=720,
        fps=24.0,
        pixel_aspect=1.0,
    )


def test_what_a_shot_taught_about_a_person_serves_their_next(model, identity, tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    second.mkdir()
    learned = fit_job(first, [shot_of(model, identity, (-0.5, -0.2, 0.1, 0.4))], [CAMERA], ("face",))
    actor = Actor.load(first / "actor.npz")
    assert actor.offsets is not None
    np.testing.assert_array_equal(actor.identity, learned.face.identity)

    face = np.flatnonzero(model.region_mask("face"))
    own, truth = actor.vertices(model)[face], model.vertices(identity)[face]
    scale, turn, move = similarity_transform(own, truth)
    error = np.linalg.norm(scale * own @ turn.T + move - truth, axis=1)
    mean_head = np.linalg.norm(model.rest[face] - truth, axis=1)
    assert error.mean() < 0.0007 < mean_head.mean()

    again = fit_job(second, [shot_of(model, identity, (0.3, 0.0))], [CAMERA], ("face",), first / "actor.npz")
    np.testing.assert_array_equal(again.face.identity, actor.identity)
    np.testing.assert_allclose(again.face.offsets, actor.offsets, atol=1e-7)
    assert not (second / "actor.npz").exists()
