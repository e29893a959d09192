"""Dense error on a set in the form that Cycles rendering writes, whose pictures need not show anything."""

import json
from typing import cast

import cv2
import numpy as np
import pytest
from facequery.detection.detector import Detector, tightened
from facequery.evaluation.dense import dense_figures, dense_queries, is_rendered, look_dense
from facequery.evaluation.dense_parts import parts
from facequery.geometry.crops import apply_affine, crop_from_points, four_points, invert_affine
from facequery.geometry.rotations import euler_to_matrix
from facequery.head.layouts import load_layout
from facequery.head.model import HeadModel
from facequery.synthesis.cycles.dataset import DESCRIPTION, STEP, CyclesSet

SIZE, FOCAL = 256, 600.0
YAWS = (10.0, -50.0)


@pytest.fixture
def rendered(tmp_path):
    model = HeadModel.load()
    for name in ("images", "labels"):
        (tmp_path / name).mkdir()
    (tmp_path / DESCRIPTION).write_text(json.dumps({"split": "heldout"}))
    for index, yaw in enumerate(YAWS):
        rotation = np.diag([1.0, -1.0, -1.0]) @ euler_to_matrix(np.radians(yaw), 0.0, 0.0)
        canonical = np.round(model.rest / STEP).astype(np.int16)
        np.savez(
            tmp_path / "labels" / f"{index:05d}.npz", canonical=canonical, neutral=canonical, rotation=rotation,
            translation=np.array([0.0, 0.03, 0.6]), camera=np.array([FOCAL, FOCAL, SIZE / 2, SIZE / 2]),
            identity=np.zeros(model.identity_size), tissue=np.zeros(3), expression=np.zeros(52),
            hair_depth=np.full((SIZE, SIZE), np.inf, np.float16), size=SIZE,
        )  # fmt: skip
        cv2.imwrite(str(tmp_path / "images" / f"{index:05d}.png"), np.zeros((SIZE, SIZE, 3), np.uint8))
    return CyclesSet.open(tmp_path)


class Shifted:
    """A detector that knows the truth and is off by a share of the distance between the eyes."""

    size = 64

    def __init__(self, rendered, share):
        self.rendered, self.share, self.asked = rendered, share, 0

    def look(self, crops, positions):
        model, index = HeadModel.load(), self.asked
        self.asked += 1
        truth = self.rendered.points(index, model, model.bind(positions))[0]
        at = self.rendered.points(index, model, model.bind(model.rest[model.normalisation_vertices]))[0]
        first, second = self.rendered.points(index, model, load_layout("ibug68").subset(np.array([36, 45])))[0]
        crop = tightened(crop_from_points(four_points(at)))
        moved = truth + self.share * np.linalg.norm(first - second) * np.array([0.6, 0.8])
        return apply_affine(invert_affine(crop), moved)[None], np.full((1, len(positions)), 0.1)


def test_dense_error_is_over_the_distance_of_the_eye_corners(rendered):
    assert is_rendered(rendered.folder) and not is_rendered(rendered.folder / "images")
    figures = dense_figures(look_dense(cast(Detector, Shifted(rendered, 0.02)), rendered, count=500))
    assert figures["dense_points"] == 500
    for name in ("dense_nme", "dense_seen", "dense_median", "dense_frontal"):
        assert figures[name] == pytest.approx(2.0, abs=0.01), name
    # the distance in space does not shrink as the head turns
    turned = np.cos(np.radians(YAWS)).mean()
    assert figures["dense_nme_3d"] == pytest.approx(2.0 * turned, abs=0.1)
    assert figures["dense_floor"] < 0.01  # the head at rest is on the basis


def test_the_parts_of_a_dense_error(rendered):
    model = HeadModel.load()
    dense = look_dense(cast(Detector, Shifted(rendered, 0.02)), rendered, count=400)
    found = parts(dense, model.bind(dense_queries(model, 400).positions), model)
    assert 1.0 < found["all"] <= 2.01 and found["frontal"] == pytest.approx(2.0, abs=0.1)
    assert found["but a rigid move"] < 0.1 * found["all"]  # the same shift everywhere is one
    assert found["but move, width, height, depth"] <= found["but a rigid move"]
    assert found["basis"] < 0.01  # the head at rest is on the basis
    assert found["landmarks"] < 0.2


def test_dense_queries_lie_on_the_face_and_are_the_same_every_time():
    model = HeadModel.load()
    queries = dense_queries(model, 300)
    assert len(queries) == 300 and set(queries.kinds) == {"skin"}
    assert np.array_equal(queries.positions, dense_queries(model, 300).positions)
    assert queries.positions[:, 2].min() > -0.08 and np.ptp(queries.positions[:, 0]) > 0.1
