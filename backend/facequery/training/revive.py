"""Units that have died learn again.

A unit (a channel of a convolution, a row of a matrix) that its activation shuts off in every picture has no gradient
and stays so for ever; steps of a high rate without normalisation leave such units behind. Each gets new random weights
that are scaled by what its layer sees, and a way out of zeros: what the network answers stays as it was, and training
has the unit back.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from facequery.models.landmarks import LandmarkNet, images_to_input
from facequery.models.mobilenet_v2 import DEEP, Convolution, InvertedResidual, MobileNetV2
from facequery.models.predictors import MLPPredictor
from facequery.models.refine import begins_with_nothing

OFF = -2.5  # GELU gives less than a hundredth of a unit below that, and as good as no gradient
LOUD = 4.0  # deviation of new units of the descriptor's maps
MIDDLE, SPREAD = 0.5, 1.5  # mean and deviation of new channels before ReLU6: most pictures meet its slope
PASSED_ON = 2.0  # deviation of what a new block adds


@torch.no_grad()
def revive(network: LandmarkNet, images: Tensor, queries: Tensor) -> dict[str, tuple[int, int]]:
    """Give units that no picture switches on new weights; the answers stay as they are, nearly.

    `images` (B, S, S, 3) uint8 are pictures such as those of training, `queries` (n, dims) network units. Gives for
    each layer how many units were dead, and how many it has. Of the encoders it knows MobileNetV2, of the predictors
    the MLP; other parts are left as they are.
    """
    network.eval()
    counts: dict[str, tuple[int, int]] = {}
    x = images_to_input(images)
    if isinstance(network.encoder, MobileNetV2):
        for number, stage in enumerate(network.encoder.stages()):
            if isinstance(stage, InvertedResidual) and len(stage.layers) == 3:
                counts[f"encoder.blocks.{number - 1}"] = _revive_block(stage, x)
            x = stage(x)
    inputs = _inputs(network, images_to_input(images), queries)
    head = network.descriptor
    if head.kind == "flatten":
        start = 0
        for level, layer in enumerate(head.reduce):
            assert isinstance(layer, nn.Conv2d)
            seen = inputs[layer].movedim(1, -1)
            cells = seen.shape[1] * seen.shape[2]
            columns = torch.arange(start, start + layer.out_channels * cells).view(layer.out_channels, cells)
            start += columns.numel()
            counts[f"descriptor.reduce.{level}"] = _revive_rows([layer], [seen.flatten(0, 2)], head.linear, columns)
    second = network.second_look
    if second is not None:
        counts["second_look.joined"] = _revive_rows([second.joined], [inputs[second.joined]], second.last)
    predictor = network.predictor
    if isinstance(predictor, MLPPredictor):
        layers = [predictor.from_descriptor, predictor.from_code]
        descriptors, codes = (inputs[layer].flatten(0, -2) for layer in layers)
        n, m = len(descriptors), len(codes)
        pairs = [descriptors.repeat_interleave(m, 0), codes.repeat(n, 1)]
        counts["predictor.from_descriptor"] = _revive_rows(layers, pairs, predictor.second)
    return counts


def _inputs(network: LandmarkNet, x: Tensor, queries: Tensor) -> dict[nn.Module, Tensor]:
    """What the layers that may be revived are given when the network answers `queries`."""
    seen: dict[nn.Module, Tensor] = {}
    wanted: list[nn.Module] = [*network.descriptor.reduce]
    if network.second_look is not None:
        wanted.append(network.second_look.joined)
    if isinstance(network.predictor, MLPPredictor):
        wanted += [network.predictor.from_descriptor, network.predictor.from_code]

    def keep(layer: nn.Module, given: tuple[Tensor, ...], _: Tensor) -> None:
        seen[layer] = given[0].float()

    hooks = [layer.register_forward_hook(keep) for layer in wanted]
    network.decode(network.encode(x), queries)
    for hook in hooks:
        hook.remove()
    return seen


@torch.no_grad()
def renew_last_stage(network: LandmarkNet, images: Tensor, fresh: MobileNetV2) -> None:
    """Give the blocks of stride 32 the weights of `fresh`, every channel scaled by what it is given here, and what
    reads their map a new beginning: where most channels are dead, the others say as good as nothing of the picture, and
    reviving single ones is too little. `images` as for `revive`; the network needs a flattened head."""
    encoder, head = network.encoder, network.descriptor
    assert isinstance(encoder, MobileNetV2)
    x = images_to_input(images)
    coarsest = None if network.local is None else network.local.coarsest
    said = None if coarsest is None else coarsest(encoder(x)[-1]).mean((0, 2, 3))
    for stage in encoder.stages()[: DEEP + 1]:
        x = stage(x)
    for block, new in zip(encoder.blocks[DEEP:], fresh.blocks[DEEP:], strict=True):
        assert isinstance(block, InvertedResidual)
        block.load_state_dict(new.state_dict())
        y = x
        for layer in block.layers:
            assert isinstance(layer, Convolution)
            relu, layer.relu = layer.relu, False
            _scale(layer.conv, layer(y), MIDDLE if relu else 0.0, SPREAD if relu else PASSED_ON)
            layer.relu = relu
            y = layer(y)
        x = block(x)
    if coarsest is not None and said is not None:
        begins_with_nothing(coarsest)
        _bias(coarsest).copy_(said)
    reader = head.reduce[-1]
    assert isinstance(reader, nn.Conv2d)
    reader.reset_parameters()
    _scale(reader, reader(x), 0.0, LOUD)
    head.linear.weight[:, -reader.out_channels * x.shape[2] * x.shape[3] :] = 0.0


def _scale(conv: nn.Conv2d, values: Tensor, middle: float, spread: float) -> None:
    """Give each channel of a convolution, whose outputs now are `values`, another mean and deviation."""
    deviation, mean = torch.std_mean(values, (0, 2, 3))
    scale = spread / deviation.clamp(min=1e-6)
    conv.weight.mul_(scale.view(-1, 1, 1, 1))
    _bias(conv).sub_(mean).mul_(scale).add_(middle)


def _bias(conv: nn.Conv2d) -> Tensor:
    assert conv.bias is not None
    return conv.bias


def _revive_block(block: InvertedResidual, x: Tensor) -> tuple[int, int]:
    """Channels of an inverted residual that its ReLU6 shuts off, before or after the depthwise convolution."""
    layers = [layer for layer in block.layers if isinstance(layer, Convolution)]
    expand, filtered, project = (layer.conv for layer in layers)
    before = layers[0](x)
    after = layers[1](before)
    off = (before.amax((0, 2, 3)) <= 0) | (after.amax((0, 2, 3)) <= 0)
    if count := int(off.sum()):
        assert project.bias is not None
        project.bias += project.weight[:, off, 0, 0] @ after[:, off].mean(
            (0, 2, 3)
        )  # a bias of its own may come through
        project.weight[:, off] = 0.0
        _renew(expand, off, lambda rows: F.conv2d(x, rows))
        inner = layers[0](x)[:, off]
        inner = F.pad(inner, (0, 1, 0, 1) if layers[1].pad else (1, 1, 1, 1))
        stride = (filtered.stride[0], filtered.stride[1])
        _renew(filtered, off, lambda rows: F.conv2d(inner, rows, stride=stride, groups=count))
    return count, len(off)


def _renew(conv: nn.Conv2d, off: Tensor, run: Callable[[Tensor], Tensor]) -> None:
    """New weights for the channels `off` of a convolution before a ReLU6; `run` applies them to the pictures."""
    rows = torch.randn_like(conv.weight[off])
    deviation, mean = torch.std_mean(run(rows), (0, 2, 3))
    scale = SPREAD / deviation.clamp(min=1e-6)
    conv.weight[off] = rows * scale.view(-1, 1, 1, 1)
    assert conv.bias is not None
    conv.bias[off] = MIDDLE - mean * scale


def _revive_rows(
    layers: Sequence[nn.Conv2d | nn.Linear], inputs: list[Tensor], out: nn.Linear, columns: Tensor | None = None
) -> tuple[int, int]:
    """Units before a GELU, each the sum of its rows of `layers` at `inputs` (M, in) each. `columns` (units, k): those
    of `out` that read them; by default one each."""
    weights = [layer.weight.flatten(1) for layer in layers]
    biases = [layer.bias for layer in layers if layer.bias is not None]
    values = torch.stack([x @ w.T for x, w in zip(inputs, weights, strict=True)]).sum(0) + biases[0]
    off = values.amax(0) < OFF
    if count := int(off.sum()):
        spread = LOUD if columns is not None else float(values[:, ~off].std(0).median())
        columns = torch.arange(len(off))[:, None] if columns is None else columns
        means = F.gelu(values[:, off]).mean(0)
        out.bias.add_((out.weight[:, columns[off]] * means[:, None]).sum((1, 2)))  # what little they said is kept
        out.weight[:, columns[off].flatten()] = 0.0
        for layer, x in zip(layers, inputs, strict=True):
            rows = torch.randn(count, x.shape[1])
            deviation, mean = torch.std_mean(x @ rows.T, 0)
            scale = spread / len(layers) ** 0.5 / deviation.clamp(min=1e-6)
            layer.weight[off] = (rows * scale[:, None]).view_as(layer.weight[off])
            if layer.bias is not None:
                layer.bias[off] = 0.0
            biases[0][off] -= mean * scale
    return count, len(off)
