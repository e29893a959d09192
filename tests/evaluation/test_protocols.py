import json

import numpy as np
import pytest
from facequery.evaluation.annotated import AnnotatedSet
from facequery.evaluation.canvas import nearest_face
from facequery.evaluation.curves import plot_curves
from facequery.evaluation.errors import box_size, by_yaw
from facequery.evaluation.hard import FILE, hard_faces, reason_masks
from facequery.evaluation.pose import yaw_of
from facequery.evaluation.sigma import fit_sigma_map, inside
from facequery.geometry.rotations import euler_to_matrix
from facequery.head.layouts import load_layout
from facequery.head.model import HeadModel


@pytest.mark.parametrize("yaw", [-75, -40, -10, 0, 25, 50, 80])
def test_yaw_is_read_off_68_points_of_other_people_in_perspective(yaw):
    model, queries = HeadModel.load(), load_layout("ibug68")
    rng = np.random.default_rng(abs(yaw))
    points = model.points(queries, rng.normal(0, 0.8, (6, model.identity_size)).astype(np.float32), None)
    turn = np.diag([1.0, -1.0, -1.0]) @ euler_to_matrix(np.radians(yaw), np.radians(8), np.radians(-12))
    camera = points @ turn.T + [0, 0, 0.8]
    found = yaw_of(camera[..., :2] / camera[..., 2:] * 900)
    assert np.abs(found - yaw).max() < 12 and abs(np.mean(found) - yaw) < 8


def test_bins_of_yaw_and_their_mean():
    figures = by_yaw(np.array([0.01, 0.03, 0.04, 0.06]), np.array([-10.0, 29.9, -45.0, 90.0]))
    assert figures == {"box_0_30": 2.0, "box_30_60": 4.0, "box_60_90": 6.0, "box_mean": 4.0}
    assert "box_mean" not in by_yaw(np.array([0.01]), np.array([5.0]))
    assert box_size(np.array([[[0.0, 0], [4, 9]]])) == pytest.approx([6.0])


def test_of_several_faces_the_annotated_one_is_scored():
    truth = np.array([[100.0, 100], [200, 200]])
    assert nearest_face(np.array([[10.0, 10], [160, 150], [190, 190]]), truth) == 1
    assert nearest_face(np.array([[10.0, 10]]), truth) is None and nearest_face(np.zeros((0, 2)), truth) is None


def test_the_list_of_hard_faces_parts_a_set(tmp_path):
    listed = json.loads(FILE.read_text())
    names = sorted({name for part in listed["afw"].values() for name in part})
    paths = tuple(tmp_path / name for name in [*names, "other.jpg"])
    chosen = AnnotatedSet("afw", "ibug68", paths, np.zeros((len(paths), 68, 2)))
    hard = hard_faces(chosen)
    assert hard is not None and hard.sum() == len(names) and not hard[-1]
    assert np.array_equal(np.any(list(reason_masks(chosen).values()), axis=0), hard)
    assert hard_faces(AnnotatedSet("mine", "ibug68", paths, chosen.points)) is None


def test_the_map_of_sigma_mends_a_sigma_that_is_small_and_too_bold():
    rng = np.random.default_rng(0)
    true = np.exp(rng.normal(-3.5, 0.7, (500, 20)))
    residual = true[..., None] * rng.normal(size=(500, 20, 2))
    told = 0.5 * true**0.6
    scale, power = fit_sigma_map(residual, told)
    assert power == pytest.approx(1 / 0.6, abs=0.1)
    shares = inside(residual, scale * told**power)
    assert shares["inside_1_sigma"] == pytest.approx(68.3, abs=0.5)
    assert shares["inside_2_sigma"] == pytest.approx(95.4, abs=1)


def test_curves_are_drawn(tmp_path):
    rng = np.random.default_rng(0)
    plot_curves(tmp_path / "curves.png", {"a": (rng.uniform(0.02, 0.2, 30), rng.uniform(-90, 90, 30)),
                                          "b": (rng.uniform(0.01, 0.05, 9), None)})  # fmt: skip
    assert (tmp_path / "curves.png").stat().st_size > 5000
