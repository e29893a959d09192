"""Points that slide with the head's pose."""

import json
from dataclasses import replace

import numpy as np
import pytest
from facequery.errors import UserError
from facequery.geometry.rotations import euler_to_matrix
from facequery.head import QuerySet, load_layout
from facequery.head.slide import Slide, pose_of
from facequery_protocol.layout import LayoutError, validated

FLIP = np.array([-1, 1, 1], np.float32)


def slide_of(layout: QuerySet) -> Slide:
    assert layout.slide is not None
    return layout.slide


def seen(points: np.ndarray, yaw: float, pitch: float = 0.0, roll: float = 0.0) -> np.ndarray:
    """Pixels (N, 2) of canonical points before a long lens."""
    rotation = np.diag([1.0, -1.0, -1.0]) @ euler_to_matrix(*np.radians([yaw, pitch, 0.0]))
    camera = points @ (euler_to_matrix(0.0, 0.0, np.radians(roll)) @ rotation).T + [0, 0, 6.0]
    return camera[:, :2] / camera[:, 2:] * 20000 + 300


@pytest.mark.parametrize("yaw", [-50.0, -20.0, 0.0, 12.0, 45.0])
def test_yaw_is_told_from_landmarks(yaw):
    points = load_layout("ibug68").positions[17:]
    for pitch, roll in ((0.0, 0.0), (15.0, 0.0), (-10.0, 30.0)):
        found, _ = pose_of(points[None], seen(points, yaw, pitch, roll)[None])
        assert found[0] == pytest.approx(yaw, abs=3.0)


@pytest.mark.parametrize("roll", [-40.0, 0.0, 25.0])
def test_pitch_is_told_from_landmarks_whatever_the_roll(roll):
    points = load_layout("ibug68").positions[17:]
    up = [pose_of(points[None], seen(points, 0.0, pitch, roll)[None])[1][0] for pitch in (-20.0, 0.0, 20.0)]
    # positive means that the nose tip rises in the picture against the eyes
    rest, raised = (seen(points, 0.0, pitch) for pitch in (0.0, 20.0))
    sign = np.sign((rest[13, 1] - rest[19, 1]) - (raised[13, 1] - raised[19, 1]))
    np.testing.assert_allclose(np.array(up) * sign, [-20.0, 0.0, 20.0], atol=2.0)


def test_all_points_may_slide_with_yaw_and_pitch():
    layout = load_layout("ibug68")
    rows = np.repeat(layout.positions[None], 3, axis=0)
    rows[0, :, 1] -= 0.003
    rows[2, :, 1] += 0.003
    tilts = np.full((68, 3), 1e-4, np.float32)
    slide = Slide(np.arange(68), np.array([-30.0, 0.0, 30.0]), rows, tilts)
    faces = np.stack([seen(layout.positions, 30.0), seen(layout.positions, 0.0)])
    yaw, pitch = pose_of(layout.positions[None], faces)
    moved = slide.followed(layout.positions, faces) - layout.positions
    np.testing.assert_allclose(moved[:, :, 0], np.repeat(1e-4 * pitch[:, None], 68, axis=1), atol=1e-6)
    np.testing.assert_allclose(moved[:, 5, 1], 1e-4 * yaw.clip(-30, 30) + 1e-4 * pitch, atol=1e-6)
    np.testing.assert_allclose(slide.at(0.0, 80.0), slide.at(0.0, 30.0))  # beyond that it stays


@pytest.mark.parametrize(("name", "count"), [("ibug68", 17), ("wflw98", 33)])
def test_contours_slide_and_are_mirror_images(name, count):
    layout = load_layout(name)
    slide = layout.slide
    assert slide is not None and slide.indices.tolist() == list(range(count))
    assert np.abs(slide.at(0.0) - layout.positions[:count]).max() < 0.003  # at rest: the layout's, put on the skin
    for yaw in (10.0, 37.0, 60.0):
        np.testing.assert_allclose(slide.at(-yaw), slide.at(yaw)[::-1] * FLIP, atol=1e-6)
    # A head turned to its left hides its left cheek: the contour there moves towards the nose, the other hardly.
    moved = np.linalg.norm(slide.at(30.0) - slide.at(0.0), axis=1)
    assert moved[count - 3] > 0.02 > 0.006 > moved[2]
    np.testing.assert_array_equal(slide.at(80.0), slide.at(60.0))


def test_contour_ends_the_face_in_the_picture(model):
    """At every yaw the contour lies outside, in the picture, of where it lies at rest, on the side that turns away."""
    slide = slide_of(load_layout("ibug68"))
    for yaw in (15.0, 30.0, 45.0):
        free, fixed = (seen(points, yaw)[12:15, 0] for points in (slide.at(yaw), slide.at(0.0)))
        assert (free > fixed + 1).all()


def test_queries_follow_each_face():
    layout = load_layout("ibug68")
    faces = np.stack([seen(layout.positions, yaw) for yaw in (-30.0, 0.0, 30.0)])
    asked = slide_of(layout).followed(layout.positions, faces)
    np.testing.assert_array_equal(asked[:, 17:], np.broadcast_to(layout.positions[17:], (3, 51, 3)))
    assert np.abs(asked[1] - layout.positions).max() < 0.003
    np.testing.assert_allclose(asked[0, :17], asked[2, :17][::-1] * FLIP, atol=0.003)
    shift = np.array([0.001, 0.002, 0.0], np.float32)  # calibrated positions keep their distance
    moved = slide_of(layout).followed(layout.positions + shift, faces)
    np.testing.assert_allclose(moved[:, :17] - asked[:, :17], np.broadcast_to(shift, (3, 17, 3)), atol=1e-3)


def test_a_slide_survives_files_and_subsets(model, tmp_path):
    layout = load_layout("ibug68")
    layout.save(tmp_path / "mine.json")
    again = slide_of(QuerySet.load(tmp_path / "mine.json"))
    np.testing.assert_array_equal(again.positions, slide_of(layout).positions)
    tilts = np.arange(51, dtype=np.float32).reshape(17, 3) * 1e-5
    replace(layout, slide=replace(slide_of(layout), tilts=tilts)).save(tmp_path / "tilted.json")
    tilted = slide_of(QuerySet.load(tmp_path / "tilted.json")).tilts
    assert tilted is not None
    np.testing.assert_allclose(tilted, tilts, atol=1e-8)
    some = layout.subset([30, 3, 1])
    assert slide_of(some).indices.tolist() == [1, 2]
    np.testing.assert_array_equal(slide_of(some).positions, slide_of(layout).positions[:, [3, 1]])
    assert layout.subset([30, 31]).slide is None
    assert QuerySet.concat([layout, load_layout("jaw")]).slide is None
    replace(layout, slide=None).save(tmp_path / "plain.json")
    assert "slide" not in json.loads((tmp_path / "plain.json").read_text())


GOOD = {"version": 1, "indices": [0], "yaws": [-1, 1], "positions": [[[0, 0, 0.02]], [[0, 0, 0.03]]]}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"version": 2}, "version 1"),
        ({"indices": [5]}, "numbers of points"),
        ({"indices": [0, 0]}, "numbers of points"),
        ({"yaws": [1, -1]}, "ascending"),
        ({"positions": [[[0, 0, 0.02]]]}, "one list for each yaw"),
        ({"positions": [[[0, 0, 0.02]], [[0, 0, 30]]]}, "metres"),
        ({"tilts": [[0, 0, 0], [0, 0, 0]]}, "tilts"),
    ],
)
def test_malformed_slides_are_refused(tmp_path, change, words):
    document = {"schema": "facequery.layout", "version": 1, "name": "x", "positions": [[0, 0, 0.02]]}
    assert validated({**document, "slide": GOOD})["slide"]["yaws"] == [-1.0, 1.0]
    with pytest.raises(LayoutError, match=words):
        validated({**document, "slide": {**GOOD, **change}})
    (tmp_path / "bad.json").write_text(json.dumps({**document, "slide": {**GOOD, **change}}))
    with pytest.raises(UserError, match="malformed"):
        QuerySet.load(tmp_path / "bad.json")


def test_two_layouts_side_by_side():
    first = Slide(np.array([1]), np.array([0.0, 1.0]), np.zeros((2, 1, 3), np.float32))
    second = replace(first, indices=np.array([0]), tilts=np.ones((1, 3), np.float32))
    both = first.beside(second, 5)
    assert both.indices.tolist() == [1, 5] and both.positions.shape == (2, 2, 3)
    assert both.tilts is not None and both.tilts.tolist() == [[0, 0, 0], [1, 1, 1]]
    assert first.beside(None, 5) is first
