import json

import cv2
import numpy as np
import pytest
from facequery.errors import UserError
from facequery.geometry.crops import apply_affine, crop_from_similarity, invert_affine, sample_crop
from facequery.training import augment
from facequery.training.annotated import (
    AnnotatedSet,
    area_under_curve,
    load_annotated,
    normalised_errors,
    spearman,
    summary,
    to_crop,
)
from facequery.training.configs import DataConfig
from facequery.training.evaluation import Prediction, place_on_canvas, sigma_figures
from facequery.training.examples import PortraitSource

from tools.label_portraits import mirror_numbering


def dot_picture(points, size=400):
    """A picture with a red, soft dot at every point (continuous pixels)."""
    image = np.zeros((size, size, 3), np.float32)
    y, x = np.mgrid[:size, :size] + 0.5
    for u, v in points:
        image[..., 0] = np.maximum(image[..., 0], 255 * np.exp(-((x - u) ** 2 + (y - v) ** 2) / 12))
    return image.astype(np.uint8)


def dots_in(image, near):
    """Where the dots nearest to `near` (N, 2) pixels are: centroids of the red light around each."""
    found = []
    y, x = np.mgrid[: image.shape[0], : image.shape[1]] + 0.5
    for u, v in near:
        light = image[..., 0] * (((x - u) ** 2 + (y - v) ** 2) < 25)
        found.append([(light * x).sum() / light.sum(), (light * y).sum() / light.sum()])
    return np.array(found)


@pytest.fixture
def portraits(tmp_path):
    """Labels of three pictures whose points are painted, in the form that tools/label_portraits.py writes."""
    rng = np.random.default_rng(0)
    points = rng.uniform(-0.3, 0.3, (478, 2))
    points[[33, 133, 362, 263]] = [[-0.6, -0.4], [-0.4, -0.4], [0.4, -0.4], [0.6, -0.4]]
    points[[61, 291]] = [[-0.35, 0.5], [0.35, 0.5]]
    mirror = np.arange(478)
    mirror[[33, 133, 362, 263, 61, 291]] = [263, 362, 133, 33, 291, 61]
    points = 200 + 90 * points
    cv2.imwrite(str(tmp_path / "a.png"), dot_picture(points[[33, 263, 61, 291]])[..., ::-1])
    np.savez(
        tmp_path / "labels.npz", root=str(tmp_path), images=np.array(["a.png"]), points=points[None].astype(np.float32),
        sigma=np.zeros((1, 478), np.float32), mirror=mirror.astype(np.int32), layout="mediapipe478",
    )  # fmt: skip
    return tmp_path / "labels.npz"


@pytest.mark.parametrize("seed", range(6))
def test_portrait_labels_stay_on_the_picture_through_crop_and_flip(portraits, seed):
    numbers = np.zeros((478, 3), np.float32)
    numbers[:, 0] = np.arange(478)
    config = DataConfig(queries=478, colour=False, cutout=0.0)
    source = PortraitSource(portraits, numbers, 160, config)
    example = source.sample(np.random.default_rng(seed))
    order = example.query[:, 0].astype(int).argsort()
    xy = (example.xy[order] + 1) * 80
    chosen = [33, 263, 61, 291]
    inside = [i for i in chosen if (xy[i] > 6).all() and (xy[i] < 154).all()]
    assert np.abs(dots_in(example.image, xy[inside]) - xy[inside]).max() < 0.5
    # the subject's right eye stays at the picture's left, mirrored or not
    across, down = xy[263] - xy[33], (xy[61] + xy[291] - xy[33] - xy[263]) / 2
    assert across[0] * down[1] - across[1] * down[0] > 0


def test_missing_labels_name_the_command(tmp_path):
    with pytest.raises(UserError, match="label_portraits"):
        PortraitSource(tmp_path / "none.npz", np.zeros((478, 3), np.float32), 64, DataConfig())


def test_jittered_crops_carry_points_exactly():
    rng = np.random.default_rng(2)
    points = rng.uniform(150, 250, (5, 2))
    image = dot_picture(points)
    for _ in range(4):
        crop = augment.jitter_crop(rng, crop_from_similarity([200, 200], 120, 0.1))
        xy = (apply_affine(invert_affine(crop), points) + 1) * 100
        inside = (xy > 8).all(1) & (xy < 192).all(1)
        one = dot_picture(points[inside][:1])
        found = dots_in(sample_crop(one, crop, 200), xy[inside][:1])
        assert np.abs(found - xy[inside][:1]).max() < 0.3
    assert image.any()


def test_colour_changes_keep_shape_and_kind():
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (64, 64, 3)).astype(np.uint8)
    for _ in range(40):
        changed = augment.cover(rng, augment.degrade(rng, augment.colour(rng, image)))
        assert changed.shape == image.shape and changed.dtype == np.uint8


def test_mirrored_numbering_is_found_from_symmetric_shapes():
    rng = np.random.default_rng(1)
    half = rng.uniform([0.05, -0.5], [1.0, 1.5], (239, 2))
    half[0], half[1] = [0.35, 1.0], [0.5, 0.0]
    shape = np.empty((478, 2))
    left, right = [291, 473], [61, 468]
    rest = [i for i in range(478) if i not in left + right]
    lefts, rights = left + rest[:237], right + rest[237:]
    shape[lefts], shape[rights] = half, half * [-1, 1]
    noisy = 100 * (shape + rng.normal(0, 0.002, (30, 478, 2)))
    mirror = mirror_numbering(noisy)
    assert (mirror[lefts] == rights).mean() > 0.95 and mirror[291] == 61 and mirror[473] == 468


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
    figures = summary(errors, chosen)
    assert figures["nme68"] == pytest.approx((3 * 5 + 100) / 4, abs=0.01)
    assert figures["fail10"] == 25.0 and figures["auc10"] == pytest.approx(37.5, abs=0.01)
    parts = sum(figures[g] * n for g, n in (("contour", 17), ("brows", 10), ("nose", 9), ("eyes", 12), ("mouth", 20)))
    assert parts / 68 == pytest.approx(figures["nme68"], abs=0.01)
    assert area_under_curve(np.zeros(3)) == 1.0 and area_under_curve(np.ones(3)) == 0.0


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
    figures = sigma_figures(Prediction(xy, sigma, np.zeros(400, bool), 1.0), truth, np.full(400, 60.0))
    assert figures["inside_1_sigma"] == pytest.approx(68.3, abs=2) and figures["inside_2_sigma"] == pytest.approx(
        95.4, abs=1
    )
    assert 0.3 < figures["sigma_rank"] < 0.8
    assert spearman(np.arange(5), np.arange(5) ** 3) == pytest.approx(1.0)
