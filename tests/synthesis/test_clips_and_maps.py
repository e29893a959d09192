"""Clips move smoothly; position maps agree with the labels, and mirror."""

from pathlib import Path

import numpy as np
import pytest
from facequery.errors import UserError
from facequery.head.layouts import load_layout
from facequery.head.model import HeadModel
from facequery.synthesis.clips import sample_clip, smooth_walk
from facequery.synthesis.labels import labels
from facequery.synthesis.off_basis import Features
from facequery.synthesis.position_maps import Atlas, PositionMapSet, position_map, write_position_maps
from facequery.synthesis.samples import FaceSampler
from facequery.synthesis.settings import SampleSettings


@pytest.fixture(scope="module")
def atlas(model: HeadModel) -> Atlas:
    return Atlas(model, 256)


def test_clip_moves_smoothly(sampler: FaceSampler, binding) -> None:
    clip = sample_clip(sampler, np.random.default_rng(4), 16, 64, binding, 60)
    assert clip.images.shape == (16, 64, 64, 3) and clip.xy.shape == (16, 60, 2)
    step, change = np.diff(clip.xy, axis=0), np.diff(clip.xy, n=2, axis=0)
    assert 0 < np.abs(step).mean() < 0.1
    assert np.abs(change).mean() < 0.6 * np.abs(step).mean() + 1e-3
    brightness = clip.images.reshape(16, -1).mean(1)
    assert np.abs(np.diff(brightness)).max() < 12


def test_clip_truth_is_the_models(sampler: FaceSampler, binding) -> None:
    clip = sample_clip(sampler, np.random.default_rng(5), 4, 48, binding)
    points = sampler.model.points(binding, clip.identity, clip.expression).astype(float)
    camera = np.einsum("fij,fnj->fni", clip.rotation, points) + clip.translation[:, None]
    focal, centre = clip.intrinsics[:, None, :1], clip.intrinsics[:, None, 1:]
    np.testing.assert_allclose(clip.xy, (focal * camera[..., :2] / camera[..., 2:] + centre) * 2 - 1, atol=2e-4)


def test_smooth_walk_has_its_spread() -> None:
    paths = np.stack([smooth_walk(np.random.default_rng(k), 100, 2.0, 0.3, 25) for k in range(200)])
    assert 1.7 < paths.std() < 2.3


@pytest.mark.parametrize("layout", ["face68_3d", "dense520"])
def test_landmarks_read_from_the_map_are_the_labels(sampler: FaceSampler, atlas: Atlas, layout: str) -> None:
    queries = load_layout(layout)
    keep = np.array([k == "skin" and t >= 0 for k, t in zip(queries.kinds, queries.triangle, strict=True)])
    queries = queries.subset(np.flatnonzero(keep))
    render = sampler.dressed(sampler.draw_scene(np.random.default_rng(1)), 64)
    read = atlas.read(position_map(render, atlas), atlas.uv(queries))
    label = labels(render, sampler.model.bind(queries.positions), sampler.model)
    error = np.linalg.norm(read[:, :2] - label.xy, axis=1)
    assert np.median(error) < 0.004  # crop units: a texel is about 1 mm
    assert np.quantile(error, 0.95) < 0.04
    assert np.corrcoef(read[:, 2], label.depth)[0, 1] > 0.99


def test_flipping_twice_gives_the_map_back(sampler: FaceSampler, atlas: Atlas) -> None:
    one = position_map(sampler.dressed(sampler.draw_scene(np.random.default_rng(2)), 48), atlas)
    twice = atlas.flipped(atlas.flipped(one))
    error = np.linalg.norm(twice - one, axis=-1)[atlas.covered]
    assert np.median(error) < 0.01


def test_flipped_map_of_the_rest_head_is_itself(model: HeadModel, atlas: Atlas) -> None:
    rest = atlas.values(model.rest)
    error = np.linalg.norm(atlas.flipped(rest) - rest, axis=-1)[atlas.covered]
    assert np.median(error) < 0.0012  # metres; a texel is about one millimetre
    assert np.quantile(error, 0.99) < 0.004


def test_written_set_reads_back(sampler: FaceSampler, tmp_path: Path) -> None:
    write_position_maps(tmp_path, sampler, 3, 32, 64, seed=1)
    first = sorted(p.name for p in tmp_path.iterdir())
    write_position_maps(tmp_path, sampler, 3, 32, 64, seed=1)  # goes on, and finds all done
    assert sorted(p.name for p in tmp_path.iterdir()) == first
    maps = PositionMapSet.load(tmp_path, sampler.model)
    pairs = list(maps)
    assert len(pairs) == len(maps) == 6
    np.testing.assert_array_equal(pairs[1][0], pairs[0][0][:, ::-1])
    assert pairs[0][1].shape == (64, 64, 3)
    with pytest.raises(UserError):
        write_position_maps(tmp_path, sampler, 3, 32, 64, seed=2)
    with pytest.raises(UserError):
        PositionMapSet.load(tmp_path / "nothing", sampler.model)


def test_features_move_brows_and_lips_and_nothing_else(model: HeadModel) -> None:
    drawn = np.stack([Features.of(model).draw(np.random.default_rng(i), 1.0) for i in range(60)])
    skin = model.parts["skin"].vertices
    size = 1000 * np.sqrt((drawn[:, skin] ** 2).sum(2).mean(0))  # millimetres RMS of every vertex
    brows, lips = (model.region_mask("brow_left") | model.region_mask("brow_right")), model.region_mask("lips")
    assert 1 < size[brows].mean() < 4 and 0.7 < size[lips].mean() < 3
    assert size[model.region_mask("nose")].mean() < 0.6
    assert not drawn[:, skin.stop :].any()
    # no person's feature is another's, and the mean person has none
    assert np.abs(drawn.mean(0)).max() < 0.002


def test_off_basis_shape_is_in_the_labels(model: HeadModel, sampler: FaceSampler, binding) -> None:
    strange = FaceSampler(SampleSettings(off_basis=0.0015), "heldout", model, sampler.library)
    scene = strange.draw_scene(np.random.default_rng(0))
    assert scene.offsets is not None
    face = model.region_mask("face")
    rms = np.sqrt((scene.offsets[model.parts["skin"].vertices][face] ** 2).sum(1).mean())
    assert 0.0013 < rms < 0.0017
    moved = strange.shapes([scene])[0] - model.vertices(scene.identity, scene.expression)
    np.testing.assert_allclose(moved, scene.offsets, atol=1e-6)
    found = labels(strange.dressed(scene, 48), binding, model)
    view = scene.view
    points = binding.moved(strange.shapes([scene])[0], model.rest).astype(float) @ view.rotation.T + view.translation
    np.testing.assert_allclose(found.depth, points[:, 2], atol=2e-5)
