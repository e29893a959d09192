"""The image encoders by name, and the head that turns their feature map into the descriptor."""

import math
from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from facequery.errors import UserError
from facequery.models.convnext import ConvNeXt
from facequery.models.mobilenet_v2 import MobileNetV2
from facequery.models.mobilenet_v3 import MobileNetV3Large
from facequery.models.resnet import ResNet

M = TypeVar("M", bound=nn.Module)

# Every encoder maps images (B, 3, H, W) in [-1, 1] to a list of maps, finest first; `channels` and `strides` name them.
ENCODERS: dict[str, Callable[[], nn.Module]] = {
    "mobilenet_v2": MobileNetV2,
    "mobilenet_v3_large": MobileNetV3Large,
    "convnext_atto": lambda: ConvNeXt((2, 2, 6, 2), (40, 80, 160, 320)),
    "convnext_tiny": lambda: ConvNeXt((3, 3, 9, 3), (96, 192, 384, 768)),
    "resnet18": lambda: ResNet((2, 2, 2, 2), bottleneck=False),
    "resnet50": lambda: ResNet((3, 4, 6, 3), bottleneck=True),
    "resnet_dense": lambda: ResNet((2, 2, 2, 2), bottleneck=False, width=32, small_stem=True),
}


class Encoder(Protocol):
    """What all encoders have."""

    channels: Sequence[int]
    strides: Sequence[int]

    def stages(self) -> list[nn.Module]: ...

    def __call__(self, images: Tensor) -> list[Tensor]: ...


def make_encoder(name: str) -> Any:
    """A new encoder (a module that is an `Encoder`) with random weights. Raises UserError for an unknown name."""
    if name not in ENCODERS:
        raise UserError(f'There is no encoder "{name}".', f"Known encoders: {', '.join(ENCODERS)}.", "FQ421")
    return ENCODERS[name]()


def channels_last(module: M) -> M:
    """The module with its kernels in channels-last order, which convolutions on CPUs want."""
    return module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


class DescriptorHead(nn.Module):
    """Feature maps of an encoder -> descriptor (B, d).

    `flatten`: each map of the last `levels` strides is reduced by a 1x1 convolution, flattened with its positions kept,
    and the pieces are mapped linearly to d. `pool`: the last map is widened by a 1x1 convolution and averaged.
    """

    def __init__(
        self, channels: list[int], strides: list[int], size: int, descriptor: int, kind: str, levels: int, reduced: int
    ) -> None:
        super().__init__()
        if kind not in ("flatten", "pool"):
            raise UserError(f'There is no descriptor head "{kind}".', 'Use "flatten" or "pool".', "FQ402")
        self.kind, self.size = kind, size
        self.levels = levels if kind == "flatten" else 1
        self.strides = strides[-self.levels :]
        reduce, flat = [], 0
        for level in range(-self.levels, 0):
            cells = math.ceil(size / self.strides[level]) ** 2
            # finer maps have four times the cells of the next: a quarter of the channels gives each level its share
            width = 1280 if kind == "pool" else max(8, reduced // 4 ** (-1 - level))
            reduce.append(nn.Conv2d(channels[level], width, 1))
            flat += width if kind == "pool" else width * cells
        self.reduce = nn.ModuleList(reduce)
        self.linear = nn.Linear(flat, descriptor)
        self.norm = nn.LayerNorm(descriptor)

    def forward(self, maps: list[Tensor]) -> Tensor:
        pieces = []
        for reduce, x in zip(self.reduce, maps[-self.levels :], strict=True):
            x = F.gelu(reduce(x))
            pieces.append(x.mean((2, 3)) if self.kind == "pool" else x.flatten(1))
        return self.norm(self.linear(torch.cat(pieces, 1)))

    def resized(self, weight: Tensor, size: int) -> Tensor:
        """The matrix (d, numbers) that a flattened head of crops of `size` pixels has learned, for crops of this one's
        size: what the old one would say of this one's maps, resampled bilinearly to the old one's cells."""
        pieces, start = [], 0
        for reduce, stride in zip(self.reduce, self.strides, strict=True):
            old, new = math.ceil(size / stride), math.ceil(self.size / stride)
            width = int(reduce.out_channels)  # type: ignore[arg-type]
            cells = weight[:, start : start + width * old**2].unflatten(1, (width, old**2))
            start += width * old**2
            each = torch.eye(new**2).unflatten(1, (1, new, new))
            resample = F.interpolate(each, (old, old), mode="bilinear", antialias=True, align_corners=False).flatten(1)
            pieces.append((cells @ resample.T).flatten(1))
        return torch.cat(pieces, 1)
