import pytest
import torch
from facequery.errors import UserError
from facequery.models.dense import BACKBONES, DenseConfig, DenseRegressor
from facequery.models.weights import load_network, save_weights


@pytest.mark.parametrize("encoder", BACKBONES)
def test_it_answers_1560_values_in_pixels_and_all_of_it_learns(encoder, tmp_path):
    torch.manual_seed(0)
    net = DenseRegressor(DenseConfig(encoder, 64))
    mean = torch.rand(520, 3) * 64
    net.start_at(mean)
    images = torch.rand(2, 3, 64, 64) * 2 - 1
    found = net(images)
    assert found.shape == (2, 520, 3) and (found - mean).abs().mean() < 20
    found.square().mean().backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in net.parameters())
    save_weights(tmp_path / "a.safetensors", net.state_dict(), {"kind": "dense", "architecture": net.config.to_dict()})
    read, card = load_network(tmp_path / "a.safetensors")
    net.eval().half().float()
    assert card["kind"] == "dense" and torch.allclose(read(images), net(images), atol=1e-3)


def test_wrong_shapes_and_parts_are_named():
    with pytest.raises(UserError, match="vgg"):
        DenseRegressor(DenseConfig("vgg"))
    with pytest.raises(ValueError, match="64"):
        DenseRegressor(DenseConfig("mobilenet_v2", 64))(torch.zeros(1, 3, 32, 32))
