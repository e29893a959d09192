import numpy as np
import pytest
from facequery.geometry.cameras import Camera
from facequery.pipeline.demo import ErrorRow, next_version
from facequery.pipeline.overlay import DrawnMesh, draw_mesh, draw_points, error_colours, quad_edges

SQUARE = np.array([[-0.1, -0.1, 1.0], [0.1, -0.1, 1.0], [0.1, 0.1, 1.0], [-0.1, 0.1, 1.0]])
TWO = np.array([[0, 1, 2], [0, 2, 3]], np.int32)


def test_colours_run_from_green_over_yellow_to_red():
    green, yellow, red, beyond, unknown = error_colours(np.array([0, 1, 2, 9, np.nan]), 2.0).astype(int)
    assert green[1] > green[0] and red[0] > red[1]
    assert yellow[0] > 200 and yellow[1] > 200
    assert (beyond == red).all() and (unknown == red).all()


def test_dots_are_drawn_where_the_points_are():
    picture = np.zeros((40, 60, 3), np.uint8)
    xy = np.array([[20.5, 10.5], [np.nan, 3.0], [1e9, 5.0], [45.0, 30.0]])
    draw_points(picture, xy, np.full((4, 3), 255, np.uint8), 2.0)
    weight = picture.sum(axis=-1).astype(float)
    y, x = np.mgrid[:40, :60] + 0.5
    for box, expected in ((np.s_[:20, :30], xy[0]), (np.s_[20:, 30:], xy[3])):
        part = weight[box]
        centre = [(part * x[box]).sum() / part.sum(), (part * y[box]).sum() / part.sum()]
        np.testing.assert_allclose(centre, expected, atol=0.1)


def test_hidden_dots_are_rings():
    picture = np.zeros((30, 30, 3), np.uint8)
    draw_points(picture, np.array([[15.5, 15.5]]), np.full((1, 3), 255, np.uint8), 5.0, np.array([0.1]))
    assert picture[15, 15].sum() == 0 and picture.max() > 100


def test_a_mesh_covers_the_pixels_that_it_projects_to():
    picture = np.zeros((60, 80, 3), np.uint8)
    xy = Camera.pinhole(80, 60, 100.0).project(SQUARE[None])[0]
    draw_mesh(picture, xy, SQUARE, DrawnMesh(TWO, (255, 255, 255), 1.0))
    rows, columns = np.nonzero(picture[..., 0] > 10)
    assert (columns.min(), columns.max(), rows.min(), rows.max()) == (30, 49, 20, 39)


@pytest.mark.parametrize("shift", [[500.0, 0.0], [np.nan, 0.0]])
def test_a_mesh_outside_the_picture_draws_nothing(shift):
    picture = np.full((20, 20, 3), 7, np.uint8)
    draw_mesh(picture, SQUARE[:, :2] * 10 + shift, SQUARE, DrawnMesh(TWO, (255, 255, 255), 1.0))
    assert (picture == 7).all()


def test_the_wire_leaves_diagonals_out():
    edges = quad_edges(SQUARE, TWO)
    # opposite to vertex 1 in the first triangle, and to vertex 3 in the second, lies the diagonal 0-2
    assert edges.tolist() == [[True, False, True], [True, True, False]]


def test_rows_of_the_table_leave_out_what_is_not_a_number():
    row = ErrorRow.of("x", "px", np.array([[1.0, 2.0], [3.0, np.nan]]))
    assert (row.median, row.mean) == (2.0, 2.0)
    assert np.isnan(ErrorRow.of("x", "px", np.array([np.nan])).mean)


def test_demos_do_not_overwrite_each_other(tmp_path):
    assert next_version(tmp_path).name == "v001"
    (tmp_path / "v001").mkdir()
    assert next_version(tmp_path).name == "v002"
