import numpy as np
import pytest
from facequery.detection.faces import (
    Face,
    FacePath,
    choose_face,
    face_from_points,
    link_faces,
    restless_spans,
    steady_crops,
)
from facequery.errors import UserError
from facequery.geometry.crops import crop_from_similarity, crop_parameters

FRONTAL = np.array([[-0.5, -0.4], [0.5, -0.4], [-0.35, 0.6], [0.35, 0.6]])


def face_at(x: float, y: float, size: float = 40.0, score: float = 0.9) -> Face:
    return face_from_points(FRONTAL * size + [x, y], score)


def centres(path):
    return crop_parameters(path.crops)[0]


def test_two_people_who_pass_each_other_keep_their_own():
    frames = []
    for t in range(60):
        left, right = face_at(100 + 6 * t, 200, 42), face_at(454 - 6 * t, 230, 36)
        frames.append([right, left] if t % 2 else [left, right])
    paths = link_faces(frames)
    assert len(paths) == 2
    big, small = centres(paths[0]), centres(paths[1])
    assert np.all(np.diff(big[:, 0]) > 0)
    assert np.all(np.diff(small[:, 0]) < 0)


def test_the_largest_comes_first_and_faces_are_counted_from_one():
    frames = [[face_at(500, 100, 20), face_at(100, 100, 60), face_at(300, 100, 40)] for _ in range(10)]
    paths = link_faces(frames)
    assert [round(centres(choose_face(paths, i))[0, 0]) for i in (1, 2, 3)] == [100, 300, 500]


def test_asking_for_a_face_that_is_not_there_names_how_many_there_are():
    paths = link_faces([[face_at(100, 100)]] * 5)
    with pytest.raises(UserError, match="no face 2: the shot has 1"):
        choose_face(paths, 2)
    with pytest.raises(UserError, match="No face was found"):
        choose_face(link_faces([[], [], []]))


def test_a_short_gap_is_linked_and_a_stray_detection_is_not_the_person():
    frames = [[face_at(100 + 3 * t, 120)] if not 20 <= t < 28 else [] for t in range(60)]
    frames[40].append(face_at(400, 300, 80, 0.6))
    paths = link_faces(frames)
    path = choose_face(paths)
    assert path.detected.sum() == 52
    assert not path.detected[20:28].any()


def test_a_person_who_was_gone_for_long_is_taken_up_again():
    frames = [[face_at(100 + t, 120)] if t < 30 or t >= 80 else [] for t in range(120)]
    path = choose_face(link_faces(frames))
    assert path.detected[:30].all() and path.detected[80:].all()


def test_bridging_fills_short_gaps_and_leaves_long_ones():
    crops = crop_from_similarity(np.column_stack([np.arange(100.0), np.full(100, 50.0)]), np.full(100, 30.0))
    holes = crops.copy()
    holes[20:30] = np.nan
    holes[50:90] = np.nan
    steady = steady_crops(holes, longest_gap=12)
    assert np.isfinite(steady[20:30]).all()
    assert np.isnan(steady[50:90]).all()
    np.testing.assert_allclose(steady[20:30], crops[20:30], atol=1e-6)


def test_smoothing_has_no_lag_and_no_pull_at_the_ends():
    t = np.arange(50.0)
    crops = crop_from_similarity(np.column_stack([3 * t, -2 * t + 7]), 20 * np.exp(0.01 * t), 0.02 * t)
    np.testing.assert_allclose(steady_crops(crops, 10), crops, rtol=1e-6, atol=1e-6)


def test_smoothing_calms_noise_and_drops_an_outlier():
    rng = np.random.default_rng(0)
    t = np.arange(200.0)
    true = np.column_stack([2 * t, 100 + 20 * np.sin(t / 20)])
    noisy = true + rng.normal(0, 1, true.shape)
    noisy[100] += [12, -12]
    steady, _, _ = crop_parameters(steady_crops(crop_from_similarity(noisy, np.full(200, 40.0)), 10))
    assert np.abs(steady - true).std() < 0.7
    assert np.linalg.norm(steady[100] - true[100]) < 2.5


def test_nothing_is_smoothed_across_a_cut():
    x = np.where(np.arange(60) < 30, 100.0, 400.0)
    crops = crop_from_similarity(np.column_stack([x, np.full(60, 50.0)]), np.full(60, 40.0))
    np.testing.assert_allclose(steady_crops(crops, 10), crops, atol=1e-6)


@pytest.mark.parametrize("count", [1, 2, 3, 4, 6])
def test_very_short_shots(count):
    crops = crop_from_similarity(np.zeros((count, 2)), np.full(count, 10.0))
    np.testing.assert_allclose(steady_crops(crops, 10), crops, atol=1e-6)
    assert np.isnan(steady_crops(crops * np.nan, 10)).all()


def test_a_steady_way_needs_no_search_between_and_a_turn_does():
    def path(x: np.ndarray) -> FacePath:
        crops = crop_from_similarity(np.stack([x, np.full(len(x), 200.0)], -1), np.full(len(x), 50.0))
        seen = np.ones(len(x), bool)
        return FacePath(crops, seen, np.ones(len(x)))

    keys, t = np.arange(0, 49, 8), np.arange(49.0)
    assert restless_spans(path(2.0 * t), keys) == []  # a third of the face's half size a step, at one pace
    spans = restless_spans(path(2.0 * np.abs(t - 24)), keys)
    assert spans == [(16, 24), (24, 32)]
    assert len(restless_spans(path(6.0 * t), keys)) == 6  # a face a step is too far to be believed
