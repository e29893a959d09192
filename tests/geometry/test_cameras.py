"""Cameras: projection against hand-made numbers, inverses, frames, documents."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from facequery.errors import UserError
from facequery.geometry.cameras import Camera
from facequery.geometry.lens import Lens
from facequery.geometry.rotations import axis_angle_to_matrix


def _camera(frames=5, **changes):
    rng = np.random.default_rng(1)
    settings: dict[str, Any] = dict(
        width=1920, height=1080, fx=np.linspace(1500, 2500, frames), fy=np.linspace(1400, 2600, frames),
        cx=900.0, cy=560.0, pixel_aspect=1.0, lens=Lens("polynomial", np.array([-0.1, 0.02])),
        rotation=axis_angle_to_matrix(rng.normal(size=(frames, 3)) * 0.2), translation=rng.normal(size=(frames, 3)),
    )  # fmt: skip
    return Camera(**{**settings, **changes})


def _points(rng, frames=5):
    return rng.uniform([-0.3, -0.2, 1.0], [0.3, 0.2, 2.0], (frames, 40, 3))


def test_a_point_on_the_axis_lands_on_the_principal_point_and_focal_length_scales_offsets():
    camera = Camera.pinhole(100, 80, 200.0, 300.0, 52.0, 41.0)
    np.testing.assert_allclose(camera.project(np.array([[[0, 0, 2], [0.1, 0.1, 1]]])), [[[52, 41], [72, 71]]])


def test_points_behind_the_camera_are_nan():
    assert np.isnan(Camera.pinhole(10, 10, 1.0).project([[[0, 0, 0], [0, 0, -1]]])).all()


@pytest.mark.parametrize(
    "lens", [Lens(), Lens("polynomial", np.array([-0.1, 0.02])), Lens("nuke", np.array([0.1, 0.02]))]
)
def test_without_its_lens_a_camera_is_a_pinhole(lens, rng):
    camera, points = _camera(lens=lens), _points(rng)
    pixels = camera.project(points)
    ideal = points[..., :2] / points[..., 2:] * np.stack([camera.fx, camera.fy], -1)[:, None] + [900, 560]
    np.testing.assert_allclose(camera.undistort(pixels), ideal, atol=1e-6)
    np.testing.assert_allclose(camera.distort(ideal), pixels, atol=1e-6)


def test_world_and_camera_space_undo_each_other_and_the_centre_is_the_origin(rng):
    camera, points = _camera(), _points(rng)
    np.testing.assert_allclose(camera.to_world(camera.to_camera(points)), points, atol=1e-12)
    np.testing.assert_allclose(camera.to_camera(camera.centres[:, None]), 0, atol=1e-12)
    np.testing.assert_allclose(camera.to_camera(points[0])[0], camera.to_camera(points)[0])


def test_one_frame_serves_any_number_of_frames(rng):
    points = _points(rng, 7)
    assert Camera.pinhole(100, 80, 200.0, 300.0, 52.0, 41.0).project(points).shape == (7, 40, 2)


def test_frames_are_found_by_file_number():
    camera = _camera(frames=5)
    numbered = Camera.from_dict(camera.to_dict() | {"frames": [1003, 1001, 1002, 1005, 1009]})
    assert numbered.for_frames([1001, 1009]).fx == pytest.approx(camera.fx[[1, 4]])
    with pytest.raises(UserError, match="1004"):
        numbered.for_frames([1001, 1004])
    with pytest.raises(UserError, match="5 frames"):
        camera.for_frames([1, 2])


def test_documents_round_trip_through_json(rng):
    for camera in (_camera(), _camera(frames=1, rotation=None, translation=None)):
        again = Camera.from_dict(json.loads(json.dumps(camera.to_dict())))
        points = _points(rng, len(camera))
        np.testing.assert_array_equal(again.project(points), camera.project(points))
        np.testing.assert_array_equal(again.to_camera(points), camera.to_camera(points))


def test_a_document_of_a_focal_length_alone_is_a_centred_camera_that_honours_pixel_aspect():
    camera = Camera.from_dict({"width": 2048, "height": 858, "fx": 1000, "pixel_aspect": 2.0})
    assert (camera.fy, camera.cx, camera.cy) == (2000, 1024, 429)


@pytest.mark.parametrize(
    "change",
    [{"width": 0}, {"width": "wide"}, {"fx": -3}, {"fx": [1, 2, 3]}, {"fx": "a"}, {"fx": []}, {"fx": [[1, 2, 3]]},
     {"cy": [float("nan")] * 5}, {"schema": "something"}, {"version": 99}, {"version": "x"}, {"pixel_aspect": 0},
     {"lens": {"model": "x"}}, {"rotation": [[1, 0], [0, 1]]}, {"rotation": [[[2, 0, 0], [0, 1, 0], [0, 0, 1]]]},
     {"translation": [[1, 2]]}, {"frames": ["x"]}],
)  # fmt: skip
def test_a_bad_document_is_refused_in_one_sentence(change):
    with pytest.raises(UserError) as error:
        Camera.from_dict(_camera().to_dict() | change)
    assert "\n" not in str(error.value)


def test_no_camera_in_it_is_refused():
    documents: list[Any] = [None, [], {"width": 3}, 7]
    for document in documents:
        with pytest.raises(UserError):
            Camera.from_dict(document)


def test_a_camera_relative_to_another_projects_what_stands_in_the_others_space(rng):
    def posed(seed: int, count: int) -> Camera:
        turns = np.random.default_rng(seed).normal(size=(count, 3)) * 0.2
        shift = np.random.default_rng(seed + 9).normal(size=(count, 3))
        return replace(Camera.pinhole(640, 480, 700.0), rotation=axis_angle_to_matrix(turns), translation=shift)

    first, second = posed(1, 5), posed(2, 1)
    world = rng.normal(size=(5, 20, 3)) * 0.1 + [0, 0, 4]
    expected = second.project(second.to_camera(world))
    beside = second.relative_to(first)
    np.testing.assert_allclose(beside.project(beside.to_camera(first.to_camera(world))), expected, atol=1e-8)
    alone = first.relative_to(first)
    np.testing.assert_allclose(alone.to_camera(first.to_camera(world)), first.to_camera(world), atol=1e-12)
