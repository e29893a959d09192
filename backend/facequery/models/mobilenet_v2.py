"""MobileNetV2 without batch normalisation, so that it can start from ImageNet weights whose normalisation is folded.

Sandler, Howard, Zhu, Zhmoginov, Chen, "MobileNetV2: Inverted Residuals and Linear Bottlenecks", CVPR 2018, table 2.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

DEEP = 13  # the first block of stride 32
# expansion, output channels, repeats, stride of the first block (table 2 of the paper)
BLOCKS = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))


class ReLU6(torch.autograd.Function):
    """min(max(x, 0), 6), whose gradient is told by what comes out: what goes in need not be kept, nor copied."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        y = x.clamp(0.0, 6.0)
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (y,) = ctx.saved_tensors
        found: Tensor = torch.ops.aten.hardtanh_backward(gradient, y, 0.0, 6.0)
        return found


class EveryOther(torch.autograd.Function):
    """Every other row and column of maps that lie channels last, from the second on. Autograd's own gradient of that
    lies otherwise, and turning it round is what the time goes to."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.shape = x.shape
        return x[:, :, 1::2, 1::2].contiguous(memory_format=torch.channels_last)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        whole = torch.empty(
            ctx.shape, dtype=gradient.dtype, device=gradient.device, memory_format=torch.channels_last
        ).zero_()  # fmt: skip
        whole[:, :, 1::2, 1::2] = gradient
        return whole


class Convolution(nn.Module):
    """3x3 or 1x1 convolution with bias, padded as TensorFlow pads an even-sized input, and optionally ReLU6."""

    def __init__(
        self, inputs: int, outputs: int, size: int, stride: int = 1, groups: int = 1, relu: bool = True
    ) -> None:
        super().__init__()
        # stride 2 pads only right and below: (0, 1, 0, 1), as the ImageNet weights were trained
        padding = size // 2 if stride == 1 else 0
        self.conv = nn.Conv2d(inputs, outputs, size, stride, padding, groups=groups)
        self.pad = stride == 2
        self.relu = relu
        nn.init.kaiming_normal_(self.conv.weight, mode="fan_out" if groups == 1 else "fan_in", nonlinearity="relu")
        assert self.conv.bias is not None
        nn.init.zeros_(self.conv.bias)

    def forward(self, x: Tensor) -> Tensor:
        conv = self.conv
        if self.pad and conv.groups > 1 and torch.is_grad_enabled() and conv.weight.requires_grad:
            # the same values as with stride 2, but oneDNN has no quick gradient of strided depthwise convolutions
            # (three of them took a third of a training step), and one of plain ones
            x = EveryOther.apply(F.conv2d(x, conv.weight, conv.bias, padding=1, groups=conv.groups))
        else:
            x = conv(F.pad(x, (0, 1, 0, 1)) if self.pad else x)
        if not self.relu:
            return x
        if torch.is_grad_enabled() and x.requires_grad:
            found: Tensor = ReLU6.apply(x)
            return found
        return F.relu6(x, inplace=True)


class InvertedResidual(nn.Module):
    """Expand, filter by a depthwise 3x3 convolution, project; added to its input where the shapes agree."""

    def __init__(self, inputs: int, outputs: int, expansion: int, stride: int) -> None:
        super().__init__()
        inner = inputs * expansion
        layers = [Convolution(inputs, inner, 1)] if expansion > 1 else []
        layers += [Convolution(inner, inner, 3, stride, groups=inner), Convolution(inner, outputs, 1, relu=False)]
        self.layers = nn.Sequential(*layers)
        self.residual = stride == 1 and inputs == outputs
        if self.residual:
            with torch.no_grad():
                # without normalisation the residual branch starts small, so that 17 blocks in a row stay tame
                layers[-1].conv.weight.mul_(0.2)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x) if self.residual else self.layers(x)


class MobileNetV2(nn.Module):
    """Images (B, 3, H, W) in [-1, 1], RGB -> maps at strides 4, 8, 16 and 32; `last` < 16 leaves out the blocks after
    that one, and with them the maps that they end in."""

    channels = (24, 32, 96, 320)
    strides = (4, 8, 16, 32)
    taps = (2, 5, 12, 16)  # index of the last block of each stride

    def __init__(self, last: int = 16) -> None:
        super().__init__()
        self.stem = Convolution(3, 32, 3, stride=2)
        blocks: list[nn.Module] = []
        inputs = 32
        for expansion, outputs, repeats, stride in BLOCKS:
            for i in range(min(repeats, last + 1 - len(blocks))):
                blocks.append(InvertedResidual(inputs, outputs, expansion, stride if i == 0 else 1))
                inputs = outputs
        self.blocks = nn.ModuleList(blocks)

    def forward(self, x: Tensor) -> list[Tensor]:
        stages = self.stages()
        frozen = 0
        while frozen < len(stages) and not any(p.requires_grad for p in stages[frozen].parameters()):
            frozen += 1
        maps: list[Tensor] = []
        if 0 < frozen < len(stages):
            # without gradients a few images at a time go through the large early maps: they stay in the cache
            with torch.no_grad():
                parts = [self._run(part, 0, frozen) for part in x.split(4)]
            maps = [torch.cat(found) for found in zip(*(m for _, m in parts), strict=True)]
            x = torch.cat([y for y, _ in parts])
        else:
            frozen = 0
        return maps + self._run(x, frozen, len(stages))[1]

    def _run(self, x: Tensor, first: int, last: int) -> tuple[Tensor, list[Tensor]]:
        """Output of stages `first` to `last` (not included), and the maps among their outputs."""
        maps = []
        for i, stage in list(enumerate(self.stages()))[first:last]:
            x = stage(x)
            if i - 1 in self.taps:
                maps.append(x)
        return x, maps

    def stages(self) -> list[nn.Module]:
        """The stem and the blocks in the order of the computation: what may be frozen, from the front."""
        return [self.stem, *self.blocks]

    def convolutions(self) -> list[nn.Conv2d]:
        """All 52 convolutions in the order of the computation."""
        return [m for m in self.modules() if isinstance(m, nn.Conv2d)]

    def load_imagenet(self, path: Path) -> None:
        """Copy the folded ImageNet weights: `path` is an npz of float16 arrays `NN.kind.weight` and `.bias`.

        Convolutions lie as (outputs, height, width, inputs), depthwise ones as (1, height, width, channels).
        """
        with np.load(path) as arrays:
            names = sorted(name[: -len(".weight")] for name in arrays.files if name.endswith(".weight"))
            for conv, name in zip(self.convolutions(), names, strict=False):
                weight = arrays[f"{name}.weight"].astype(np.float32)
                order = (3, 0, 1, 2) if "depthwise" in name else (0, 3, 1, 2)
                with torch.no_grad():
                    conv.weight.copy_(torch.from_numpy(weight.transpose(order)))
                    assert conv.bias is not None
                    conv.bias.copy_(torch.from_numpy(arrays[f"{name}.bias"].astype(np.float32)))
