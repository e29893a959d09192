"""Networks made ready for the processor: the same answers in less time.

Convolutions and layers of perceptrons are joined with what follows them (oneDNN's fused kernels, as PyTorch's own
compiler uses them), kernels lie in the order that oneDNN wants, and where the processor computes with bfloat16 the
encoder and the hidden layers of the predictor do so, without being converted each time. What is added to a landmark at
the end stays float32.
"""

import copy
from collections.abc import Callable
from functools import cache
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from facequery.models.encoders import DescriptorHead
from facequery.models.mobilenet_v2 import Convolution, MobileNetV2
from facequery.models.predictors import MLPPredictor
from facequery.models.refine import REACH, LocalMaps, Refiner
from facequery.models.second_look import GAIN, MOVE, SecondLook

N = TypeVar("N", bound=nn.Module)
_SHAPES = 8  # of pictures that kernels are kept in order for: 4 MB each
_AT_ONCE = 2  # pictures that go through the encoder's early blocks together, so that their large maps fit the cache


def prepared(network: N, half: bool) -> N:
    """A network for inference on the processor; the given one stays as it is, and they share what is not replaced.

    `half`: bfloat16 in encoder and hidden layers. Answers differ from the network's by the rounding alone. Where this
    PyTorch lacks the fused kernels the network itself comes back.
    """
    if not kernels_are_there():
        return network
    ready = copy.copy(network)
    ready.__dict__["_modules"] = dict(network._modules)
    kind = torch.bfloat16 if half else torch.float32
    for name, part in network._modules.items():
        make = next((_READY[c] for c in type(part).__mro__ if c in _READY), None)
        if part is not None and make is not None:
            ready.__dict__["_modules"][name] = make(part, kind)
    return ready


@cache
def kernels_are_there() -> bool:
    """Whether the fused kernels, which are not part of PyTorch's public interface, do what is expected of them."""
    try:
        with torch.random.fork_rng(devices=[]):  # nobody's random numbers change
            conv, linear = Convolution(4, 8, 3), nn.Linear(8, 6)
        x, y = torch.linspace(-1, 1, 288).view(2, 4, 6, 6), torch.linspace(-1, 1, 32).view(2, 2, 8)
        with torch.inference_mode():
            same = torch.allclose(_Convolution(conv, torch.float32)(x), conv(x), atol=1e-4)
            return bool(same and torch.allclose(_Linear(linear, torch.float32)(y), F.gelu(linear(y)), atol=1e-4))
    except (AttributeError, RuntimeError, TypeError):
        return False


class _Convolution:
    """A `Convolution` with its ReLU6, or with the addition of what a residual block began with."""

    def __init__(self, part: Convolution, kind: torch.dtype) -> None:
        conv = part.conv
        assert conv.bias is not None
        self.pad, self.stride, self.groups = part.pad, list(conv.stride), conv.groups
        self.padding = [0, 0] if part.pad else [int(conv.kernel_size[0]) // 2] * 2
        self.weight = conv.weight.detach().to(kind).contiguous(memory_format=torch.channels_last)
        self.bias = conv.bias.detach().to(kind)
        self.after: tuple[str, list[float]] = ("hardtanh", [0.0, 6.0]) if part.relu else ("none", [])
        self.packed: dict[torch.Size, Tensor] = {}  # by the shape of the input, on which the kernel's best order hangs

    def __call__(self, x: Tensor, residual: Tensor | None = None) -> Tensor:
        if self.pad:
            x = F.pad(x, (0, 1, 0, 1))
        own = (self.padding, self.stride, [1, 1], self.groups)
        packed = self.packed.get(x.shape)
        if packed is None:
            if len(self.packed) == _SHAPES:
                self.packed.clear()
            packed = torch.ops.mkldnn._reorder_convolution_weight(self.weight, *own, list(x.shape))
            self.packed[x.shape] = packed
        run = torch.ops.mkldnn._convolution_pointwise
        if residual is not None:
            return run.binary(x, residual, packed, self.bias, *own, "add", None, None, [], None)
        return run(x, packed, self.bias, *own, *self.after, "")


class _MobileNetV2(nn.Module):
    """The encoder; pictures in, maps out, as the module that it is made from."""

    def __init__(self, encoder: MobileNetV2, kind: torch.dtype) -> None:
        super().__init__()
        self.kind, self.taps = kind, encoder.taps
        self.channels, self.strides = encoder.channels, encoder.strides
        self.stem = _Convolution(encoder.stem, kind)
        blocks: Any = encoder.blocks
        self.rows = [([_Convolution(layer, kind) for layer in b.layers], b.residual) for b in blocks]
        self.early = self.taps[1] + 1  # blocks up to stride 8; behind them maps are small, and calls are what costs

    def forward(self, images: Tensor) -> list[Tensor]:
        parts = [self._blocks(self.stem(part.to(self.kind)), 0, self.early) for part in images.split(_AT_ONCE)]
        maps = parts[0] if len(parts) == 1 else [torch.cat(found) for found in zip(*parts, strict=True)]
        return maps + self._blocks(maps[-1], self.early, len(self.rows))

    def _blocks(self, x: Tensor, start: int, stop: int) -> list[Tensor]:
        """The maps that some blocks give on their way."""
        maps = []
        for i in range(start, stop):
            layers, residual = self.rows[i]
            y = x
            for layer in layers[:-1]:
                y = layer(y)
            x = layers[-1](y, x if residual else None)
            if i in self.taps:
                maps.append(x)
        return maps


class _Linear:
    """A linear layer, with GELU after it or nothing."""

    def __init__(self, layer: nn.Linear, kind: torch.dtype, after: str = "gelu") -> None:
        self.kind, self.after = kind, after
        weight = layer.weight.detach().to(kind)
        self.weight = torch.ops.mkldnn._reorder_linear_weight(weight) if kind == torch.bfloat16 else weight
        self.bias = None if layer.bias is None else layer.bias.detach().to(kind)

    def __call__(self, x: Tensor) -> Tensor:
        return torch.ops.mkldnn._linear_pointwise(x.to(self.kind), self.weight, self.bias, self.after, [], "none")


class _MLPPredictor(nn.Module):
    """The predictor; its first and last layers in float32, as they hold places to hundredths of a pixel."""

    attends = False

    def __init__(self, predictor: MLPPredictor, kind: torch.dtype) -> None:
        super().__init__()
        self.prepare, self.from_code, self.last = predictor.prepare, predictor.from_code, predictor.last
        self.second, self.third = _Linear(predictor.second, kind), _Linear(predictor.third, kind)

    def forward(self, first: Tensor, codes: Tensor) -> tuple[Tensor, Tensor]:
        x = self.third(self.second(F.gelu(first + self.from_code(codes))))
        return self.last(x.float()), x


class _LocalMaps(nn.Module):
    """The maps of local refinement; unpacked with the channels of a cell side by side in memory, for `sampled`."""

    def __init__(self, maps: LocalMaps, kind: torch.dtype) -> None:
        super().__init__()
        self.kind, self.maps, self.numbers = kind, _in_kind(maps, kind), maps.numbers
        self.given = maps.unpacked

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        return self.maps(maps)

    def unpacked(self, numbers: Tensor) -> list[Tensor]:
        return [each.to(self.kind).contiguous(memory_format=torch.channels_last) for each in self.given(numbers)]


class _Refiner(nn.Module):
    """Local refinement; the map is gathered cell by cell instead of channel by channel."""

    def __init__(self, refiner: Refiner, kind: torch.dtype) -> None:
        super().__init__()
        self.kind, self.last = kind, refiner.last
        self.prepare = _Linear(refiner.from_query, kind, "none")
        self.from_map, self.second = _Linear(refiner.from_map, kind, "none"), _Linear(refiner.second, kind)
        self.from_fine = _Linear(refiner.from_fine, kind, "none")
        self.wide = None if refiner.wide is None else _Linear(refiner.wide, kind)
        self.back = None if refiner.back is None else _Linear(refiner.back, kind, "none")

    def forward(self, local: list[Tensor], known: Tensor, xy: Tensor, log_sigma: Tensor) -> tuple[Tensor, Tensor]:
        coarse, fine = (sampled(each, xy) for each in local)
        x = F.gelu(self.from_map(coarse).add_(self.from_fine(fine)).add_(known))
        x = self.second(x)
        if self.wide is not None and self.back is not None:
            x = x + self.back(self.wide(x))
        step = self.last(x.float())
        return xy + REACH * step[..., :2], log_sigma + step[..., 2]


class _SecondLook(nn.Module):
    """The second look; what is added to the descriptor is computed in `kind`."""

    def __init__(self, look: SecondLook, kind: torch.dtype) -> None:
        super().__init__()
        self.anchors, self.each, self.joined = look.anchors, _Linear(look.each, kind), _Linear(look.joined, kind)
        self.last = _Linear(look.last, kind, "none")

    def forward(self, local: list[Tensor], descriptor: Tensor, first: Tensor, refined: Tensor) -> Tensor:
        seen = self.each(torch.cat([sampled(each, refined) for each in local], -1)).float()
        known = torch.cat([seen, refined, MOVE * (refined - first)], -1)
        return descriptor + GAIN * self.last(self.joined(torch.cat([known.flatten(1), descriptor], 1))).float()


def sampled(local: Tensor, xy: Tensor) -> Tensor:
    """Values (B, N, C) of maps (B, C, h, w) at xy (B, N, 2) in [-1, 1], bilinear, repeated beyond the border.

    As `grid_sample` without `align_corners`; with the channels of a cell side by side in memory it is far quicker.
    """
    batch, channels, h, w = local.shape
    cells = local.permute(0, 2, 3, 1).reshape(batch * h * w, channels)
    limit = torch.tensor([w - 1, h - 1], dtype=xy.dtype)
    at = ((xy + 1) * 0.5 * (limit + 1) - 0.5).clamp(min=torch.zeros(2, dtype=xy.dtype), max=limit)
    low = at.floor().minimum((limit - 1).clamp(min=0))
    part = at - low
    column, row = low.long().unbind(-1)
    start = (row + h * torch.arange(batch)[:, None]) * w + column
    right, below = int(w > 1), w * int(h > 1)
    corners = torch.stack([start, start + right, start + below, start + below + right], -1)
    u, v = part.unbind(-1)
    shares = torch.stack([(1 - u) * (1 - v), u * (1 - v), (1 - u) * v, u * v], -1)
    weights = shares.view(-1, 4).to(cells.dtype)
    joined = F.embedding_bag(corners.view(-1, 4), cells, per_sample_weights=weights, mode="sum")
    return joined.view(batch, -1, channels)


def _in_kind(part: nn.Module, kind: torch.dtype) -> nn.Module:
    return copy.deepcopy(part).to(kind).to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def _head_in_kind(head: nn.Module, kind: torch.dtype) -> nn.Module:
    ready = _in_kind(head, kind)
    ready.norm.float()
    return ready


_READY: dict[type, Callable[[Any, torch.dtype], nn.Module]] = {
    MobileNetV2: _MobileNetV2,
    DescriptorHead: _head_in_kind,
    LocalMaps: _LocalMaps,
    MLPPredictor: _MLPPredictor,
    Refiner: _Refiner,
    SecondLook: _SecondLook,
    nn.Conv2d: _in_kind,
    nn.ModuleList: _in_kind,
}
