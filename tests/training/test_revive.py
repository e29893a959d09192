"""Dead units learn again, and nothing that the network has learned is lost."""

from typing import Any

import torch
from facequery.models.landmarks import LandmarkConfig, LandmarkNet, images_to_input
from facequery.training.checkpoints import careful_layers, parameter_groups
from facequery.training.revive import revive

SIZE = 64


def test_dead_units_learn_again_and_the_answers_stay():
    torch.manual_seed(0)
    config = LandmarkConfig(input_size=SIZE, reduced=16, descriptor=48, hidden=32, refine=1, local=16, anchors=8)
    net = LandmarkNet(config)
    second: Any = net.second_look
    blocks: Any = net.encoder.blocks
    with torch.no_grad():
        second.last.weight.normal_(std=0.1)
        reduce: Any = net.descriptor.reduce[1]
        for layer in (reduce, second.joined, net.predictor.from_descriptor):
            layer.bias[:5] = -1000.0
        blocks[14].layers[0].conv.bias[:7] = -1000.0
        blocks[15].layers[1].conv.bias[:9] = -1000.0
        for place in (14, 15):  # what a dead unit's layer passes on, when it is that unit's bias alone
            blocks[place].layers[1].conv.bias[20:].add_(0.5)
    # smooth pictures: noise would show every unit the same
    images = torch.nn.functional.interpolate(torch.rand(6, 3, 5, 5), (SIZE, SIZE), mode="bicubic").clamp(0, 1)
    images = (images * 255).byte().permute(0, 2, 3, 1)
    queries = torch.rand(20, 3) - 0.5
    rows = [
        (reduce.weight, "descriptor.reduce.1", 5),
        (second.joined.weight, "second_look.joined", 5),
        (net.predictor.from_descriptor.weight, "predictor.from_descriptor", 5),
        (blocks[14].layers[0].conv.weight, "encoder.blocks.14", 7),
        (blocks[15].layers[1].conv.weight, "encoder.blocks.15", 9),
    ]
    before, _ = net.eval()(images_to_input(images), queries)
    assert all(learns(net, images, queries, weight)[:count] == [False] * count for weight, _, count in rows)
    counts = revive(net, images, queries)
    for _, name, count in rows:
        assert counts[name][0] >= count
    assert not any(dead for dead, _ in revive(net, images, queries).values())
    after, _ = net(images_to_input(images), queries)
    assert torch.allclose(before, after, atol=2e-3)
    # their ways out are zeros: those learn first, and with them the units
    with torch.no_grad():
        for out in (
            net.descriptor.linear,
            second.last,
            net.predictor.second,
            *(b.layers[2].conv for b in blocks[14:16]),
        ):
            out.weight += 0.01 * torch.randn_like(out.weight)
    for weight, name, count in rows:
        assert all(learns(net, images, queries, weight)[:count]), name


def learns(net, images, queries, weight) -> list[bool]:
    """Which units' rows of a weight have a gradient."""
    net.zero_grad()
    xy, _ = net(images_to_input(images), queries)
    xy.square().sum().backward()
    return [bool(row.abs().max() > 0) for row in weight.grad]


def test_layers_that_die_at_quick_steps_have_slow_ones():
    net = LandmarkNet(
        LandmarkConfig(input_size=SIZE, reduced=16, descriptor=48, hidden=32, refine=1, local=16, anchors=8)
    )
    blocks: Any = net.encoder.blocks
    second: Any = net.second_look
    groups = parameter_groups(net, [(net.encoder, 0.5), *((layer, 0.01) for layer in careful_layers(net))], 1.0, 0.1)
    rates = {id(p): group["lr"] for group in groups for p in group["params"]}
    assert {rates[id(p)] for p in blocks[:13].parameters()} == {0.5}
    careful = [
        *blocks[13:].parameters(),
        *net.descriptor.reduce.parameters(),
        net.descriptor.linear.weight,
        *second.parameters(),
    ]
    careful = [p for p in careful if all(p is not q for q in second.each.parameters())]
    assert {rates[id(p)] for p in careful} == {0.01}
    predictor: Any = net.predictor
    assert rates[id(predictor.second.weight)] == rates[id(second.each.bias)] == 1.0
    assert len(rates) == len(list(net.parameters()))
    assert all((p.ndim > 1) == (group["weight_decay"] > 0) for group in groups for p in group["params"])
