"""Fits of exact synthetic shots, seen from outside."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from facequery.errors import UserError
from facequery.fitting.fit import fit_shot
from facequery.fitting.results import ShotFit
from facequery.fitting.settings import FitSettings
from facequery.geometry.cameras import Camera
from facequery.geometry.rotations import axis_angle_to_matrix
from scenes import Truth, degrees_between, hide, make_tracks, make_truth
from toy_head import ToyActor, ToyHead

PLAIN = FitSettings(shape_spread=0.0)  # identity alone: exact where the truth is the model's, and faster


def shape_error(head: ToyHead, fit: ShotFit, truth: Truth) -> float:
    """Mean distance of neutral skin vertices in millimetres."""
    gap = head.vertices(fit.face.identity) + fit.face.offsets - head.vertices(truth.identity)
    return 1000 * float(np.linalg.norm(gap[head.parts["skin"].vertices], axis=1).mean())


def jaw_error(fit: ShotFit, truth: Truth) -> float:
    """Greatest angle between found and true jaw, relative to the skull, in degrees."""
    relative = np.swapaxes(fit.skull.rotation, 1, 2) @ fit.jaw.rotation
    return float(degrees_between(relative, truth.jaw[0]).max())


@pytest.mark.parametrize("known", [True, False])
def test_exact_tracks_give_back_everything(head: ToyHead, known: bool) -> None:
    truth = make_truth(head, frames=10)
    fit = fit_shot(head, [make_tracks(truth)], [truth.camera if known else None])
    assert fit.quality.mean_reprojection < 0.05
    assert shape_error(head, fit, truth) < 0.05
    assert degrees_between(fit.skull.rotation, truth.rotation).max() < 0.05
    # Exact tracks might all be wrong together by their sigma: a distance that has to be found is not surer than that.
    np.testing.assert_allclose(fit.skull.translation, truth.translation, atol=5e-4 if known else 1e-3)
    assert jaw_error(fit, truth) < 0.1
    assert np.abs(fit.face.expression - truth.expression).max() < 0.1
    assert fit.cameras[0].fx[0] == pytest.approx(1500.0, rel=2e-3)
    assert fit.quality.focal_solved == [not known]
    assert set(fit.quality.status) == {"good"}
    expected = head.vertices(truth.identity, truth.expression, truth.eyes) @ np.swapaxes(truth.rotation, 1, 2)
    expected = (expected + truth.translation[:, None])[:, : fit.face.vertices.shape[1]]
    assert np.linalg.norm(fit.face.vertices - expected, axis=2).mean() < (5e-4 if known else 1e-3)


def test_rigid_parts_are_the_head_that_was_fitted(head: ToyHead) -> None:
    truth = make_truth(head, frames=6)
    fit = fit_shot(head, [make_tracks(truth)], [truth.camera], PLAIN)
    whole = head.vertices(truth.identity, truth.expression, truth.eyes) @ np.swapaxes(truth.rotation, 1, 2)
    whole = whole + truth.translation[:, None]
    for f in (0, 5):
        mandible, cranium = head.parts["mandible"].vertices, head.parts["cranium"].vertices
        count = mandible.stop - mandible.start
        assert np.abs(fit.jaw.placed(f)[:count] - whole[f, mandible]).max() < 5e-4
        assert np.abs(fit.skull.placed(f)[: cranium.stop - cranium.start] - whole[f, cranium]).max() < 5e-4
    assert fit.jaw.triangles.max() < len(fit.jaw.vertices)


def test_noise_gives_a_good_fit_and_an_honest_quality(head: ToyHead) -> None:
    truth = make_truth(head, frames=16, count=200)
    fit = fit_shot(head, [make_tracks(truth, noise=1.0, sigma=1.0)], [truth.camera])
    assert 1.0 < fit.quality.mean_reprojection < 1.6  # 2-D noise of 1 px per axis is 1.41 px
    assert fit.quality.model_error < 2e-4
    assert shape_error(head, fit, truth) < 0.8
    assert degrees_between(fit.skull.rotation, truth.rotation).max() < 0.6
    assert 0.01 < np.median(fit.quality.rotation_sigma) < 0.5


def test_outliers_do_not_pull(head: ToyHead) -> None:
    truth = make_truth(head, frames=8, count=200)
    tracks = make_tracks(truth, noise=0.5, sigma=0.5)
    rng = np.random.default_rng(0)
    wrong = rng.random(tracks.xy.shape[:2]) < 0.15
    xy = np.where(wrong[..., None], tracks.xy + rng.normal(size=tracks.xy.shape) * 60, tracks.xy)
    fit = fit_shot(head, [replace(tracks, xy=xy)], [truth.camera], PLAIN)
    assert shape_error(head, fit, truth) < 0.8
    assert degrees_between(fit.skull.rotation, truth.rotation).max() < 0.6


def test_moving_the_principal_point_moves_only_the_camera(head: ToyHead) -> None:
    truth = make_truth(head, frames=6)
    shifted = Camera.pinhole(1280, 720, 1500.0, cx=700.0, cy=300.0)
    one = fit_shot(head, [make_tracks(truth)], [truth.camera], PLAIN)
    two = fit_shot(head, [make_tracks(truth, shifted)], [shifted], PLAIN)
    np.testing.assert_allclose(one.face.translation, two.face.translation, atol=2e-5)
    np.testing.assert_allclose(one.face.identity, two.face.identity, atol=5e-3)


def test_a_mirrored_shot_gives_the_mirrored_fit(head: ToyHead) -> None:
    truth = make_truth(head, frames=6, count=10_000)
    tracks = make_tracks(truth)
    order = np.argmin(
        ((tracks.queries.positions[:, None] * [-1, 1, 1] - tracks.queries.positions[None]) ** 2).sum(-1), axis=1
    )
    xy = tracks.xy[:, order] * [-1, 1] + [1280, 0]
    one = fit_shot(head, [tracks], [truth.camera], PLAIN)
    two = fit_shot(head, [replace(tracks, xy=xy)], [truth.camera], PLAIN)
    flip = np.diag([-1.0, 1.0, 1.0])
    np.testing.assert_allclose(two.face.translation, one.face.translation @ flip, atol=1e-4)
    np.testing.assert_allclose(two.face.rotation, flip @ one.face.rotation @ flip, atol=2e-4)
    sign = np.where(head.odd, -1.0, 1.0)
    np.testing.assert_allclose(two.face.identity, sign * one.face.identity, atol=2e-2)
    left, right = (head.expression_names.index("mouthSmile" + s) for s in ("Left", "Right"))
    np.testing.assert_allclose(two.face.expression[:, left], one.face.expression[:, right], atol=1e-2)


def test_smoothing_has_no_lag(head: ToyHead) -> None:
    truth = make_truth(head, frames=24)
    tracks = make_tracks(truth, noise=1.0, sigma=1.0)
    forward = fit_shot(head, [tracks], [truth.camera], PLAIN)
    backward = fit_shot(head, [replace(tracks, xy=tracks.xy[::-1].copy())], [truth.camera], PLAIN)
    np.testing.assert_allclose(forward.face.translation, backward.face.translation[::-1], atol=3e-4)
    opened = head.expression_names.index("jawOpen")
    found, true = forward.face.expression[:, opened], truth.expression[:, opened]
    lags = [np.abs(found[2 + k : 22 + k] - true[2:22]).mean() for k in (-1, 0, 1)]
    assert np.argmin(lags) == 1


def test_a_still_head_does_not_jitter(head: ToyHead) -> None:
    truth = make_truth(head, frames=1)
    still = replace(truth, points=np.repeat(truth.points, 20, axis=0))
    fit = fit_shot(head, [make_tracks(still, noise=1.0, sigma=1.0)], [truth.camera], PLAIN)
    mean = fit.skull.rotation.mean(0)
    jitter = degrees_between(fit.skull.rotation, np.repeat(mean[None], 20, 0))
    assert np.sqrt((jitter**2).mean()) < 0.15


def test_a_locked_actor_keeps_their_shape(head: ToyHead) -> None:
    truth = make_truth(head, frames=5)
    actor = ToyActor("someone", truth.identity.astype(np.float32))
    fit = fit_shot(head, [make_tracks(truth, noise=1.0, sigma=1.0)], [None], PLAIN, actor=actor)
    np.testing.assert_array_equal(fit.face.identity, actor.identity)
    assert fit.cameras[0].fx[0] == pytest.approx(1500.0, rel=0.03)


def test_an_actors_own_shape_is_part_of_the_meshes(head: ToyHead) -> None:
    truth = make_truth(head, frames=5)
    own = np.zeros_like(head.rest)
    own[head.parts["skin"].vertices] = [0.0, 0.002, 0.003]
    other = ToyHead()
    other.rest = head.rest + own
    moved = make_truth(other, frames=5)
    moved = replace(moved, queries=truth.queries)
    fit = fit_shot(head, [make_tracks(moved)], [moved.camera], PLAIN, actor=ToyActor("someone", moved.identity, own))
    assert fit.quality.mean_reprojection < 0.05
    expected = other.vertices(moved.identity, moved.expression) @ np.swapaxes(moved.rotation, 1, 2)
    expected = (expected + moved.translation[:, None])[:, : fit.face.vertices.shape[1]]
    skin = head.parts["skin"].vertices
    assert np.abs(fit.face.vertices[:, skin] - expected[:, skin]).max() < 1e-3


def two_cameras(truth: Truth) -> tuple[Camera, Camera]:
    """The truth's camera, and one half a metre to its left that looks at the face."""
    rotation = axis_angle_to_matrix(np.array([0.0, 0.6, 0.0]))
    pivot = np.array([0.0, 0.0, 0.7])
    second = Camera.pinhole(1280, 720, 1300.0)
    return truth.camera, replace(second, rotation=rotation[None], translation=(pivot - rotation @ pivot)[None])


def test_two_known_views_find_the_size_of_the_head(head: ToyHead) -> None:
    truth = make_truth(head, frames=6)
    cameras = two_cameras(truth)
    tracks = [make_tracks(truth, camera) for camera in cameras]
    fit = fit_shot(head, tracks, list(cameras), PLAIN)
    assert fit.quality.mean_reprojection < 0.05
    assert shape_error(head, fit, truth) < 0.05


def test_an_unknown_second_camera_is_placed_by_the_face(head: ToyHead) -> None:
    truth = make_truth(head, frames=6)
    cameras = two_cameras(truth)
    tracks = [make_tracks(truth, camera) for camera in cameras]
    for given in ([cameras[0], replace(cameras[1], rotation=None, translation=None)], [cameras[0], None], [None, None]):
        fit = fit_shot(head, tracks, given, PLAIN)
        assert fit.quality.mean_reprojection < 0.05
        second = fit.cameras[1]
        assert second.rotation is not None and cameras[1].rotation is not None
        assert degrees_between(second.rotation, cameras[1].rotation).max() < 0.2
        assert second.fx[0] == pytest.approx(1300.0, rel=5e-3)


def test_a_moving_zooming_camera_is_left_as_it_is(head: ToyHead) -> None:
    truth = make_truth(head, frames=8)
    sway = axis_angle_to_matrix(np.linspace(0, 0.1, 8)[:, None] * np.array([0.2, 1.0, 0.1]))
    camera = replace(
        Camera.pinhole(1280, 720, np.linspace(1200, 1600, 8)),
        rotation=sway,
        translation=np.linspace(0, 0.05, 8)[:, None] * np.ones(3),
    )
    fit = fit_shot(head, [make_tracks(truth, camera)], [camera], PLAIN)
    assert fit.quality.mean_reprojection < 0.05
    assert fit.cameras[0] is not None
    np.testing.assert_array_equal(fit.cameras[0].fx, camera.fx)
    seen = np.einsum("fij,fj->fi", sway, truth.translation) + camera.translation
    np.testing.assert_allclose(fit.face.translation, seen, atol=5e-4)


def test_hidden_lost_and_nan_landmarks_are_bridged_and_told(head: ToyHead) -> None:
    truth = make_truth(head, frames=14)
    tracks = make_tracks(truth, noise=0.3, sigma=0.3)
    keep = np.ones(tracks.xy.shape[:2], bool)
    keep[6:8] = False
    keep[3, ::2] = False
    fit = fit_shot(head, [hide(tracks, keep)], [truth.camera], PLAIN)
    assert [f for f, s in zip(fit.quality.frames, fit.quality.status, strict=True) if s == "bridged"] == [1007, 1008]
    assert np.isfinite(fit.face.vertices).all()
    assert np.isnan(fit.quality.reprojection[6])
    assert degrees_between(fit.skull.rotation, truth.rotation)[6:8].max() < 3.0
    assert {1007, 1008} <= set(fit.quality.worst_frames)
    assert any("bridged" in note for note in fit.quality.notes)


def test_a_gap_in_the_numbering_is_a_gap_in_time(head: ToyHead) -> None:
    truth = make_truth(head, frames=20)
    tracks = make_tracks(truth, noise=0.3, sigma=0.3)
    keep = np.r_[0:6, 12:20]
    part = replace(
        tracks, xy=tracks.xy[keep], sigma=tracks.sigma[keep], visible=tracks.visible[keep], frames=tracks.frames[keep]
    )
    fit = fit_shot(head, [part], [truth.camera], PLAIN)
    assert degrees_between(fit.skull.rotation, truth.rotation[keep]).max() < 0.5


def test_one_frame_is_fitted_and_the_doubt_is_told(head: ToyHead) -> None:
    truth = make_truth(head, frames=1)
    fit = fit_shot(head, [make_tracks(truth, noise=0.5, sigma=0.5)], [None])
    assert fit.quality.mean_reprojection < 1.0
    low, high = fit.quality.focal_interval[0]
    assert low < 1500 < high
    assert any("One frame" in note for note in fit.quality.notes)


def test_a_profile_is_fitted(head: ToyHead) -> None:
    truth = make_truth(head, frames=6)
    turn = truth.rotation @ axis_angle_to_matrix(np.array([0, np.pi / 2, 0]))
    centre = np.einsum("fij,fnj->fni", truth.rotation.transpose(0, 2, 1), truth.points - truth.translation[:, None])
    points = np.einsum("fij,fnj->fni", turn, centre) + truth.translation[:, None]
    tracks = make_tracks(replace(truth, points=points), noise=0.5, sigma=0.5)
    near = points[..., 2] < points[..., 2].mean(1, keepdims=True)  # the far half of the head is hidden
    fit = fit_shot(head, [hide(tracks, near)], [truth.camera], PLAIN)
    assert degrees_between(fit.skull.rotation, turn).max() < 2.0
    assert fit.quality.mean_reprojection < 1.0


def test_what_cannot_be_fitted_is_refused(head: ToyHead) -> None:
    truth = make_truth(head, frames=3)
    tracks = make_tracks(truth)
    nothing = np.zeros(tracks.xy.shape[:2], bool)
    with pytest.raises(UserError, match="No frame shows"):
        fit_shot(head, [hide(tracks, nothing)], [None])
    two = replace(truth, queries=type(truth.queries)(truth.queries.positions[:2]), points=truth.points[:, :2])
    with pytest.raises(UserError, match="2 landmarks do not determine"):
        fit_shot(head, [make_tracks(two)], [None])
    with pytest.raises(UserError, match="other frames"):
        fit_shot(head, [tracks, replace(tracks, frames=tracks.frames + 1)], [None, None])
    with pytest.raises(UserError, match="cameras"):
        fit_shot(head, [tracks], [])
    with pytest.raises(UserError, match="no tracks"):
        fit_shot(head, [], [])
    with pytest.raises(UserError, match="another head"):
        fit_shot(head, [tracks], [None], actor=ToyActor("x", np.zeros(3)))


def test_landmarks_that_are_no_face_are_refused_and_hidden_ones_doubted(head: ToyHead) -> None:
    truth = make_truth(head, frames=6, count=60)
    tracks = make_tracks(truth, noise=0.5, sigma=0.5)
    rng = np.random.default_rng(0)
    for xy in (rng.uniform(0, 720, tracks.xy.shape), np.full_like(tracks.xy, 400.0), tracks.xy * [1, 0]):
        with pytest.raises(UserError):
            fit_shot(head, [replace(tracks, xy=xy)], [truth.camera], PLAIN)
    hidden = fit_shot(head, [replace(tracks, visible=np.zeros_like(tracks.visible))], [truth.camera], PLAIN)
    assert set(hidden.quality.status) == {"doubtful"}
    vague = fit_shot(head, [replace(tracks, sigma=np.full_like(tracks.sigma, 500.0))], [truth.camera], PLAIN)
    assert set(vague.quality.status) == {"doubtful"}


def test_results_survive_saving(head: ToyHead, tmp_path: Path) -> None:
    truth = make_truth(head, frames=4)
    fit = fit_shot(head, [make_tracks(truth, camera) for camera in two_cameras(truth)], list(two_cameras(truth)))
    fit.save(tmp_path / "job")
    again = ShotFit.load(tmp_path / "job")
    for part in ("face", "skull", "jaw"):
        one, two = getattr(fit, part), getattr(again, part)
        for name in one.__dataclass_fields__:
            np.testing.assert_array_equal(getattr(one, name), getattr(two, name))
    assert again.quality == fit.quality or again.quality.to_dict() == fit.quality.to_dict()
    assert len(again.cameras) == 2
    with np.load(tmp_path / "job" / "face.npz") as file:
        assert {"vertices", "triangles", "identity", "expression", "expression_names", "eye_rotation", "rotation",
                "translation"} <= set(file.files)  # fmt: skip
    (tmp_path / "job" / "skull.npz").write_bytes(b"no")
    with pytest.raises(UserError, match="not a fit"):
        ShotFit.load(tmp_path / "job")
