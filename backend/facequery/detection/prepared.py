"""Networks made ready for the processor: the same answers in less time.

Convolutions and layers of perceptrons are joined with what follows them (oneDNN's fused kernels, as PyTorch's own
compiler uses them), kernels lie in the order that oneDNN wants, and where the processor computes with bfloat16 the
encoder and the hidden layers of the predictor do so, without being converted each time. What is added to a landmark at
the end stays float32.
"""

import copy
import math
from collections.abc import Callable
from functools import cache, lru_cache
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from facequery.models.encoders import DescriptorHead
from facequery.models.mobilenet_v2 import Convolution, MobileNetV2
from facequery.models.predictors import MLPPredictor
from facequery.models.refine import BLOCK_GAIN, REACH, LocalMaps, Refiner, larger
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
    look = ready._modules.get("second_look")
    if isinstance(look, _SecondLook):
        with torch.no_grad(), torch.autocast("cpu", enabled=False):
            look.codes = network.get_submodule("position")(look.anchors[None])
    return ready


@cache
def kernels_are_there() -> bool:
    """Whether the fused kernels, which are not part of PyTorch's public interface, do what is expected of them."""
    try:
        with torch.random.fork_rng(devices=[]):  # nobody's random numbers change
            conv, linear = Convolution(4, 8, 3), nn.Linear(8, 6)
        x, y = torch.linspace(-1, 1, 288).view(2, 4, 6, 6), torch.linspace(-1, 1, 32).view(2, 2, 8)
        with torch.inference_mode():
            same = torch.allclose(_Convolution.padded(conv, torch.float32)(x), conv(x), atol=1e-4)
            return bool(same and torch.allclose(_Linear(linear, torch.float32)(y), F.gelu(linear(y)), atol=1e-4))
    except (AttributeError, RuntimeError, TypeError):
        return False


class _Convolution:
    """A convolution with what follows it, or with the addition of what a residual block began with."""

    def __init__(self, conv: nn.Conv2d, kind: torch.dtype, after: str = "none", limits: tuple[float, ...] = ()) -> None:
        assert conv.bias is not None and isinstance(conv.padding, tuple)
        self.after, self.stride, self.groups = (after, list(limits), "none"), list(conv.stride), conv.groups
        self.padding, self.pad = list(conv.padding), False
        self.weight = conv.weight.detach().to(kind).contiguous(memory_format=torch.channels_last)
        self.bias = conv.bias.detach().to(kind)
        self.packed: dict[torch.Size, Tensor] = {}  # by the shape of the input, on which the kernel's best order hangs

    @classmethod
    def padded(cls, part: Convolution, kind: torch.dtype) -> "_Convolution":
        """With its ReLU6, and as pictures are padded for MobileNetV2."""
        self = cls(part.conv, kind, *(("hardtanh", (0.0, 6.0)) if part.relu else ()))
        if part.pad and self.groups > 1:  # a first row and column of zeros that lie on the padding: nothing is copied
            self.weight = F.pad(self.weight, (1, 0, 1, 0)).contiguous(memory_format=torch.channels_last)
            self.padding = [1, 1]
        else:
            self.pad = part.pad
        return self

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
        return run(x, packed, self.bias, *own, *self.after)


class _MobileNetV2(nn.Module):
    """The encoder; pictures in, maps out, as the module that it is made from."""

    def __init__(self, encoder: MobileNetV2, kind: torch.dtype) -> None:
        super().__init__()
        self.kind, self.taps = kind, encoder.taps
        self.channels, self.strides = encoder.channels, encoder.strides
        self.stem = _Convolution.padded(encoder.stem, kind)
        blocks: Any = encoder.blocks
        self.rows = [([_Convolution.padded(layer, kind) for layer in b.layers], b.residual) for b in blocks]
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

    def __call__(self, x: Tensor, added: Tensor | None = None) -> Tensor:
        run, x = torch.ops.mkldnn._linear_pointwise, x.to(self.kind)
        if added is not None:
            return run.binary(x, added, self.weight, self.bias, "add")
        return run(x, self.weight, self.bias, self.after, [], "none")


class _DescriptorHead(nn.Module):
    """The head that makes the descriptor; numbers of maps go into its matrix in the order of memory."""

    def __init__(self, head: DescriptorHead, kind: torch.dtype) -> None:
        super().__init__()
        self.levels, self.kind, self.pools, self.norm = head.levels, kind, head.kind == "pool", head.norm
        convs: Any = head.reduce
        self.reduce = [_Convolution(conv, kind, "gelu") for conv in convs]
        linear = head.linear
        if not self.pools:
            linear = copy.deepcopy(linear)
            sides = [math.ceil(head.size / stride) for stride in head.strides]
            parts = linear.weight.split(
                [conv.out_channels * side**2 for conv, side in zip(convs, sides, strict=True)], 1
            )
            turned = [
                part.unflatten(1, (-1, side**2)).transpose(1, 2).flatten(1)
                for part, side in zip(parts, sides, strict=True)
            ]
            linear.weight = nn.Parameter(torch.cat(turned, 1), False)
        self.linear = _Linear(linear, kind, "none")

    def forward(self, maps: list[Tensor]) -> Tensor:
        found = [reduce(x.to(self.kind)) for reduce, x in zip(self.reduce, maps[-self.levels :], strict=True)]
        pieces = [x.mean((2, 3)) if self.pools else x.permute(0, 2, 3, 1).flatten(1) for x in found]
        return self.norm(self.linear(torch.cat(pieces, 1)).float())


class _MLPPredictor(nn.Module):
    """The predictor; its first and last layers in float32, as they hold places to hundredths of a pixel."""

    attends = False

    def __init__(self, predictor: MLPPredictor, kind: torch.dtype) -> None:
        super().__init__()
        self.from_descriptor, self.from_code, self.last = (
            _Linear(part, torch.float32, "none")
            for part in (predictor.from_descriptor, predictor.from_code, predictor.last)
        )
        self.second, self.third = _Linear(predictor.second, kind), _Linear(predictor.third, kind)

    def prepare(self, descriptor: Tensor) -> Tensor:
        return self.from_descriptor(descriptor)[:, None]

    def forward(self, first: Tensor, codes: Tensor) -> tuple[Tensor, Tensor]:
        x = self.third(self.second(F.gelu(first + self.from_code(codes))))
        return self.last(x), x


class _LocalMaps(nn.Module):
    """The maps of local refinement; in rows they lie as in memory, with the channels of a cell side by side."""

    def __init__(self, maps: LocalMaps, kind: torch.dtype) -> None:
        super().__init__()
        self.kind, self.numbers, self.places = kind, maps.numbers, maps.places
        self.packed, self.read = maps.packed, maps.unpacked  # rows are the given network's: either may read them
        self.fine, self.middle, self.coarse = (_Convolution(c, kind) for c in (maps.fine, maps.middle, maps.coarse))
        self.coarsest = None if maps.coarsest is None else _Convolution(maps.coarsest, kind)
        self.coarsest_place = maps.coarsest_place
        self.blocks = [_map_block(block, kind) for block in maps.blocks]
        self.down, self.side = _Convolution(maps.down, kind), _Convolution(maps.side, kind)
        self.ends = [
            (_Convolution(_with_input(around), kind, "gelu"), _Convolution(mix, kind))
            for around, mix in ((maps.around, maps.mix), (maps.around_fine, maps.mix_fine))
        ]

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        fine, middle, coarse = (maps[i].to(self.kind) for i in self.places)
        right, below = fine.shape[-1] % 2, fine.shape[-2] % 2
        even = F.pad(fine, (0, right, 0, below)) if right or below else fine
        x = self.fine(even, self.middle(middle)).add_(larger(self.coarse(coarse), middle))
        if self.coarsest is not None:
            x.add_(larger(self.coarsest(maps[self.coarsest_place].to(self.kind)), middle))
        x = F.gelu(x)
        for around, wide, back in self.blocks:
            x = back(wide(around(x)), x)
        y = F.gelu(self.side(fine, larger(self.down(x), fine)))
        return [mix(around(each)) for each, (around, mix) in zip((x, y), self.ends, strict=True)]

    def unpacked(self, numbers: Tensor) -> list[Tensor]:
        return self.read(numbers.to(self.kind))


def _map_block(block: Any, kind: torch.dtype) -> tuple[_Convolution, _Convolution, _Convolution]:
    """The layers of a `MapBlock`, the last with the block's gain."""
    back = copy.deepcopy(block.back)
    with torch.no_grad():
        back.weight.mul_(BLOCK_GAIN)
        back.bias.mul_(BLOCK_GAIN)
    return _Convolution(block.around, kind), _Convolution(block.wide, kind, "gelu"), _Convolution(back, kind)


def _with_input(around: nn.Conv2d) -> nn.Conv2d:
    """A depthwise 3x3 convolution that adds what it was given: 1 more in the middle of its kernels."""
    around = copy.deepcopy(around)
    with torch.no_grad():
        around.weight[:, :, 1, 1] += 1
    return around


class _Refiner(nn.Module):
    """Local refinement; the map is gathered cell by cell instead of channel by channel."""

    def __init__(self, refiner: Refiner, kind: torch.dtype) -> None:
        super().__init__()
        self.prepare, self.second = _Linear(refiner.from_query, kind, "none"), _Linear(refiner.second, kind)
        both = nn.Linear(refiner.from_map.in_features + refiner.from_fine.in_features, refiner.second.in_features)
        both.weight = nn.Parameter(torch.cat([refiner.from_map.weight, refiner.from_fine.weight], 1), False)
        both.bias = refiner.from_map.bias
        self.from_maps = _Linear(both, kind, "none")
        self.wide = None if refiner.wide is None else _Linear(refiner.wide, kind)
        self.back = None if refiner.back is None else _Linear(refiner.back, kind, "none")
        self.last = _Linear(refiner.last, torch.float32, "none")

    def forward(self, local: list[Tensor], known: Tensor, xy: Tensor, log_sigma: Tensor) -> tuple[Tensor, Tensor]:
        x = self.second(F.gelu(self.from_maps(sampled(local, xy), known)))
        if self.wide is not None and self.back is not None:
            x = self.back(self.wide(x), x)
        step = self.last(x)
        return torch.add(xy, step[..., :2], alpha=REACH), log_sigma + step[..., 2]


class _SecondLook(nn.Module):
    """The second look; what is added to the descriptor is computed in `kind`."""

    def __init__(self, look: SecondLook, kind: torch.dtype) -> None:
        super().__init__()
        self.anchors, self.each, self.joined = look.anchors, _Linear(look.each, kind), _Linear(look.joined, kind)
        self.last = _Linear(look.last, kind, "none")
        self.codes: Tensor | None = None

    def forward(self, local: list[Tensor], descriptor: Tensor, first: Tensor, refined: Tensor) -> Tensor:
        seen = self.each(sampled(local, refined)).float()
        known = torch.cat([seen, refined, MOVE * (refined - first)], -1)
        return descriptor + GAIN * self.last(self.joined(torch.cat([known.flatten(1), descriptor], 1))).float()


def sampled(local: list[Tensor], xy: Tensor) -> Tensor:
    """Values (B, N, sum of C) of maps (B, C, h, w) at xy (B, N, 2) in [-1, 1], bilinear, repeated beyond the border.

    As `grid_sample` without `align_corners`; with the channels of a cell side by side in memory it is far quicker.
    """
    grids = _grids(tuple((each.shape[-2], each.shape[-1]) for each in local), len(xy))
    at = torch.addcmul(grids.middle, xy, grids.half).clamp_(grids.zero, grids.last)
    low = at.floor().minimum(grids.last_low)
    part = at.sub_(low)
    start = torch.addcmul(grids.picture, low[..., 1], grids.width).add_(low[..., 0])
    corners = (start[..., None] + grids.corners).int().flatten(1, 2)
    u, v = part[..., None].unbind(-2)
    shares = torch.addcmul(_LEFT, u, _RIGHT).mul_(torch.addcmul(_ABOVE, v, _BELOW))
    shares = shares.to(local[0].dtype).view(len(local), -1, 4)
    seen = [
        F.embedding_bag(at_, each.permute(0, 2, 3, 1).flatten(0, 2), per_sample_weights=share, mode="sum")
        for each, at_, share in zip(local, corners, shares, strict=True)
    ]
    return torch.cat(seen, -1).view(*xy.shape[:2], -1)


# shares of the corners (left and right above, left and right below) of a place u, v between them are
# (_LEFT + u _RIGHT) (_ABOVE + v _BELOW)
_LEFT, _RIGHT = torch.tensor([[1.0, 0.0, 1.0, 0.0], [-1.0, 1.0, -1.0, 1.0]])
_ABOVE, _BELOW = torch.tensor([[1.0, 1.0, 0.0, 0.0], [-1.0, -1.0, 1.0, 1.0]])


class _Grids(NamedTuple):
    """What `sampled` computes with, for M maps; places are (M, B, N, 2), x first."""

    half: Tensor  # cells of half a map
    middle: Tensor  # where x, y = 0, 0 lies
    zero: Tensor
    last: Tensor  # cell
    last_low: Tensor  # that has a neighbour
    width: Tensor  # (M, 1, 1)
    picture: Tensor  # (M, B, 1): the first cell of each picture
    corners: Tensor  # (M, 1, 1, 4): of the cells around a place, from the first


@lru_cache(maxsize=32)
def _grids(shapes: tuple[tuple[int, int], ...], batch: int) -> _Grids:
    sizes = torch.tensor([[w, h] for h, w in shapes], dtype=torch.float32)[:, None, None]
    right, below = torch.tensor([[int(w > 1), w * int(h > 1)] for h, w in shapes], dtype=torch.float32).unbind(-1)
    corners = torch.stack([torch.zeros_like(right), right, below, right + below], -1)[:, None, None]
    picture = sizes.prod(-1) * torch.arange(batch, dtype=torch.float32)[:, None]
    last = sizes - 1
    return _Grids(
        sizes / 2, last / 2, torch.zeros(2), last, (last - 1).clamp(min=0), sizes[..., 0], picture, corners
    )  # fmt: skip


def _in_kind(part: nn.Module, kind: torch.dtype) -> nn.Module:
    return copy.deepcopy(part).to(kind).to(memory_format=torch.channels_last)  # type: ignore[call-overload]


_READY: dict[type, Callable[[Any, torch.dtype], nn.Module]] = {
    MobileNetV2: _MobileNetV2,
    DescriptorHead: _DescriptorHead,
    LocalMaps: _LocalMaps,
    MLPPredictor: _MLPPredictor,
    Refiner: _Refiner,
    SecondLook: _SecondLook,
    nn.Conv2d: _in_kind,
    nn.ModuleList: _in_kind,
}
