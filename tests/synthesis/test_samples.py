"""Samples, whole pictures and what they are drawn from."""

import pickle
from dataclasses import replace

import numpy as np
import pytest
from facequery.assets import source_data
from facequery.errors import UserError
from facequery.head.model import HeadModel
from facequery.synthesis.expressions import LIBRARY, ExpressionSampler
from facequery.synthesis.library import HELD_OUT, Library, in_split
from facequery.synthesis.pictures import PictureSampler
from facequery.synthesis.samples import FaceSampler
from facequery.synthesis.settings import SampleSettings


def test_sample_shapes_and_ranges(sampler: FaceSampler, binding) -> None:
    for sample in sampler.batch(np.random.default_rng(0), 6, 96, binding, 50):
        assert sample.image.shape == (96, 96, 3) and sample.image.dtype == np.uint8
        assert sample.query.shape == (50, 3) and sample.xy.shape == (50, 2)
        assert np.isfinite(sample.xy).all()
        assert sample.visible.dtype == bool
        np.testing.assert_array_equal(sample.query, binding.positions[sample.index])
        assert sample.image.std() > 2
        assert np.abs(sample.rotation @ sample.rotation.T - np.eye(3)).max() < 1e-5


def test_same_seed_same_sample(sampler: FaceSampler, binding) -> None:
    a, b = (sampler.batch(np.random.default_rng(5), 3, 64, binding, 20) for _ in range(2))
    for one, two in zip(a, b, strict=True):
        np.testing.assert_array_equal(one.image, two.image)
        np.testing.assert_array_equal(one.xy, two.xy)


def test_all_queries_in_their_order(sampler: FaceSampler, binding) -> None:
    sample = sampler.face_sample(np.random.default_rng(1), 64, binding)
    np.testing.assert_array_equal(sample.query, binding.positions)


def test_faces_fill_the_crop(sampler: FaceSampler, binding) -> None:
    xy = np.concatenate([s.xy for s in sampler.batch(np.random.default_rng(2), 24, 48, binding, 100)])
    assert np.abs(np.median(xy, axis=0)).max() < 0.5


def test_settings_pickle() -> None:
    settings = SampleSettings(hair=0.1)
    assert pickle.loads(pickle.dumps(settings)) == settings


def test_whole_picture(sampler: FaceSampler) -> None:
    pictures = PictureSampler(sampler)
    rng, counts = np.random.default_rng(3), []
    for _ in range(8):
        picture = pictures.whole_picture(rng, 96, 128)
        assert picture.image.shape == (96, 128, 3)
        assert picture.faces.shape[1:] == (4, 2) and len(picture.faces) == len(picture.boxes)
        counts.append(len(picture.faces))
        for four, (x, y, w, h) in zip(picture.faces, picture.boxes, strict=True):
            assert 0.05 * 96 < max(w, h) < 0.9 * 96
            centre = four.mean(0)
            assert x < centre[0] < x + w and y < centre[1] < y + h
    assert max(counts) > 0


def test_expressions_are_weights_of_known_names(model: HeadModel) -> None:
    sampler = ExpressionSampler(model.expression_names)
    rng = np.random.default_rng(0)
    drawn = np.stack([sampler.draw(rng) for _ in range(300)])
    assert drawn.min() >= 0 and drawn.max() <= 1
    assert (drawn.max(0) > 0).mean() > 0.95  # every slider is used
    for name, face in LIBRARY.items():
        assert (sampler.named(name) > 0).sum() >= len(face), name


def test_gaze_turns_the_eyes(model: HeadModel) -> None:
    sampler = ExpressionSampler(model.expression_names)
    weights = np.zeros(52, np.float32)
    sampler.set_gaze(weights, 20.0, 0.0)
    forward = model.gaze(weights)[..., :, 2]
    assert (forward[:, 0] > 0.2).all()  # both eyes to the subject's left


def test_splits_share_nothing() -> None:
    names = [*HELD_OUT, "city", "park", "young_lightskinned_male", "afro01", "blue_eye"]
    assert not [n for n in names if in_split(n, "train") and in_split(n, "heldout")]
    assert all(in_split(n, "heldout") and not in_split(n, "train") for n in HELD_OUT)
    assert all(in_split(n, "all") for n in names)


def test_loaded_splits_are_apart(model: HeadModel) -> None:
    try:
        source_data("skins")
    except UserError:
        pytest.skip("needs the source data")
    train, held = Library.load(model, "train"), Library.load(model, "heldout")
    for kind, names in train.names.items():
        assert names, kind
        assert held.names[kind], kind
        assert not set(names) & set(held.names[kind])
        assert not set(names) & HELD_OUT


def test_bald_settings_are_bald(sampler: FaceSampler, binding) -> None:
    bare = FaceSampler(
        replace(SampleSettings(), hair=0, hat=0, glasses=0), model=sampler.model, library=sampler.library
    )
    assert bare.face_sample(np.random.default_rng(0), 48, binding, 10).image.shape == (48, 48, 3)
