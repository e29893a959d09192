"""Networks made ready for the processor answer as the networks that they are made from."""

import pytest
import torch
from facequery.detection.prepared import kernels_are_there, prepared, sampled
from facequery.models.finder import FinderConfig, FinderNet
from facequery.models.landmarks import LandmarkConfig, LandmarkNet
from torch.nn import functional as F

needs_kernels = pytest.mark.skipif(not kernels_are_there(), reason="this PyTorch has no fused kernels")


def pictures(count: int, side: int) -> torch.Tensor:
    smooth = F.interpolate(torch.rand(count, 3, 8, 8) * 2 - 1, (side, side), mode="bilinear")
    return smooth.contiguous(memory_format=torch.channels_last)


@needs_kernels
@pytest.mark.parametrize("refine,anchors", [(0, 0), (2, 0), (2, 7)])
def test_landmarks_are_the_same(refine, anchors):
    torch.manual_seed(0)
    network = LandmarkNet(LandmarkConfig(input_size=96, refine=refine, blocks=anchors // 7, anchors=anchors)).eval()
    for parameter in network.parameters():
        if parameter.ndim > 1 and not parameter.any():  # branches that begin with nothing
            torch.nn.init.normal_(parameter.data, std=0.05)
    images, queries = pictures(10, 96), torch.rand(300, 3) * 2 - 1
    with torch.inference_mode():
        xy, log_sigma = network(images, queries)
        exact = prepared(network, half=False)
        found, spread = exact.decode(exact.encode(images), queries, chunk=128)
        torch.testing.assert_close(found, xy, atol=2e-4, rtol=0)
        torch.testing.assert_close(spread, log_sigma, atol=2e-3, rtol=0)
        # picking needs gradients, which the fused kernels do not have: the given network reads the same rows
        plain, _ = network.decode(exact.encode(images), queries)
        torch.testing.assert_close(plain, xy, atol=2e-4, rtol=0)
        rounded = prepared(network, half=True)
        with torch.autocast("cpu", torch.bfloat16):
            seen = rounded.encode(images).float()
        found, _ = rounded.decode(seen, queries)
    assert found.dtype == torch.float32
    assert (found - xy).square().mean().sqrt() < 0.02 * xy.std() + 1e-3


@needs_kernels
def test_the_given_network_stays_as_it_was():
    network = LandmarkNet(LandmarkConfig(input_size=96, refine=1)).eval()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    prepared(network, half=True)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert all(value.dtype == torch.float32 for value in network.state_dict().values())


@needs_kernels
def test_the_finder_sees_the_same():
    torch.manual_seed(1)
    network = FinderNet(FinderConfig()).eval()
    images = pictures(2, 128)
    with torch.inference_mode():
        pairs = zip(network(images), prepared(network, half=False)(images), strict=True)
        for (logits, points), (other, others) in pairs:
            torch.testing.assert_close(other, logits, atol=1e-3, rtol=0)
            torch.testing.assert_close(others, points, atol=1e-2, rtol=0)


def test_other_architectures_are_left_alone():
    network = LandmarkNet(LandmarkConfig(encoder="mobilenet_v3_large", predictor="transformer", input_size=96)).eval()
    ready = prepared(network, half=False)
    assert ready.encoder is network.encoder and ready.predictor is network.predictor


@pytest.mark.parametrize("shape", [(7, 9), (1, 5), (1, 1)])
def test_samples_are_those_of_grid_sample(shape):
    torch.manual_seed(2)
    local, xy = torch.randn(3, 4, *shape), torch.rand(3, 50, 2) * 2.6 - 1.3
    wanted = F.grid_sample(local, xy[:, :, None], mode="bilinear", padding_mode="border", align_corners=False)
    torch.testing.assert_close(sampled([local], xy), wanted[..., 0].transpose(1, 2), atol=1e-5, rtol=1e-5)
