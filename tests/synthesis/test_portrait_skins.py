"""Skins from portraits: the fit meets the points, the baked texture shows what the picture shows, renders draw them."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from facequery.errors import UserError
from facequery.geometry.rasterize import rasterize
from facequery.geometry.rotations import euler_to_matrix
from facequery.head.layouts import load_layout
from facequery.head.model import HeadModel
from facequery.synthesis.library import Library
from facequery.synthesis.portrait_skins import SIDE, PortraitSkin, load_portrait_skins, save_portrait_skins
from facequery.synthesis.portrait_skins_bake import PortraitBaker
from facequery.synthesis.portrait_skins_fit import POINTS, PortraitFit, PortraitFitter
from facequery.synthesis.samples import FaceSampler

WIDTH, HEIGHT, FOCAL = 420, 460, 1900.0


@pytest.fixture(scope="module")
def fitter(model: HeadModel) -> PortraitFitter:
    return PortraitFitter(model)


@pytest.fixture(scope="module")
def portrait(model: HeadModel, fitter: PortraitFitter) -> tuple[np.ndarray, np.ndarray, PortraitFit]:
    """A picture whose colours tell the place on the skin, its points (478, 2), and the fit."""
    rng = np.random.default_rng(3)
    identity = rng.normal(0, 0.8, model.identity_size).astype(np.float32)
    expression = np.zeros(len(model.expression_names), np.float32)
    expression[model.expression_names.index("mouthSmileLeft")] = 0.5
    vertices = model.vertices(identity, expression)
    rotation = np.diag([1.0, -1.0, -1.0]) @ euler_to_matrix(np.radians(14.0), np.radians(-6.0), np.radians(9.0))
    camera = vertices @ rotation.T + [0.01, 0.02, 1.1]
    screen = camera[:, :2] / camera[:, 2:] * FOCAL + [WIDTH / 2, HEIGHT / 2]
    triangles = model.triangles[model.parts["skin"].triangles]
    ids, _, bary = rasterize(screen, camera[:, 2], triangles, WIDTH, HEIGHT)
    place = np.einsum("hwk,hwkc->hwc", bary, model.rest[triangles[ids]])
    image = np.where(ids[..., None] >= 0, colour_of(place), 0).astype(np.uint8)
    binding = model.bind(load_layout("mediapipe478").positions)
    moved = binding.moved(vertices, model.rest) @ rotation.T + [0.01, 0.02, 1.1]
    points = moved[:, :2] / moved[:, 2:] * FOCAL + [WIDTH / 2, HEIGHT / 2]
    return image, points, fitter.fit(points, WIDTH, HEIGHT)


def colour_of(place: np.ndarray) -> np.ndarray:
    """A smooth colour (..., 3), 0..255, for canonical places (..., 3)."""
    return np.clip(140 + place * [700.0, 600.0, 500.0], 1, 255)


def test_fit_meets_the_points(model: HeadModel, portrait) -> None:
    _, points, fit = portrait
    binding = model.bind(load_layout("mediapipe478").positions[:POINTS])
    met = np.einsum("nk,nkc->nc", binding.weights, fit.screen[binding.indices])
    size = np.ptp(points, axis=0).max()
    assert np.linalg.norm(met - points[:POINTS], axis=1).mean() < 0.002 * size
    assert fit.error < 0.006
    assert fit.yaw == pytest.approx(14.0, abs=4.0)


def test_texture_shows_what_the_picture_shows(model: HeadModel, library: Library, portrait) -> None:
    image, _, fit = portrait
    baker = PortraitBaker(model, library)
    baked = baker.bake(image, fit)
    assert baked.texture.shape == (SIDE, 2 * SIDE, 3) and baked.seen > 0.6 and baked.colourful > 5
    places = np.einsum("nk,nkc->nc", baker.bary, model.rest[baker.corners].astype(float))
    face = (baker.inside > 0.99) & (places[:, 2] > 0.025)  # the front, which this view shows
    error = np.abs(baked.texture[baker.rows, baker.columns][face] - colour_of(places[face]))
    assert np.median(error) < 4
    assert np.quantile(error, 0.9) < 12  # 12 are about 2 cm


def test_hidden_half_takes_the_seen_one(model: HeadModel, library: Library, portrait) -> None:
    image, _, fit = portrait
    cut = image.copy()
    cut[:, : WIDTH // 2 - 20] = 0
    screen = fit.screen.copy()
    screen[:, 0] -= WIDTH / 2 - 20  # as if the picture ended there
    baker = PortraitBaker(model, library)
    baked = baker.bake(np.ascontiguousarray(cut[:, WIDTH // 2 - 20 :]), replace(fit, screen=screen))
    whole = baker.bake(image, fit)
    assert 0.2 < baked.seen < whole.seen - 0.1
    assert baked.texture[baker.rows, baker.columns][baker.inside > 0.99].min() > 5  # nothing left black


def test_files_come_back(tmp_path: Path, model: HeadModel) -> None:
    sizes = model.identity_size, len(model.expression_names)
    assert load_portrait_skins(tmp_path / "none", *sizes) == []
    skin = made_up_skin(model)
    save_portrait_skins(tmp_path, [skin])
    (back,) = load_portrait_skins(tmp_path, *sizes)
    np.testing.assert_array_equal(back.identity, skin.identity)
    assert np.abs(back.texture.astype(int) - skin.texture).mean() < 3
    with pytest.raises(UserError, match="another head"):
        load_portrait_skins(tmp_path, sizes[0] + 1, sizes[1])
    (tmp_path / f"{skin.name}.jpg").unlink()
    with pytest.raises(UserError, match="cannot be read"):
        load_portrait_skins(tmp_path, *sizes)


def test_renders_draw_them_in_training_only(
    tmp_path: Path, model: HeadModel, library: Library, sampler, binding
) -> None:
    save_portrait_skins(tmp_path, [made_up_skin(model)])
    settings = replace(sampler.settings, portrait_skins=1.0, portrait_folder=str(tmp_path))
    training = FaceSampler(settings, model=model, library=library)
    rng = np.random.default_rng(2)
    scenes = [training.draw_scene(rng) for _ in range(4)]
    assert {scene.skin for scene in scenes} == {len(library.skins)}
    sample = training.batch(rng, 1, 64, binding, 10)[0]
    assert sample.image.std() > 2
    held_out = FaceSampler(settings, "heldout", model=model, library=library)
    assert held_out.library.portraits == []


def made_up_skin(model: HeadModel) -> PortraitSkin:
    texture = cv2.resize(np.random.default_rng(0).integers(60, 220, (8, 16, 3), np.uint8), (2 * SIDE, SIDE))
    zero = np.zeros(model.identity_size, np.float32), np.zeros(len(model.expression_names), np.float32)
    return PortraitSkin("made_up", np.asarray(texture), np.full(3, 0.3, np.float32), *zero)
