import numpy as np
import pytest
from facequery.detection.corners import Corners
from facequery.head.layouts import load_layout
from facequery.head.model import HeadModel
from facequery.head.queries import QuerySet

FEW = 40  # triangles


@pytest.fixture(scope="module")
def dense() -> QuerySet:
    """The 68 points, then 10 points on each of some triangles of skin, then two in the tissue."""
    model, rng = HeadModel.load(), np.random.default_rng(0)
    triangles = rng.choice(model.parts["skin"].triangles.stop, FEW, replace=False).repeat(10)
    shares = rng.dirichlet(np.ones(3), len(triangles))
    on_skin = np.einsum("nk,nkc->nc", shares, model.rest[model.triangles[triangles]])
    inside = np.array([[0.0, -0.02, -0.03], [0.01, 0.03, -0.05]])
    points = QuerySet.from_positions(model, np.concatenate([on_skin, inside]))
    return QuerySet.concat([load_layout("ibug68"), points])


def of(dense: QuerySet) -> Corners:
    found = Corners.of(HeadModel.load(), dense, [(0, 68), (68, len(dense))])
    assert found is not None
    return found


def test_few_points_are_asked_for_themselves(dense):
    some = load_layout("ibug68")
    assert Corners.of(HeadModel.load(), some, [(0, 68)]) is None
    assert Corners.of(HeadModel.load(), dense, [(i, i + 1) for i in range(len(dense))]) is None


def test_a_dense_layout_costs_its_corners_and_leaves_the_others_alone(dense):
    corners = of(dense)
    assert 68 + 2 < len(corners.asked) <= 68 + 2 + 3 * FEW
    np.testing.assert_array_equal(corners.asked.positions[:68], dense.positions[:68])
    values = np.random.default_rng(1).random((2, len(corners.asked), 2)).astype(np.float32)
    xy, sigma, visible = corners.mixed(values, values[..., 0], values[..., 1], 10, 10)
    np.testing.assert_array_equal(xy[:, :68], values[:, :68])
    np.testing.assert_array_equal(sigma[:, :68], values[:, :68, 0])
    np.testing.assert_array_equal(visible[:, :68], values[:, :68, 1])


def test_points_go_where_their_triangle_takes_them(dense):
    corners = of(dense)
    mapped = np.array([[900.0, 40.0, 10.0], [-30.0, -800.0, 70.0]]) @ np.eye(3)

    def pixels(positions):
        return (positions @ mapped.T + 500)[None].astype(np.float32)

    asked = corners.asked.positions
    sigma = (1 + asked[None, :, 0]).astype(np.float32)
    xy, spread, visible = corners.mixed(pixels(asked), sigma, np.ones_like(sigma), 1000, 1000)
    np.testing.assert_allclose(xy, pixels(dense.positions), atol=2e-2)
    np.testing.assert_allclose(spread, 1 + dense.positions[None, :, 0], atol=1e-4)
    np.testing.assert_allclose(visible, 1, atol=1e-5)


def test_points_off_the_plate_and_frames_without_a_face_are_not_seen(dense):
    corners = of(dense)
    xy = np.full((2, len(corners.asked), 2), 50, np.float32)
    xy[0, :, 0], xy[1] = 101, np.nan
    visible = np.ones(xy.shape[:2], np.float32)
    visible[1] = 0
    places, _, seen = corners.mixed(xy, np.where(np.isnan(xy[..., 0]), np.nan, 1), visible, 100, 100)
    assert (seen == 0).all()
    assert np.isnan(places[1]).all()
