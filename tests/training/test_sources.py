"""Sources of training pictures: labels stay where they belong, whatever is done to the picture."""

import json
from dataclasses import replace

import cv2
import numpy as np
import pytest
from facequery.errors import UserError
from facequery.head.layouts import load_layout
from facequery.head.model import HeadModel
from facequery.head.query_space import QuerySpace
from facequery.synthesis.cycles.dataset import STEP
from facequery.synthesis.library import Library
from facequery.synthesis.position_maps import write_position_maps
from facequery.synthesis.samples import FaceSampler
from facequery.synthesis.scene import TO_CAMERA, View
from facequery.training.configs import CONFIGS, DataConfig, SetConfig, changed
from facequery.training.readers import AnnotatedReader, CyclesReader, PositionMapReader, open_set
from facequery.training.regions import draw_region, unit_of, view_of_region
from facequery.training.set_sources import SetSource, StillClipSource
from facequery.training.sources import dataset_names, shares_and_frames

PLAIN = DataConfig(queries=68, colour=False, cutout=0.0)
SIDE = 320


@pytest.fixture(scope="module")
def model():
    return HeadModel.load()


@pytest.fixture(scope="module")
def space(model):
    return QuerySpace(model, 3)


def view(turn=0.2):
    """Pixels of canonical points (N, 3) in a picture of SIDE pixels, seen by a weak camera with a little yaw."""
    yaw = np.array([[np.cos(turn), 0, np.sin(turn)], [0, 1, 0], [-np.sin(turn), 0, np.cos(turn)]])
    rotation = TO_CAMERA @ yaw
    return lambda points: (points @ rotation.T)[:, :2] * 1100 + [SIDE / 2, SIDE / 2 - 30]


def picture_of_dots(pixels):
    image = np.zeros((SIDE, SIDE, 3), np.float32)
    y, x = np.mgrid[:SIDE, :SIDE] + 0.5
    for u, v in pixels:
        image[..., 0] = np.maximum(image[..., 0], 255 * np.exp(-((x - u) ** 2 + (y - v) ** 2) / 8))
    return image.astype(np.uint8)


def brightness_at(image, xy):
    """Red light (n,) at points in [-1, 1]."""
    at = ((np.asarray(xy, np.float32) + 1) * image.shape[1] / 2 - 0.5).astype(np.float32)
    return cv2.remap(image[..., 0].astype(np.float32), at[:, None, 0], at[:, None, 1], cv2.INTER_LINEAR)[:, 0]


@pytest.fixture(scope="module")
def folder(tmp_path_factory, model):
    """A data set of one picture with the 68 points of `ibug68`, painted."""
    place = tmp_path_factory.mktemp("set")
    pixels = view()(load_layout("ibug68").positions)
    cv2.imwrite(str(place / "a.png"), picture_of_dots(pixels)[..., ::-1])
    row = {"image": "a.png", "layout": "ibug68", "points": (pixels - 0.5).tolist()}
    (place / "landmarks.json").write_text(json.dumps([row, row]))
    return place


@pytest.mark.parametrize("region", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_points_of_a_data_set_stay_on_their_picture(folder, space, seed, region):
    source = SetSource(AnnotatedReader(folder, 2, space), 256, PLAIN, region)
    example = source.sample(np.random.default_rng(seed))
    inside = (np.abs(example.xy) < 0.97).all(1)
    light = brightness_at(example.image, example.xy[inside])
    assert inside.any() and example.dataset == 2
    if example.unit > 0.4:  # in small faces the dots are smaller than a pixel
        assert (light > 60).mean() > 0.97
    assert example.query.shape == (68, 3) and (example.weight == 1).all()


def test_a_mirrored_picture_asks_for_the_other_side(folder, space):
    source = SetSource(AnnotatedReader(folder, 2, space), 160, replace(PLAIN, affine=False))
    seen = {}
    for seed in range(20):
        example = source.sample(np.random.default_rng(seed))
        right_eye = example.query[:, 0] < -0.2
        seen[bool(example.xy[right_eye, 0].mean() < 0)] = True
        assert example.xy[example.query[:, 0] > 0.4, 0].mean() > example.xy[example.query[:, 0] < -0.4, 0].mean()
    assert seen == {True: True}  # the subject's right lies at the picture's left, mirrored or not


def test_a_layout_with_few_points_is_filled_up_without_weight(folder, space):
    source = SetSource(AnnotatedReader(folder, 2, space), 64, replace(PLAIN, queries=100))
    example = source.sample(np.random.default_rng(0))
    assert example.xy.shape == (100, 2) and example.weight.sum() == 68


def test_frames_of_a_clip_share_all_but_noise_and_place(folder, space):
    reader = AnnotatedReader(folder, 2, space)
    frames = StillClipSource(reader, 160, PLAIN, 6).clip(np.random.default_rng(1))
    assert len(frames) == 6
    for frame in frames:
        assert (frame.query == frames[0].query).all() and (frame.weight == frames[0].weight).all()
        inside = (np.abs(frame.xy) < 0.97).all(1)
        assert (brightness_at(frame.image, frame.xy[inside]) > 60).mean() > 0.95
    steps = np.diff(np.stack([f.xy for f in frames]), axis=0)
    assert 0 < np.abs(steps).max() < 0.1
    assert np.abs(np.diff(steps, axis=0)).max() < np.abs(steps).max()  # it drifts, it does not jump
    look = replace(PLAIN, colour=True)
    a, b = (StillClipSource(reader, 160, look, 2).clip(np.random.default_rng(7)) for _ in range(2))
    assert all((x.image == y.image).all() for x, y in zip(a, b, strict=True))


def test_noise_differs_between_frames_and_colours_do_not():
    from facequery.training import augment

    gray = np.full((96, 96, 3), 128, np.uint8)
    grain = np.random.default_rng(0)
    for look in range(40):
        one, two = (augment.degrade(np.random.default_rng(look), gray, grain=grain) for _ in range(2))
        if (one != two).any():
            assert np.abs(one.astype(float).mean() - two.astype(float).mean()) < 1.0
            break
    else:
        raise AssertionError("no noise in forty draws")


def test_a_region_holds_the_face_where_its_view_says():
    rng = np.random.default_rng(0)
    plain = View(TO_CAMERA, np.array([0.02, 0.01, 0.9]), 3.0, 0.45, 0.6, 0.0, 0.0, 0.9)
    points = rng.normal(0, 0.05, (20, 3))

    def crop(v):
        p = points @ v.rotation.T + v.translation
        return 2 * (v.focal * p[:, :2] / p[:, 2:] + [v.cx, v.cy]) - 1

    for _ in range(20):
        region = draw_region(rng)
        seen = crop(view_of_region(plain, region))
        assert np.abs(seen @ region[:, :2].T + region[:, 2] - crop(plain)).max() < 1e-9
        assert 0.15 / 0.62 - 1e-9 < unit_of(region) < 1 / 0.62 + 1e-9


def test_kept_and_unknown_sets_are_refused(folder, space, tmp_path):
    with pytest.raises(UserError, match="no data set"):
        open_set(tmp_path, 2, space)
    with pytest.raises(UserError, match="research-only"):
        AnnotatedReader(folder, 2, space, "ibug68_300w")
    (tmp_path / "landmarks.json").write_text("[]")
    with pytest.raises(UserError, match="empty"):
        open_set(tmp_path, 2, space)


def test_evaluation_sets_are_refused(monkeypatch, tmp_path, space):
    (tmp_path / "real_dev" / "afw").mkdir(parents=True)
    monkeypatch.setenv("FACEQUERY_DATA", str(tmp_path))
    with pytest.raises(UserError, match="evaluation"):
        open_set(tmp_path / "real_dev" / "afw", 2, space)


def cycles_folder(place, model, split):
    """A set as Cycles rendering writes it, of one resting head."""
    for name in ("images", "labels"):
        (place / name).mkdir(parents=True)
    (place / "cycles.json").write_text(json.dumps({"split": split}))
    rest = np.round(model.rest / STEP).astype(np.int16)
    np.savez(
        place / "labels" / "00000.npz", canonical=rest, neutral=rest, rotation=TO_CAMERA,
        translation=np.array([0, 0, 0.8]), camera=np.array([900.0, 900, 160, 140]), size=SIDE,
        hair_depth=np.full((SIDE, SIDE), np.inf, np.float16),
    )  # fmt: skip
    cv2.imwrite(str(place / "images" / "00000.png"), np.zeros((SIDE, SIDE, 3), np.uint8))
    return place


def test_sets_rendered_by_cycles_give_exact_labels_of_any_query(tmp_path, model, space):
    with pytest.raises(UserError, match="tests"):
        open_set(cycles_folder(tmp_path / "kept", model, "heldout"), 2, space)
    reader = open_set(cycles_folder(tmp_path / "train", model, "train"), 2, space)
    assert isinstance(reader, CyclesReader) and reader.dataset == 0
    found = reader.labels(0, np.random.default_rng(0), 300)
    camera = found.query / model.scale @ TO_CAMERA.T + [0, 0, 0.8]
    expected = camera[:, :2] / camera[:, 2:] * 900 + [160, 140]
    assert np.abs(found.points - expected).max() < 0.05
    assert {0.5, 1.0} == set(np.unique(found.weight))
    assert np.allclose(found.mirrored, found.query * [-1, 1, 1])
    image, crop = reader.picture(0)
    assert image.shape == (SIDE, SIDE, 3) and abs(crop[0, 2] - 160) < 5


def test_position_maps_are_a_source(tmp_path, model, space):
    sampler = FaceSampler(model=model, library=Library.plain(model))
    write_position_maps(tmp_path, sampler, 2, 64, 128)
    reader = open_set(tmp_path, 2, space)
    assert isinstance(reader, PositionMapReader) and len(reader) == 2 and reader.dataset == 0
    rng = np.random.default_rng(0)
    found = reader.labels(0, rng, 200)
    uv = (QuerySpace(model, 2)(found.query / model.scale)[0][:, :2] + 1) / 2
    xy = reader.atlas.read(reader.maps[0].astype(np.float32), uv.astype(float))[:, :2]
    assert np.abs((xy + 1) * 32 - found.points).max() < 0.05
    example = SetSource(reader, 64, replace(PLAIN, affine=False, flip=False)).sample(rng)
    assert example.image.shape == (64, 64, 3) and example.weight.all()


def test_uv_queries_are_atlas_places_of_the_skin(model):
    uv_space = QuerySpace(model, 2)
    part = model.parts["skin"]
    triangles = np.arange(part.triangles.start, part.triangles.stop, 97)
    corners = model.triangles[triangles]
    bary = np.random.default_rng(0).dirichlet([1, 1, 1], len(triangles))
    uv, valid = uv_space(np.einsum("nk,nkc->nc", bary, model.rest[corners]))
    expected = np.einsum("nk,nkc->nc", bary, model.uv[model.triangles_uv[triangles]]) * 2 - 1
    close = np.abs(uv[:, :2] - expected).max(1) < 1e-3
    assert valid.all() and close.mean() > 0.98  # the lips touch: there the other lip's place is as near
    assert not uv_space(load_layout("skull").positions)[1].any()


def test_settings_change_fields_of_any_depth():
    config = changed(CONFIGS["default"], ["model.space=3d", "data.renders=1", "correction=false", "batch=8",
                                          "data.sets=one:0.2,two", "data.portrait_clips=0"])  # fmt: skip
    assert (config.model.space, config.data.renders, config.correction, config.batch) == ("3d", 1.0, False, 8)
    assert config.data.sets == (SetConfig("one", 0.2), SetConfig("two", 1.0))
    assert dataset_names(config.data) == ["renders", "portraits", "one", "two"]
    listed = changed(config, ["data.sets=[{'folder': 'x', 'weight': 0.5, 'clips': True}]"])
    assert listed.data.sets == (SetConfig("x", 0.5, clips=True),)
    shares, frames = shares_and_frames(listed.data)
    assert frames == [1, 1, 4] and sum(shares) == pytest.approx(1)
    for wrong in ("model.spaces=3d", "batch=many", "batch=1.5", "correction=2", "model=x", "batch", "data.sets=a:b"):
        with pytest.raises(UserError):
            changed(config, [wrong])
