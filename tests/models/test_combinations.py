"""Every combination of the detector's parts, at a tiny size."""

import itertools

import pytest
import torch
from facequery.models import landmarks
from facequery.models.convnext import ConvNeXt
from facequery.models.encoders import ENCODERS, make_encoder
from facequery.models.landmarks import LandmarkConfig, LandmarkNet, images_to_input
from facequery.models.resnet import ResNet
from facequery.models.spatial_transformer import Localiser
from facequery.models.weights import load_landmark_net, save_weights

SIZE, REGION, BATCH, QUERIES = 64, 80, 2, 9
PARTS = list(
    itertools.product(
        ("flatten", "pool"), ("mlp", "transformer"), ("2d", "3d"), (False, True), (3, 2), ("", "refine", "second look")
    )
)
# As deep and of the same layers, with fewer channels: with all of them, most of the time goes into ever more weights.
THIN = {
    "convnext_tiny": lambda: ConvNeXt((3, 3, 9, 3), (16, 32, 64, 128)),
    "resnet18": lambda: ResNet((2, 2, 2, 2), bottleneck=False, width=16),
    "resnet50": lambda: ResNet((3, 4, 6, 3), bottleneck=True, width=8),
}
_MADE: dict[str, torch.nn.Module] = {}


@pytest.fixture
def one_encoder_each(monkeypatch):
    """Encoders and the localiser are made once, and thin: their initial weights take longer to draw than all else here
    takes to run."""

    def once(name, make):
        if name not in _MADE:
            torch.manual_seed(0)
            _MADE[name] = make()
        _MADE[name].zero_grad()
        return _MADE[name]

    monkeypatch.setattr(landmarks, "make_encoder", lambda name: once(name, THIN.get(name, lambda: make_encoder(name))))
    monkeypatch.setattr(landmarks, "Localiser", lambda: once("", lambda: Localiser(side=32, width=16)))


def network(encoder, head, predictor, space, spatial, dims, refine="") -> LandmarkNet:
    torch.manual_seed(0)
    twice = refine == "second look"
    config = LandmarkConfig(
        encoder=encoder, input_size=SIZE, head=head, levels=1, reduced=16, descriptor=48, hidden=32,
        query_dims=dims, predictor=predictor, space=space, spatial=spatial, region=REGION,
        refine=2 if refine else 0, local=16, blocks=1 if twice else 0, anchors=5 if twice else 0,
    )  # fmt: skip
    net = LandmarkNet(config)
    for parameter in net.parameters():
        if parameter.ndim > 1 and not parameter.any():  # branches that begin with nothing
            torch.nn.init.normal_(parameter.data, std=0.1)
    return net


def inputs(net, count=QUERIES):
    generator = torch.Generator().manual_seed(1)
    side = net.config.picture
    images = torch.randint(0, 256, (BATCH, side, side, 3), generator=generator, dtype=torch.uint8)
    queries = torch.rand((BATCH, count, net.config.query_dims), generator=generator) * 2 - 1
    return images_to_input(images), queries


@pytest.mark.parametrize("encoder", list(ENCODERS))
def test_every_encoder_gives_the_maps_that_it_names(encoder):
    net = network(encoder, "flatten", "mlp", "2d", False, 3, "refine")
    images, queries = inputs(net)
    maps = net.encoder(images)
    assert [each.shape for each in maps] == [
        (BATCH, channels, SIZE // stride, SIZE // stride)
        for channels, stride in zip(net.encoder.channels, net.encoder.strides, strict=True)
    ]
    net(images, queries)[0].square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() and p.grad.any() for p in net.encoder.parameters())


@pytest.mark.parametrize("head,predictor,space,spatial,dims,refine", PARTS)
@pytest.mark.parametrize("encoder", list(ENCODERS))
def test_every_combination(one_encoder_each, encoder, head, predictor, space, spatial, dims, refine):
    net = network(encoder, head, predictor, space, spatial, dims, refine)
    images, queries = inputs(net)
    descriptor = net.encode(images)
    xy, log_sigma = net.decode(descriptor, queries)
    # shapes, and numbers
    local = 16 * (SIZE // 8) ** 2 + 8 * (SIZE // 4) ** 2 if refine else 0
    before = 48 if refine == "second look" else 0
    assert descriptor.shape == (BATCH, 48 + before + local + 4 * spatial)
    assert xy.shape == (BATCH, QUERIES, 2) and log_sigma.shape == (BATCH, QUERIES)
    assert torch.isfinite(xy).all() and torch.isfinite(log_sigma).all()
    # every parameter gets a gradient
    (xy.square().sum() + log_sigma.sum()).backward()
    without = [n for n, p in net.named_parameters() if p.grad is None or not torch.isfinite(p.grad).all()]
    assert without == []
    dead = [n for n, p in net.named_parameters() if p.grad is not None and not p.grad.any()]
    assert [n for n in dead if not n.endswith("bias")] == []
    net.eval()
    with torch.no_grad():
        # a permutation of the queries permutes the output
        order = torch.tensor([3, 1, 4, 0, 5, 8, 2, 6, 7])
        permuted = net.decode(descriptor, queries[:, order])[0]
        assert torch.allclose(xy[:, order], permuted, atol=1e-4)
        # chunks of queries give what the whole gives, where queries do not attend to each other
        if predictor == "mlp":
            chunked, sigma = net.decode(descriptor, queries, chunk=4)
            assert torch.allclose(chunked, xy, atol=1e-5) and torch.allclose(sigma, log_sigma, atol=1e-5)
        # the 3D form agrees with the 2D form
        if space == "3d":
            same, _, lifted = net.lift(descriptor, queries)
            assert torch.allclose(same, xy, atol=1e-5)
            assert lifted.canonical.shape == lifted.camera_space.shape == (BATCH, QUERIES, 3)
            eye = lifted.camera.rotation @ lifted.camera.rotation.transpose(-1, -2)
            assert torch.allclose(eye, torch.eye(3).expand(BATCH, 3, 3), atol=1e-5)
            assert (torch.linalg.det(lifted.camera.rotation) > 0).all() and (lifted.camera.focal > 0).all()
        else:
            with pytest.raises(ValueError, match="3d"):
                net.lift(descriptor, queries)


@pytest.mark.parametrize("head,predictor,space,spatial,dims,refine", PARTS)
def test_saved_and_read_again_the_output_is_equal(tmp_path, head, predictor, space, spatial, dims, refine):
    net = network("resnet_dense", head, predictor, space, spatial, dims, refine).eval()
    save_weights(
        tmp_path / "net.safetensors", net.state_dict(), {"kind": "landmarks", "architecture": net.config.to_dict()}
    )
    read, _ = load_landmark_net(tmp_path / "net.safetensors")
    assert read.config == net.config
    images, queries = inputs(net)
    with torch.no_grad():
        expected = net.half().float()(images, queries)
        found = read(images, queries)
    assert all(torch.equal(a, b) for a, b in zip(expected, found, strict=True)) or all(
        torch.allclose(a, b, atol=1e-5) for a, b in zip(expected, found, strict=True)
    )


def test_weights_of_before_these_switches_still_load(tmp_path):
    net = network("resnet_dense", "flatten", "mlp", "2d", False, 3)
    later = ("space", "spatial", "region", "refine", "local", "blocks", "anchors")
    old = {k: v for k, v in net.config.to_dict().items() if k not in later}
    save_weights(tmp_path / "old.safetensors", net.state_dict(), {"kind": "landmarks", "architecture": old})
    assert load_landmark_net(tmp_path / "old.safetensors")[0].config.space == "2d"


def test_the_descriptors_part_is_computed_once_per_image():
    net = network("resnet_dense", "flatten", "mlp", "2d", False, 3).eval()
    images, queries = inputs(net, 100)
    descriptor = net.encode(images)
    calls = []
    net.predictor.from_descriptor.register_forward_hook(lambda *_: calls.append(1))
    net.decode(descriptor, queries, chunk=10)
    assert len(calls) == 1


def test_the_transformer_attends_within_fixed_chunks():
    """The answer does not depend on how much is decoded at once, nor on what comes after a chunk of 512."""
    net = network("resnet_dense", "flatten", "transformer", "2d", False, 3).eval()
    images, queries = inputs(net, 1100)
    with torch.no_grad():
        descriptor = net.encode(images)
        all_at_once = net.decode(descriptor, queries, chunk=100_000)[0]
        first = net.decode(descriptor, queries[:, :512])[0]
        assert torch.allclose(all_at_once[:, :512], first, atol=1e-5)
        net.attention_chunk = 2000
        assert torch.isfinite(net.decode(descriptor, queries, chunk=100_000)[0]).all()
