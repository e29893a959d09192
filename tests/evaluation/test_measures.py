import json

import numpy as np
import pytest
from dot_picture import dot_picture, dots_in
from facequery.errors import UserError
from facequery.evaluation.annotated import AnnotatedSet, load_annotated, to_crop
from facequery.evaluation.canvas import place_on_canvas
from facequery.evaluation.errors import area_under_curve, normalised_errors, spearman, summary
from facequery.evaluation.predict import Prediction
from facequery.evaluation.sigma import sigma_figures
from facequery.geometry.crops import apply_affine


def annotated(points, layout="ibug68"):
    return AnnotatedSet("set", layout, tuple(), np.asarray(points, float))


def test_a_missed_face_counts_as_all_wrong_and_groups_add_up():
    rng = np.random.default_rng(0)
    truth = rng.uniform(100, 200, (4, 68, 2))
    chosen = annotated(truth)
    predicted = truth.copy()
    predicted[:, :, 0] += 0.05 * chosen.ocular[:, None]
    predicted[3] = np.nan
    errors = normalised_errors(predicted, truth, chosen.ocular)
    figures = summary(errors, chosen.layout)
    assert figures["nme68"] == pytest.approx((3 * 5 + 100) / 4, abs=0.01)
    assert figures["fail10"] == 25.0 and figures["auc10"] == pytest.approx(37.5, abs=0.01)
    parts = sum(figures[g] * n for g, n in (("contour", 17), ("brows", 10), ("nose", 9), ("eyes", 12), ("mouth", 20)))
    assert parts / 68 == pytest.approx(figures["nme68"], abs=0.01)
    assert area_under_curve(np.zeros(3)) == 1.0 and area_under_curve(np.ones(3)) == 0.0


def test_sets_that_count_pixels_from_one_are_brought_to_the_same_place(tmp_path):
    rows = [{"image": "a.jpg", "layout": "ibug68", "points": np.ones((68, 2)).tolist()}]  # the top-left pixel's centre
    for name, first in (("lfpw", 0.5), ("anything", 1.5)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "landmarks.json").write_text(json.dumps(rows))
        assert load_annotated(tmp_path / name).points[0, 0].tolist() == [first, first]


def test_annotations_are_read_with_half_a_pixel_added(tmp_path):
    rows = [{"image": "a.jpg", "layout": "ibug68", "points": np.arange(136.0).reshape(68, 2).tolist()}]
    (tmp_path / "landmarks.json").write_text(json.dumps(rows))
    read = load_annotated(tmp_path)
    assert read.points[0, 0].tolist() == [0.5, 1.5] and read.layout == "ibug68"
    crops = read.crops()
    inside = to_crop(read.points, crops)
    assert (np.abs(inside) < 1).all()
    for text in ("{", json.dumps([{"image": "a"}]), json.dumps([{**rows[0], "layout": "other"}])):
        (tmp_path / "landmarks.json").write_text(text)
        with pytest.raises(UserError):
            load_annotated(tmp_path)


@pytest.mark.parametrize("seed", range(5))
def test_a_canvas_shows_the_face_where_its_matrix_says(seed):
    rng = np.random.default_rng(seed)
    points = np.array([[150.0, 140], [250, 150], [200, 260], [170, 200]])
    canvas, matrix = place_on_canvas(dot_picture(points), points, rng)
    moved = apply_affine(matrix, points)
    assert (moved > 0).all() and (moved < [canvas.shape[1], canvas.shape[0]]).all()
    height = 120 * np.sqrt(np.linalg.det(matrix[:, :2])) / canvas.shape[0]
    assert 0.079 < height < 0.601
    if height > 0.25:
        assert np.abs(dots_in(canvas, moved) - moved).max() < 1.0


def test_sigma_figures_of_a_gaussian_are_those_of_a_gaussian():
    rng = np.random.default_rng(0)
    sigma = np.exp(rng.normal(0, 0.5, (400, 6)))
    truth = np.zeros((400, 6, 2))
    xy = truth + sigma[..., None] * rng.normal(size=(400, 6, 2))
    figures = sigma_figures(Prediction(xy, sigma, truth, 1.0), np.full(400, 60.0))
    assert figures["inside_1_sigma"] == pytest.approx(68.3, abs=2) and figures["inside_2_sigma"] == pytest.approx(
        95.4, abs=1
    )
    assert 0.3 < figures["sigma_rank"] < 0.8
    assert spearman(np.arange(5), np.arange(5) ** 3) == pytest.approx(1.0)
