"""The detector: what must not change its answer, what it refuses, and its weights files."""

import pytest
import torch
from facequery.errors import UserError
from facequery.models.encoders import DescriptorHead
from facequery.models.landmarks import LandmarkConfig, LandmarkNet, images_to_input
from facequery.models.mobilenet_v2 import Convolution
from facequery.models.refine import Refiner
from facequery.models.weights import load_landmark_net, save_weights
from torch.nn import functional as F

SIZE = 64


def network(encoder="resnet_dense", **changes) -> LandmarkNet:
    torch.manual_seed(0)
    config = {"input_size": SIZE, "reduced": 16, "descriptor": 48, "hidden": 32, **changes}
    return LandmarkNet(LandmarkConfig(encoder=encoder, **config))


def inputs(batch=2, count=9):
    generator = torch.Generator().manual_seed(1)
    images = torch.randint(0, 256, (batch, SIZE, SIZE, 3), generator=generator, dtype=torch.uint8)
    return images_to_input(images), torch.rand((batch, count, 3), generator=generator) * 2 - 1


@pytest.mark.parametrize("levels", [1, 2])
def test_the_flattened_head_reads_one_or_two_maps(levels):
    net = network(levels=levels)
    images, queries = inputs()
    sum(out.sum() for out in net(images, queries)).backward()
    assert len(net.descriptor.reduce) == levels
    assert all(p.grad is not None and p.grad.any() for p in net.descriptor.parameters())


def test_one_set_of_queries_serves_all_images_and_any_number_is_fine():
    net = network().eval()
    images, queries = inputs()
    descriptor = net.encode(images)
    shared, _ = net.decode(descriptor, queries[0])
    each, _ = net.decode(descriptor, queries[:1].expand(2, -1, -1))
    assert torch.allclose(shared, each, atol=1e-6)
    assert net.decode(descriptor, torch.rand(1, 3))[0].shape == (2, 1, 2)
    assert net.decode(descriptor[:1], torch.rand(100_000, 3))[0].shape == (1, 100_000, 2)


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


def test_the_quicker_gradients_are_autograds_own():
    """Of strided depthwise convolutions with ReLU6 (`EveryOther`, `ReLU6`), by what plain operations give."""
    layer = Convolution(8, 8, 3, stride=2, groups=8)
    x = (3 * torch.randn(2, 8, 10, 12)).contiguous(memory_format=torch.channels_last)
    weights = torch.randn(2, 8, 5, 6)
    found: list[torch.Tensor] = []
    expected: list[torch.Tensor] = []
    for way, gradients in ((layer, found), (plain_convolution(layer), expected)):
        y = x.clone().requires_grad_()
        out = way(y)
        gradients += [out.detach(), *torch.autograd.grad((out * weights).sum(), [y, *layer.conv.parameters()])]
    assert 0.0 < float((found[0] == 6.0).float().mean()) < 0.5  # both ends of ReLU6 are met
    for one, other in zip(found, expected, strict=True):
        assert torch.allclose(one, other, atol=1e-4)


def plain_convolution(layer: Convolution):
    conv = layer.conv
    return lambda x: F.relu6(F.conv2d(F.pad(x, (0, 1, 0, 1)), conv.weight, conv.bias, stride=2, groups=conv.groups))


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


def test_a_head_of_another_crop_size_keeps_what_it_learned():
    """Maps that are the same everywhere give the same descriptor before and after, and so does a larger copy of any."""
    torch.manual_seed(0)
    small, large = (DescriptorHead([12, 24], [16, 32], size, 32, "flatten", 2, 16) for size in (160, 192))
    state = small.state_dict()
    state["linear.weight"] = large.resized(state["linear.weight"], 160)
    large.load_state_dict(state)
    flat = torch.randn(1, 36, 1, 1)
    maps = {head: [flat[:, :12].expand(1, 12, 2 * n, 2 * n), flat[:, 12:].expand(1, 24, n, n)]
            for head, n in ((small, 5), (large, 6))}  # fmt: skip
    assert torch.allclose(small(maps[small]), large(maps[large]), atol=1e-4)
    assert torch.equal(small.resized(small.linear.weight, 160), small.linear.weight)


def test_landmarks_look_where_they_are():
    """What a landmark reads of the maps is bilinear at its place, in crop coordinates."""
    refiner = Refiner(2, 4)
    rows, columns = torch.meshgrid(torch.arange(6.0), torch.arange(6.0), indexing="ij")
    local = torch.stack([columns, rows])[None]  # each cell holds its own place
    seen = []
    refiner.from_map.register_forward_hook(lambda module, inputs, output: seen.append(inputs[0]))
    xy = torch.tensor([[[0.0, 0.0], [-0.5, 0.25], [5.0, -5.0]]])
    refiner([local, local[:, :1]], refiner.prepare(torch.zeros(1, 3, 4)), xy, torch.zeros(1, 3))
    cells = (xy.clamp(-1, 1) + 1) * 3 - 0.5  # centres of cells lie half a cell inside
    assert torch.allclose(seen[0], cells.clamp(0, 5), atol=1e-5)
