"""Corrections by hand hold at their frame, fade out around it, and leave the rest alone."""

from dataclasses import replace

import numpy as np
import pytest
from facequery.errors import UserError
from facequery.fitting.corrections import Corrections, Ignored, KeyedPose, Pin, corrections_from_dict, fade_weights
from facequery.fitting.fit import fit_shot
from facequery.fitting.refit import refit_range
from facequery.fitting.results import ShotFit
from facequery.fitting.settings import FitSettings
from facequery.geometry.cameras import Camera
from facequery.geometry.lens import Lens
from facequery.geometry.rotations import axis_angle_to_matrix
from scenes import degrees_between, make_tracks, make_truth
from toy_head import ToyHead

PLAIN = FitSettings(shape_spread=0.0)


def landmark_pixels(head: ToyHead, fit: ShotFit, positions: np.ndarray, index: int) -> np.ndarray:
    """(F, 2) where the fitted head shows a landmark of the skin."""
    vertex = head.bind(positions[index : index + 1]).indices[0, 0]
    return fit.cameras[0].project(fit.face.vertices[:, vertex : vertex + 1].astype(np.float64))[:, 0]


def test_fading_is_one_at_the_key_and_gone_at_its_neighbours() -> None:
    share = fade_weights(np.arange(20), np.array([5, 9]), 4)
    assert share[5, 0] == 1 and share[9, 1] == 1 and share[9, 0] == 0 and share[5, 1] == 0
    assert (share[:1] == 0).all() and (share[14:] == 0).all()
    assert (np.diff(share[1:6, 0]) > 0).all()


@pytest.mark.parametrize("settings", [PLAIN, replace(PLAIN, common_errors=1)])
def test_a_pinned_landmark_is_met_and_far_frames_do_not_change(head: ToyHead, settings: FitSettings) -> None:
    truth = make_truth(head, frames=24, count=120)
    tracks = make_tracks(truth, noise=0.5, sigma=0.5)
    index = 10  # on the skin, which comes first
    plain = fit_shot(head, [tracks], [truth.camera], settings)
    wanted = landmark_pixels(head, plain, tracks.queries.positions, index)[12] + [6.0, -4.0]
    pin = Pin(int(tracks.frames[12]), index, (float(wanted[0]), float(wanted[1])))
    fit = fit_shot(head, [tracks], [truth.camera], settings, corrections=Corrections(pins=(pin,), fade=5))
    found = landmark_pixels(head, fit, tracks.queries.positions, index)
    assert np.abs(found[12] - wanted).max() < 0.01
    before = landmark_pixels(head, plain, tracks.queries.positions, index)
    moved = np.linalg.norm(found - before, axis=1)
    assert moved[12] > moved[14] > moved[17]
    others = [landmark_pixels(head, one, tracks.queries.positions, 30)[12] for one in (plain, fit)]
    assert np.linalg.norm(others[1] - others[0]) < 0.5 * moved[12]
    beyond = np.abs(np.arange(24) - 12) > 5
    np.testing.assert_array_equal(fit.face.vertices[beyond], plain.face.vertices[beyond])
    assert fit.quality.status[12] == "good"


def test_a_keyed_pose_is_met_exactly_and_fades(head: ToyHead) -> None:
    truth = make_truth(head, frames=20, count=120)
    tracks = make_tracks(truth, noise=0.3, sigma=0.3)
    plain = fit_shot(head, [tracks], [truth.camera], PLAIN)
    rotation = axis_angle_to_matrix(np.array([0.0, 0.06, 0.02])) @ plain.face.rotation[10]
    translation = plain.face.translation[10] + [0.004, 0.0, 0.01]
    key = KeyedPose(int(tracks.frames[10]), rotation, translation)
    fit = fit_shot(head, [tracks], [truth.camera], PLAIN, corrections=Corrections(poses=(key,), fade=4))
    np.testing.assert_allclose(fit.skull.rotation[10], rotation, atol=1e-9)
    np.testing.assert_allclose(fit.skull.translation[10], translation, atol=1e-9)
    np.testing.assert_array_equal(fit.face.expression, plain.face.expression)  # the face goes with the head
    turned = degrees_between(fit.skull.rotation, plain.skull.rotation)
    assert turned[10] > turned[12] > turned[15]
    np.testing.assert_array_equal(fit.skull.rotation[:6], plain.skull.rotation[:6])


def test_a_pose_far_from_the_landmarks_is_taken_and_what_fades_into_it_doubted(head: ToyHead) -> None:
    truth = make_truth(head, frames=5, count=80)
    tracks = make_tracks(truth, noise=0.3, sigma=0.3)
    key = KeyedPose(int(tracks.frames[2]), truth.rotation[2], truth.translation[2] + [0.0, 0.1, 0.0])
    fit = fit_shot(head, [tracks], [truth.camera], PLAIN, corrections=Corrections(poses=(key,)))
    np.testing.assert_allclose(fit.face.translation[2], key.translation, atol=1e-9)
    assert list(fit.quality.status) == ["doubtful", "doubtful", "good", "doubtful", "doubtful"]


def test_an_ignored_landmark_says_nothing(head: ToyHead) -> None:
    truth = make_truth(head, frames=8, count=80)
    tracks = make_tracks(truth)
    xy = tracks.xy.copy()
    xy[:, 7] += 3.0  # too little for the robust kernel to drop it
    wrong = replace(tracks, xy=xy, sigma=np.full_like(tracks.sigma, 2.0))
    ignored = Corrections(ignored=(Ignored(7, int(tracks.frames[0]), int(tracks.frames[-1])),))
    right = replace(wrong, sigma=wrong.sigma.copy())
    right.sigma[:, 7] = np.nan
    one = fit_shot(head, [wrong], [truth.camera], PLAIN, corrections=ignored)
    two = fit_shot(head, [right], [truth.camera], PLAIN)
    np.testing.assert_allclose(one.face.translation, two.face.translation, atol=2e-4)


def test_a_range_is_fitted_again_and_the_rest_is_untouched(head: ToyHead) -> None:
    truth = make_truth(head, frames=30, count=100)
    tracks = make_tracks(truth, noise=0.3, sigma=0.3)
    bad = tracks.xy.copy()
    bad[10:14] += 25.0
    before = fit_shot(head, [replace(tracks, xy=bad)], [truth.camera], PLAIN)
    first, last = int(tracks.frames[9]), int(tracks.frames[15])
    after = refit_range(head, [tracks], before, first, last, PLAIN)
    np.testing.assert_array_equal(after.face.vertices[:9], before.face.vertices[:9])
    np.testing.assert_array_equal(after.jaw.rotation[16:], before.jaw.rotation[16:])
    np.testing.assert_array_equal(after.face.identity, before.face.identity)
    # What was wrong before is right again, in the place where the tracks are.
    gap = np.linalg.norm(after.face.translation - truth.translation, axis=1)
    assert gap[9:16].max() < 0.25 * np.linalg.norm(before.face.translation - truth.translation, axis=1)[11]
    with pytest.raises(UserError, match="no frame"):
        refit_range(head, [tracks], before, 5, 7, PLAIN)


def test_pins_of_several_landmarks_open_the_mouth_rather_than_move_the_head(head: ToyHead) -> None:
    truth = make_truth(head, frames=9, count=160)
    tracks = make_tracks(truth, noise=0.3, sigma=0.3)
    fit = fit_shot(head, [tracks], [truth.camera], PLAIN)
    carried = np.asarray(head.jaw_weight)[head.bind(tracks.queries.positions).indices[:, 0]]
    on_jaw = np.flatnonzero((carried > 0.9) & (tracks.queries.positions[:, 1] < -0.03))[:3]
    assert len(on_jaw) == 3
    opened = np.asarray(fit.face.expression[4:5], np.float64)
    opened[0, list(head.expression_names).index("jawOpen")] += 0.15
    moved = head.bind(tracks.queries.positions).moved(head.vertices(fit.face.identity, opened), head.rest)
    seen = truth.camera.project(moved @ fit.face.rotation[4].T + fit.face.translation[4])[0]
    pins = tuple(Pin(int(tracks.frames[4]), int(k), (float(seen[k, 0]), float(seen[k, 1]))) for k in on_jaw)
    held = fit_shot(head, [tracks], [truth.camera], PLAIN, corrections=Corrections(pins=pins, fade=2))
    at = list(head.expression_names).index("jawOpen")
    assert held.face.expression[4, at] - fit.face.expression[4, at] > 0.1
    assert degrees_between(held.skull.rotation[4:5], fit.skull.rotation[4:5])[0] < 0.3
    assert not held.quality.notes


def test_a_pin_in_the_second_view_is_met_through_its_lens(head: ToyHead) -> None:
    truth = make_truth(head, frames=6, count=100)
    turn = axis_angle_to_matrix(np.array([0.0, 0.5, 0.0]))
    pivot = np.array([0.0, 0.0, 0.7])
    side = replace(
        Camera.pinhole(1280, 720, 1300.0),
        lens=Lens("polynomial", np.array([0.1, 0.0, 0.0])),
        rotation=turn[None],
        translation=(pivot - turn @ pivot)[None],
    )
    tracks = [make_tracks(truth, noise=0.3, sigma=0.3), make_tracks(truth, side, noise=0.3, sigma=0.3, seed=5)]
    index = 10
    wanted = tracks[1].xy[3, index] + [8.0, 5.0]
    pin = Pin(int(tracks[1].frames[3]), index, (float(wanted[0]), float(wanted[1])), view=1)
    fit = fit_shot(head, tracks, [truth.camera, side], PLAIN, corrections=Corrections(pins=(pin,)))
    vertex = head.bind(tracks[0].queries.positions[index : index + 1]).indices[0, 0]
    seen = side.project(side.to_camera(fit.face.vertices[3:4, vertex : vertex + 1].astype(np.float64)))[0, 0]
    np.testing.assert_allclose(seen, wanted, atol=0.02)


def test_a_pin_that_cannot_be_met_is_told(head: ToyHead) -> None:
    truth = make_truth(head, frames=3, count=60)
    tracks = make_tracks(truth)
    frame, here = int(tracks.frames[1]), tracks.xy[1, 10]
    pins = tuple(Pin(frame, 10, (float(here[0] + dx), float(here[1]))) for dx in (0.0, 40.0))
    fit = fit_shot(head, [tracks], [truth.camera], PLAIN, corrections=Corrections(pins=pins))
    assert any("missed by" in note for note in fit.quality.notes)


def test_a_pin_that_turns_the_head_is_told_and_one_that_an_expression_reaches_is_not(head: ToyHead) -> None:
    truth = make_truth(head, frames=3, count=60)
    tracks = make_tracks(truth)
    frame, here = int(tracks.frames[1]), tracks.xy[1, 10]
    told = []
    for dx in (3.0, 90.0):
        pins = Corrections(pins=(Pin(frame, 10, (float(here[0] + dx), float(here[1]))),), fade=0)
        told.append(fit_shot(head, [tracks], [truth.camera], PLAIN, corrections=pins).quality.notes)
    assert not any("turn the head" in note for note in told[0])
    assert any("turn the head" in note for note in told[1])


def test_a_refitted_range_joins_what_is_beside_it(head: ToyHead) -> None:
    truth = make_truth(head, frames=24, count=100)
    tracks = make_tracks(truth, noise=0.5, sigma=0.5)
    before = fit_shot(head, [tracks], [truth.camera], PLAIN)
    first, last = int(tracks.frames[8]), int(tracks.frames[15])
    again = refit_range(head, [tracks], before, first, last, PLAIN)
    assert degrees_between(again.face.rotation, before.face.rotation).max() < 0.05
    pose = KeyedPose(first, before.face.rotation[8], before.face.translation[8] + [0.01, 0.0, 0.0])
    held = refit_range(head, [tracks], before, first, last, PLAIN, Corrections(poses=(pose,)))
    np.testing.assert_allclose(held.face.translation[8], pose.translation, atol=1e-9)
    np.testing.assert_array_equal(held.face.vertices[[7, 16]], before.face.vertices[[7, 16]])
    part = replace(
        tracks, xy=tracks.xy[1:], sigma=tracks.sigma[1:], visible=tracks.visible[1:], frames=tracks.frames[1:]
    )
    with pytest.raises(UserError, match="other frames"):
        refit_range(head, [part], before, first, last, PLAIN)


def test_corrections_are_read_from_their_document() -> None:
    document = {
        "schema": "facequery.corrections", "version": 1, "fade": 5,
        "pins": [{"frame": 3, "landmark": "a.1", "xy": [1.5, 2], "view": 2}],
        "poses": [{"frame": 4, "rotation": np.eye(3).tolist(), "translation": [0, 0, 1]}],
        "ignored": [{"landmark": "chin", "first": 1, "last": 2}, {"landmark": 0, "first": 1, "last": 1, "view": 1}],
    }  # fmt: skip
    made = corrections_from_dict(document, ["a.0", "a.1"], ["chin", "nose"], views=2)
    assert made.pins == (Pin(3, 1, (1.5, 2.0), 1),) and made.fade == 5
    assert made.ignored == (Ignored(0, 1, 2), Ignored(0, 1, 1, 0))
    np.testing.assert_array_equal(made.poses[0].translation, [0, 0, 1])


@pytest.mark.parametrize(
    "change",
    [
        {"schema": "other"}, {"version": 2}, {"pin": []}, {"fade": -1}, {"pins": [3]},
        {"pins": [{"frame": 1, "landmark": "tail", "xy": [0, 0]}]},
        {"pins": [{"frame": 1, "landmark": 0, "xy": [0]}]},
        {"pins": [{"frame": 1.5, "landmark": 0, "xy": [0, 0]}]},
        {"pins": [{"frame": 1, "landmark": 0, "xy": [0, 0], "view": 2}]},
        {"poses": [{"frame": 1, "rotation": [1, 2, 3], "translation": [0, 0, 1]}]},
        {"ignored": [{"landmark": 0, "first": 3, "last": 2}]},
    ],
)  # fmt: skip
def test_a_document_that_is_none_is_refused(change: dict) -> None:
    with pytest.raises(UserError, match=r"orrection|ignored"):
        corrections_from_dict({"schema": "facequery.corrections", "version": 1} | change, ["a.0"], ["chin"])


def test_a_correction_that_does_not_fit_the_shot_is_refused(head: ToyHead) -> None:
    truth = make_truth(head, frames=3, count=40)
    tracks = make_tracks(truth)
    for wrong in (Corrections(pins=(Pin(5, 1, (0, 0)),)), Corrections(ignored=(Ignored(99, 1, 2),))):
        with pytest.raises(UserError, match="correction"):
            fit_shot(head, [tracks], [truth.camera], PLAIN, corrections=wrong)
