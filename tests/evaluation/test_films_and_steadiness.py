import cv2
import numpy as np
import pytest
from dot_picture import dot_picture, dots_in
from facequery.evaluation.annotated import AnnotatedSet
from facequery.evaluation.errors import box_size
from facequery.evaluation.films import Film, moved_films
from facequery.evaluation.stability import residual_change, stability


def film(truth, name="film"):
    return Film(name, (), truth)


@pytest.fixture
def moving():
    """A face of 68 points, 200 pixels, that moves right by 3 pixels a frame."""
    shape = np.random.default_rng(0).uniform(0, 200, (68, 2))
    return shape + np.arange(40)[:, None, None] * np.array([3.0, 0.0])


def test_a_constant_offset_is_steady_and_noise_is_not(moving):
    box = box_size(moving)[0]
    assert stability([moving + np.array([5.0, -2.0])], [film(moving)])["nmf"] == 0.0
    noisy = moving + np.random.default_rng(1).normal(0, 1.0, moving.shape)
    figures = stability([noisy], [film(moving)])
    assert figures["nmf"] == pytest.approx(100 * 2.0 / box, rel=0.05)  # sqrt(2 axes * 2 frames * 1 px^2)
    assert figures["nad1"] < figures["nmf"] and figures["nad4"] == pytest.approx(figures["nad1"], rel=0.05)


def test_a_track_that_lags_behind_a_face_that_turns_back_pays(moving):
    there = moving[:20]
    truth = np.concatenate([there, there[::-1]])
    late = np.concatenate([truth[:1], truth[:-1]])
    figures = stability([late], [film(truth)])
    assert figures["nmf"] > 0.3 and figures["nad4"] > figures["nad1"] > 0


def test_missed_frames_are_counted_and_do_not_spoil_the_rest(moving):
    track = moving.copy()
    track[7] = np.nan
    figures = stability([track], [film(moving)])
    assert figures["missed"] == pytest.approx(2.5) and figures["nmf"] == 0.0
    assert np.isnan(residual_change(track, moving, 1)).any(axis=1).sum() == 2


def test_frames_made_from_a_photograph_show_its_points_where_the_truth_says(tmp_path):
    points = np.random.default_rng(3).uniform(130, 270, (68, 2))
    shown = np.array([[140.0, 150], [260, 150], [200, 250]])
    points[:3] = shown
    points[3:5] = [[130, 130], [270, 270]]
    cv2.imwrite(str(tmp_path / "face.png"), dot_picture(shown)[..., ::-1])
    chosen = AnnotatedSet("one", "ibug68", (tmp_path / "face.png",), points[None])
    (made,) = moved_films(tmp_path / "films", chosen, frames=6)
    for picture, truth in zip(made.frames(), made.truth, strict=True):
        assert np.abs(dots_in(np.where(picture > 60, picture, 0), truth[:3]) - truth[:3]).max() < 0.6
    steps = np.linalg.norm(np.diff(made.truth[:, 0], axis=0), axis=-1)
    assert (steps > 0).all() and steps.max() < 40
    (again,) = moved_films(tmp_path / "films", chosen, frames=6)
    assert again.paths == made.paths and np.array_equal(again.truth, made.truth)
