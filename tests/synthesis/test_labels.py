"""Labels are pinned to what is in the picture."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from facequery.geometry.crops import crop_from_points, crop_parameters
from facequery.head.model import HeadModel
from facequery.synthesis.labels import labels
from facequery.synthesis.occluders import covered, draw_occluder
from facequery.synthesis.samples import FaceSampler
from facequery.synthesis.scene import Scene, draw_view, sample_scene
from facequery.synthesis.settings import SampleSettings


def scene_of(sampler: FaceSampler, seed: int, **settings: Any) -> Scene:
    """A scene without anything in front of the face."""
    bare = replace(
        SampleSettings(hair=0, hat=0, beard=0, glasses=0, occluder=0, face_mask=0, helmet=0, shadow=0), **settings
    )
    return sample_scene(np.random.default_rng(seed), sampler.model, sampler.library, sampler.expressions, bare)


def seen_from_the_front(sampler: FaceSampler, scene: Scene, size: int, rng: np.random.Generator) -> np.ndarray:
    """Texels (n, 2) row, column of the face whose surroundings are all seen, and not at a slant."""
    surface, model = sampler.library.surface, sampler.model
    region = surface.covered & (surface.positions[..., 2] > -0.02) & (surface.positions[..., 1] > -0.11)
    region[:, region.shape[1] // 2 :] = False
    across, up = np.abs(surface.positions[..., 0]), np.abs(surface.positions[..., 1])
    region &= ~((across > 0.014) & (across < 0.05) & (up < 0.012))  # lids fold over what is painted there
    rows, columns = np.nonzero(region)
    texels = np.stack([rows, columns], 1)[rng.choice(len(rows), 60, replace=False)]
    corners = texels[:, None] + np.array([[-5, -5], [-5, 5], [5, 5], [5, -5]])
    render = sampler.renderer.render(scene, size)
    found = labels(render, model.bind(surface.positions[tuple(corners.reshape(-1, 2).T)]), model)
    spread = np.linalg.svd(
        (found.xy - found.xy.reshape(-1, 4, 2).mean(1).repeat(4, 0)).reshape(-1, 4, 2), compute_uv=False
    )
    good = found.visible.reshape(-1, 4).all(1) & (np.abs(found.xy) < 0.9).reshape(-1, 8).all(1)
    return texels[good & (spread[:, 1] > 0.5 * spread[:, 0])]


@pytest.mark.parametrize("seed", range(6))
def test_painted_dot_is_found_at_its_label(sampler: FaceSampler, seed: int) -> None:
    size, rng = 512, np.random.default_rng(seed)
    scene = scene_of(sampler, seed, crop_tail=0, yaw_limit=60, crop_scale=0.05)
    surface, renderer = sampler.library.surface, sampler.renderer
    blank = np.zeros((*surface.covered.shape, 4), np.uint8)
    blank[..., :3] = (0, 255, 0)
    full = blank.copy()
    full[..., 3] = 255
    before, after = (renderer.render(scene, size, overlay=o).colour.astype(float) for o in (blank, full))
    paint = after - before  # what full paint does to each pixel: a dot's share of it is how much of the pixel it covers
    errors = []
    for row, column in seen_from_the_front(sampler, scene, size, rng)[:5]:
        painted = blank.copy()
        painted[row - 1 : row + 2, column - 1 : column + 2, 3] = 255
        change = renderer.render(scene, size, overlay=painted).colour - before
        share = np.clip((change * paint).sum(-1) / np.maximum((paint**2).sum(-1), 1e-9), 0, 1)
        y, x = np.mgrid[0:size, 0:size] + 0.5
        at = np.array([(x * share).sum(), (y * share).sum()]) / share.sum()
        point = sampler.model.bind(surface.positions[row, column][None])
        label = (labels(renderer.render(scene, size), point, sampler.model).xy[0] + 1) * size / 2
        errors.append(np.linalg.norm(at - label))
    assert errors
    assert max(errors) < 0.3


def test_labels_are_the_projection_of_the_model(sampler: FaceSampler, binding) -> None:
    scene = scene_of(sampler, 3)
    found = labels(sampler.renderer.render(scene, 96), binding, sampler.model)
    view = scene.view
    points = (
        sampler.model.points(binding, scene.identity, scene.expression).astype(float) @ view.rotation.T
        + view.translation
    )
    pixel = view.focal * points[:, :2] / points[:, 2:] + [view.cx, view.cy]
    np.testing.assert_allclose(found.xy, pixel * 2 - 1, atol=2e-4)
    np.testing.assert_allclose(found.depth, points[:, 2], atol=2e-5)


def test_labels_do_not_depend_on_the_size(sampler: FaceSampler, binding) -> None:
    scene = scene_of(sampler, 4)
    small, large = (labels(sampler.renderer.render(scene, s), binding, sampler.model) for s in (96, 288))
    np.testing.assert_allclose(small.xy, large.xy, atol=1e-5)
    assert (small.visible == large.visible).mean() > 0.95


@pytest.mark.parametrize("seed", range(4))
def test_visible_points_lie_on_the_z_buffer_and_hidden_ones_behind(sampler: FaceSampler, binding, seed: int) -> None:
    scene = scene_of(sampler, 20 + seed)
    render = sampler.renderer.render(scene, 256)
    found = labels(render, binding, sampler.model)
    pixel = np.floor((found.xy + 1) * 128).astype(int)
    inside = ((pixel >= 1) & (pixel < 255)).all(1)
    around = np.stack(
        [render.depth[pixel[inside, 1] + i, pixel[inside, 0] + j] for i in (-1, 0, 1) for j in (-1, 0, 1)]
    )
    away = around.max(0) - around.min(0) < 0.003  # not at an edge, where a pixel shows two depths
    behind = (found.depth[inside] - around[4])[away]
    visible = found.visible[inside][away]
    assert away.sum() > 60
    assert (behind[visible] < 0.004).all()
    assert not visible[behind > 0.004].any()
    assert (behind > -0.003).all()  # nothing of the head floats before what is drawn
    assert visible[np.abs(behind) < 0.001].mean() > 0.95


def test_something_in_front_hides(sampler: FaceSampler, binding) -> None:
    scene = scene_of(sampler, 5, yaw_spread=5, yaw_wide=0)
    free = labels(sampler.renderer.render(scene, 128), binding, sampler.model)
    occluding = FaceSampler(
        replace(SampleSettings(), occluder=1.0, hair=0, hat=0, glasses=0, beard=0, hand=1.0),
        model=sampler.model, library=sampler.library,
    )  # fmt: skip
    hidden = labels(occluding.dressed(scene, 128), binding, sampler.model)
    assert hidden.visible.sum() < free.visible.sum()
    np.testing.assert_array_equal(hidden.xy, free.xy)


def test_a_thing_in_front_leaves_part_of_the_face_free(sampler: FaceSampler) -> None:
    square = np.array([[x, y, 0.5] for x in (-0.05, 0.05) for y in (-0.05, 0.05)])
    face = np.random.default_rng(0).uniform([-0.1, -0.1, 1.0], [0.1, 0.1, 1.0], (2000, 3))
    triangles = np.array([[0, 1, 2], [1, 3, 2]])
    assert covered(square, triangles, face) == 1.0  # at half the distance it looks twice as large
    assert covered(square * [0.5, 1.0, 1.0], triangles, face) == pytest.approx(0.5, abs=0.05)
    front = np.flatnonzero(sampler.model.region_mask("face"))
    shares = []
    for seed in range(40):
        scene = scene_of(sampler, seed, helmet=1.0)  # the nearest cameras
        face = sampler.shapes([scene])[0][front] @ scene.view.rotation.T + scene.view.translation
        thing = draw_occluder(np.random.default_rng(seed), scene, face, face, hand_share=0.5)
        shares.append(covered(thing.vertices, thing.triangles, face))
    assert max(shares) <= 0.6 and np.mean(np.array(shares) > 0.02) > 0.5


def test_no_crop_is_further_off_than_a_finders(sampler: FaceSampler) -> None:
    four = sampler.model.normalisation_points()
    wild = SampleSettings(crop_turn=300.0, crop_scale=3.0, crop_tail=1.0)
    for seed in range(30):
        view = draw_view(np.random.default_rng(seed), four, wild)
        points = four @ view.rotation.T + view.translation
        inside = 2 * (view.focal * points[:, :2] / points[:, 2:] + [view.cx, view.cy]) - 1
        _, half, turn = crop_parameters(crop_from_points(inside))
        assert np.abs(np.log(half)) < 0.56 and abs(np.degrees(turn)) < 55.1


def test_points_inside_the_head_are_labelled_but_never_visible(sampler: FaceSampler) -> None:
    model = sampler.model
    inside = model.bind(np.array([[0.0, 0.0, -0.05], [0.03, -0.05, -0.03]]))
    found = labels(sampler.renderer.render(scene_of(sampler, 6), 96), inside, model)
    assert not found.visible.any()
    assert np.isfinite(found.xy).all()


def test_crop_is_the_one_of_the_true_points_when_there_is_no_jitter(sampler: FaceSampler) -> None:
    scene = scene_of(sampler, 7, crop_scale=0, crop_shift=0, crop_turn=0, helmet=0)
    view = scene.view
    four = sampler.model.normalisation_points(scene.identity, scene.expression).astype(float)
    points = four @ view.rotation.T + view.translation
    pixels = (view.focal * points[:, :2] / points[:, 2:] + [view.cx, view.cy]) * 1000
    np.testing.assert_allclose(crop_from_points(pixels), [[500, 0, 500], [0, 500, 500]], atol=0.5)


def test_model_has_what_the_renderer_draws(model: HeadModel) -> None:
    assert {"skin", "eye_left", "eye_right", "teeth_upper", "teeth_lower", "gums_tongue"} <= set(model.parts)
