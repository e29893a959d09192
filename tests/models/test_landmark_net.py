"""Every combination of the detector's parts: shapes, gradients, and what must not change the answer."""

import pytest
import torch
from facequery.errors import UserError
from facequery.models.encoders import ENCODERS
from facequery.models.landmarks import LandmarkConfig, LandmarkNet, images_to_input
from facequery.models.weights import load_landmark_net, save_weights

SIZE = 64


def network(encoder="resnet_dense", **changes) -> LandmarkNet:
    torch.manual_seed(0)
    config = {"input_size": SIZE, "reduced": 16, "descriptor": 48, "hidden": 32, **changes}
    return LandmarkNet(LandmarkConfig(encoder=encoder, **config))


def inputs(batch=2, count=9):
    generator = torch.Generator().manual_seed(1)
    images = torch.randint(0, 256, (batch, SIZE, SIZE, 3), generator=generator, dtype=torch.uint8)
    return images_to_input(images), torch.rand((batch, count, 3), generator=generator) * 2 - 1


@pytest.mark.parametrize("predictor", ["mlp", "transformer"])
@pytest.mark.parametrize("head,levels", [("flatten", 1), ("flatten", 2), ("pool", 1)])
@pytest.mark.parametrize("encoder", list(ENCODERS))
def test_every_combination_has_shapes_and_gradients(encoder, head, levels, predictor):
    net = network(encoder, head=head, levels=levels, predictor=predictor)
    images, queries = inputs()
    xy, log_sigma = net(images, queries)
    assert xy.shape == (2, 9, 2) and log_sigma.shape == (2, 9)
    assert torch.isfinite(xy).all() and torch.isfinite(log_sigma).all()
    (xy.square().sum() + log_sigma.sum()).backward()
    without = [name for name, p in net.named_parameters() if p.grad is None or not torch.isfinite(p.grad).all()]
    assert without == []
    dead = [name for name, p in net.named_parameters() if p.grad is not None and not p.grad.any()]
    assert [name for name in dead if not name.endswith("bias")] == []


@pytest.mark.parametrize("predictor", ["mlp", "transformer"])
def test_permuted_queries_permute_the_output(predictor):
    net = network(predictor=predictor).eval()
    images, queries = inputs()
    order = torch.randperm(queries.shape[1])
    xy, _ = net(images, queries)
    permuted, _ = net(images, queries[:, order])
    assert torch.allclose(xy[:, order], permuted, atol=1e-5)


def test_chunks_of_queries_give_the_same_as_the_whole():
    net = network().eval()
    images, queries = inputs(count=100)
    descriptor = net.encode(images)
    whole, _ = net.decode(descriptor, queries)
    chunked, _ = net.decode(descriptor, queries, chunk=7)
    assert torch.allclose(whole, chunked, atol=1e-6)


def test_one_set_of_queries_serves_all_images_and_any_number_is_fine():
    net = network().eval()
    images, queries = inputs()
    descriptor = net.encode(images)
    shared, _ = net.decode(descriptor, queries[0])
    each, _ = net.decode(descriptor, queries[:1].expand(2, -1, -1))
    assert torch.allclose(shared, each, atol=1e-6)
    assert net.decode(descriptor, torch.rand(1, 3))[0].shape == (2, 1, 2)
    assert net.decode(descriptor[:1], torch.rand(20_000, 3))[0].shape == (1, 20_000, 2)


def test_uv_queries_are_a_switch():
    net = network(query_dims=2)
    assert net(inputs()[0], torch.rand(5, 2))[0].shape == (2, 5, 2)


def test_wrong_shapes_and_unknown_parts_are_named():
    net = network()
    with pytest.raises(ValueError, match="64"):
        net.encode(torch.zeros(1, 3, 32, 32))
    with pytest.raises(ValueError, match="queries"):
        net.decode(torch.zeros(1, 48), torch.zeros(4, 2))
    for change in ({"encoder": "vgg"}, {"head": "max"}, {"predictor": "tree"}):
        with pytest.raises(UserError):
            network(**change)


def test_mobilenet_gives_the_same_in_training_and_when_partly_frozen():
    """Training takes another way through strided depthwise convolutions, and frozen stages run in pieces."""
    net = network("mobilenet_v2")
    images, queries = inputs(batch=6)
    trained, _ = net(images, queries)
    for stage in net.encoder.stages()[:4]:
        stage.requires_grad_(False)
    frozen, _ = net(images, queries)
    with torch.no_grad():
        plain, _ = net(images, queries)
    assert torch.allclose(trained, plain, atol=1e-4) and torch.allclose(frozen, plain, atol=1e-4)


def test_weights_come_back_with_their_card(tmp_path):
    net = network().eval()
    file = tmp_path / "net.safetensors"
    card = {"kind": "landmarks", "architecture": net.config.to_dict(), "licence": "Apache-2.0"}
    save_weights(file, net.state_dict(), card)
    loaded, read = load_landmark_net(file)
    assert read == card
    images, queries = inputs()
    first, _ = net.half().float()(images, queries)
    second, _ = loaded(images, queries)
    assert torch.allclose(first, second, atol=1e-5)


def test_damaged_weights_are_told_in_one_sentence(tmp_path):
    file = tmp_path / "net.safetensors"
    with pytest.raises(UserError):
        load_landmark_net(file)
    file.write_bytes(b"no weights at all")
    with pytest.raises(UserError):
        load_landmark_net(file)
    save_weights(file, {"a": torch.zeros(2)}, {"kind": "landmarks", "architecture": {}})
    with pytest.raises(UserError, match="card"):
        load_landmark_net(file)
