import cv2
import numpy as np
import pytest
from dot_picture import dot_picture, dots_in
from facequery.errors import UserError
from facequery.geometry.crops import apply_affine, crop_from_similarity, invert_affine, sample_crop
from facequery.head.model import HeadModel
from facequery.head.query_space import QuerySpace
from facequery.training import augment
from facequery.training.configs import DataConfig
from facequery.training.readers import PortraitReader
from facequery.training.set_sources import SetSource

from tools.label_portraits import mirror_numbering


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
    space = QuerySpace(HeadModel.load(), 3)
    source = SetSource(PortraitReader(portraits, numbers, space), 160, config)
    example = source.sample(np.random.default_rng(seed))
    order = example.query[:, 0].argsort()
    xy = (example.xy[order] + 1) * 80
    chosen = [33, 263, 61, 291]
    inside = [i for i in chosen if (xy[i] > 6).all() and (xy[i] < 154).all()]
    assert np.abs(dots_in(example.image, xy[inside]) - xy[inside]).max() < 0.5
    # the subject's right eye stays at the picture's left, mirrored or not
    across, down = xy[263] - xy[33], (xy[61] + xy[291] - xy[33] - xy[263]) / 2
    assert across[0] * down[1] - across[1] * down[0] > 0


def test_missing_labels_name_the_command(tmp_path):
    with pytest.raises(UserError, match="label_portraits"):
        PortraitReader(tmp_path / "none.npz", np.zeros((478, 3), np.float32), QuerySpace(HeadModel.load(), 3))


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
