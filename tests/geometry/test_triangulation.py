"""Triangulation against exact points; closest points against brute force."""

import numpy as np
import pytest
from facequery.geometry.cameras import Camera
from facequery.geometry.lens import Lens
from facequery.geometry.rotations import axis_angle_to_matrix
from facequery.geometry.triangulation import closest_point_on_mesh, triangulate

BARREL = Lens("polynomial", np.array([-0.1]))


def _views(frames: int, lens: Lens = BARREL) -> list[Camera]:
    cameras = []
    for i, yaw in enumerate((-0.4, 0.0, 0.35)):
        rotation = axis_angle_to_matrix([0.05 * i, yaw, 0.02])
        cameras.append(
            Camera(
                width=1920,
                height=1080,
                fx=np.full(frames, 1800.0 + 100 * i),
                fy=np.array([1800.0]),
                cx=np.array([960.0]),
                cy=np.array([540.0]),
                lens=lens,
                rotation=rotation[None],
                translation=np.array([[0.0, 0.0, 1.2]]),
            )
        )
    return cameras


def _seen(cameras, points):
    return np.stack([camera.project(camera.to_camera(points)) for camera in cameras])


def test_exact_pixels_give_exact_points_through_the_lens(rng):
    points = rng.uniform(-0.12, 0.12, (4, 30, 3))
    found, error = triangulate(_views(4), _seen(_views(4), points))
    np.testing.assert_allclose(found, points, atol=1e-8)
    assert error.max() < 1e-5


def test_two_views_suffice_one_gives_nan(rng):
    points = rng.uniform(-0.12, 0.12, (2, 10, 3))
    pixels = _seen(_views(2), points)
    pixels[0, :, :4] = np.nan
    pixels[1, :, :2] = np.nan
    found, error = triangulate(_views(2), pixels)
    assert np.isnan(found[:, :2]).all() and np.isnan(error[:, :2]).all()
    np.testing.assert_allclose(found[:, 2:], points[:, 2:], atol=1e-8)


def test_a_view_of_large_sigma_hardly_counts_and_refinement_reaches_the_minimum(rng):
    points, cameras = rng.uniform(-0.12, 0.12, (1, 50, 3)), _views(1, Lens())
    pixels = _seen(cameras, points)
    pixels[1] += 30
    sigma = np.ones(pixels.shape[:-1])
    sigma[1] = 1e5
    found, _ = triangulate(cameras, pixels, sigma)
    np.testing.assert_allclose(found, points, atol=1e-6)
    noisy = _seen(cameras, points) + rng.normal(size=pixels.shape)
    best, error = triangulate(cameras, noisy)
    for _ in range(20):
        other = best + rng.normal(size=best.shape) * 1e-4
        cost = np.sqrt(np.mean(np.sum((_seen(cameras, other) - noisy) ** 2, axis=-1), axis=0))
        assert (cost >= error).all()


def test_parallel_rays_and_points_behind_the_camera_give_nan(rng):
    camera = _views(1)[1]
    pixels = _seen([camera, camera], rng.uniform(-0.1, 0.1, (1, 5, 3)))
    assert np.isnan(triangulate([camera, camera], pixels)[0]).all()


def _brute(points, corners, samples=60):
    """Distances to a dense sampling of each triangle: an upper bound that is close."""
    grid = np.array([(i, j, samples - i - j) for i in range(samples + 1) for j in range(samples + 1 - i)]) / samples
    cloud = (grid @ corners).reshape(-1, 3)
    return np.min(np.linalg.norm(points[:, None] - cloud[None], axis=-1), axis=1)


def test_closest_points_are_those_of_brute_force(rng):
    vertices, triangles = rng.normal(size=(40, 3)), rng.integers(0, 40, (25, 3))
    points = rng.normal(size=(60, 3)) * 2
    triangle, bary, distance = closest_point_on_mesh(points, vertices, triangles)
    place = np.einsum("nk,nkd->nd", bary, vertices[triangles[triangle]])
    np.testing.assert_allclose(np.linalg.norm(points - place, axis=1), distance, atol=1e-12)
    assert (bary >= 0).all() and bary.sum(axis=1) == pytest.approx(1)
    sampled = _brute(points, vertices[triangles])
    assert (distance <= sampled + 1e-12).all() and (distance > sampled - 0.05).all()


def test_points_on_a_large_mesh_come_back_to_where_they_lie(rng):
    columns, rows = np.meshgrid(np.linspace(0, 1, 101), np.linspace(0, 1, 101))
    vertices = np.stack([columns.ravel(), rows.ravel(), 0.1 * np.sin(6 * columns.ravel())], axis=-1)
    corner = (np.arange(100)[:, None] * 101 + np.arange(100)).ravel()
    triangles = np.concatenate(
        [np.stack([corner, corner + 1, corner + 102], -1), np.stack([corner, corner + 102, corner + 101], -1)]
    )
    chosen = rng.integers(0, len(triangles), 50_000)
    weights = rng.dirichlet(np.ones(3), 50_000)
    points = np.einsum("nk,nkd->nd", weights, vertices[triangles[chosen]])
    triangle, bary, distance = closest_point_on_mesh(points, vertices, triangles)
    assert distance.max() < 1e-12 and np.mean(triangle == chosen) > 0.999
    np.testing.assert_allclose(bary[triangle == chosen], weights[triangle == chosen], atol=1e-9)


def test_degenerate_triangles_and_bad_points_do_not_break_it():
    vertices = np.array([[0.0, 0, 0], [1, 0, 0], [2, 0, 0]])
    points = np.array([[1.5, 1, 0], [-1, 0, 0], [np.nan, 0, 0]])
    triangle, bary, distance = closest_point_on_mesh(points, vertices, [[0, 1, 2], [1, 1, 1]])
    assert distance[:2] == pytest.approx([1, 1]) and (triangle[2], distance[2]) == (-1, np.inf)
    assert np.isfinite(bary).all()
    with pytest.raises(ValueError):
        closest_point_on_mesh(points, vertices, np.zeros((0, 3), int))
