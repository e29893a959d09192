"""Dense520: targets in the pixels that the paper regresses, read back from position maps, mirrored, and learned."""

import numpy as np
import pytest
import torch
from facequery.errors import UserError
from facequery.head.layouts import load_layout
from facequery.head.model import HeadModel
from facequery.synthesis.labels import labels
from facequery.synthesis.library import Library
from facequery.synthesis.position_maps import write_position_maps
from facequery.synthesis.samples import FaceSampler
from facequery.training.configs import CONFIGS, DataConfig, SetConfig, changed
from facequery.training.dense_sources import DenseMapSource, make_dense_mix, mean_face, members
from facequery.training.dense_task import DenseLearner

SIZE, SEED = 96, 3


@pytest.fixture(scope="module")
def sampler():
    model = HeadModel.load()
    return FaceSampler(model=model, library=Library.plain(model))


@pytest.fixture(scope="module")
def folder(sampler, tmp_path_factory):
    place = tmp_path_factory.mktemp("maps")
    write_position_maps(place, sampler, 1, SIZE, 256, SEED)
    return place


def test_a_map_gives_pixels_and_depth_in_the_same_pixels(folder, sampler):
    example = DenseMapSource(folder, SIZE, flip=False).sample(np.random.default_rng(0))
    rng = np.random.default_rng([SEED, 0])  # the same picture, labelled directly
    scene = sampler.draw_scene(rng)
    image, render = sampler.draw(rng, scene, SIZE)
    found = labels(render, sampler.model.bind(load_layout("dense520").positions), sampler.model)
    assert (example.image == image).all()
    on_skin = example.weight > 0
    assert on_skin.sum() == 518
    close = np.linalg.norm(example.query[:, :2] - (found.xy + 1) * SIZE / 2, axis=-1)[on_skin]
    # texels of the atlas are about a millimetre wide; lips and lids fold within one
    assert np.median(close) < 0.1 and np.percentile(close, 95) < 1.0
    view = scene.view
    z = (found.depth - view.translation[2]) * view.focal * SIZE / view.translation[2]
    assert np.median(np.abs(example.query[:, 2] - z)[on_skin]) < 0.1


def test_a_mirrored_map_has_left_and_right_exchanged(folder):
    plain = DenseMapSource(folder, SIZE, flip=False).sample(np.random.default_rng(0))
    source = DenseMapSource(folder, SIZE, flip=True)
    examples = [source.sample(np.random.default_rng(seed)) for seed in range(8)]
    mirrored = next(e for e in examples if (e.image != plain.image).any())
    assert (mirrored.image == plain.image[:, ::-1]).all()
    partner = load_layout("dense520").mirror_index()
    both = (mirrored.weight > 0) & (plain.weight[partner] > 0)
    assert both.sum() > 400
    moved = plain.query[partner] * [-1, 1, 1] + [SIZE, 0, 0]
    assert np.allclose(mirrored.query[both], moved[both], atol=1e-4)


def test_members_are_the_named_points(sampler):
    own = load_layout("dense520").positions
    for name, count in (("face68_3d", 68), ("aflw21", 21)):
        assert len(members(name)) == count
        assert np.abs(own[members(name)] - load_layout(name).positions).max() < 1e-6
    face = mean_face(sampler.model, 256)
    assert face.shape == (520, 3) and (face[members("face68_3d"), :2] > 0).all()
    eyes, chin = face[members("face68_3d")[36:48]].mean(0), face[members("face68_3d")[8]]
    assert chin[1] > eyes[1] + 60  # y goes down


@pytest.mark.parametrize("kind", ["hybrid", "wing", "l2"])
def test_one_picture_is_learned(folder, kind):
    torch.manual_seed(0)
    config = changed(CONFIGS["dense520"], ["model.encoder=resnet_dense", f"model.input_size={SIZE}",
                                           f"loss.kind={kind}"])  # fmt: skip
    mix = make_dense_mix(DataConfig(renders=0.0, flip=False, sets=(SetConfig(str(folder)),)), SIZE)
    example = mix.sources[0].sample(np.random.default_rng(0))  # type: ignore[union-attr]
    learner = DenseLearner(config)
    learner.network.start_at(torch.from_numpy(mean_face(HeadModel.load(), SIZE)))
    # two pictures, for batch normalisation: the second one is the first, darker
    images = torch.from_numpy(np.stack([example.image, example.image // 2]))
    target, weight = (torch.from_numpy(np.stack([a, a])) for a in (example.query, example.weight))
    optimiser = torch.optim.Adam(learner.parameters(), 2e-3)
    errors = []
    for _ in range(25):
        loss, parts = learner(images, target, weight)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        errors.append(float(parts["error"]))
    assert errors[-1] < 0.25 * errors[0]


def test_the_regressor_has_no_likelihood():
    with pytest.raises(UserError, match="joint"):
        DenseLearner(changed(CONFIGS["dense520"], ["loss.kind=joint"]))
