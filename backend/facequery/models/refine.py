"""Local refinement: each landmark looks at the picture again where the first answer put it, and corrects itself.

A descriptor says where things are in the whole picture; the last pixels, such as how far a lid is open, lie in the
feature maps around the landmark. Maps of strides 4, 8 and 16 are joined in one of stride 8, which knows what it sees,
and one of stride 4, which knows exactly where; each landmark samples both at its place, and a small network that also
knows the query gives the correction. The idea is that of cascaded regression (Dollar, Welinder, Perona, "Cascaded Pose
Regression", CVPR 2010), with learned features and for any query; the papers do not have it.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

STRIDES = (8, 4)  # of the maps that landmarks sample
BLOCK_GAIN = 0.2  # of what a residual block adds
REACH = 0.1  # what a correction of 1 means, crop units: 8 pixels of a 160-pixel crop


class LocalMaps(nn.Module):
    """Maps of an encoder (finest first) -> two maps for `Refiner`: (B, C, h, w) at stride 8, (B, C / 2, h, w) at 4.

    With `blocks` the coarser map also knows stride 32, and passes so many residual blocks.
    """

    def __init__(self, channels: list[int], strides: list[int], size: int, width: int, blocks: int = 0) -> None:
        super().__init__()
        fine, middle, coarse = self.places = [strides.index(stride) for stride in (4, 8, 16)]
        self.shapes = [
            (width >> i, math.ceil(size / stride), math.ceil(size / stride)) for i, stride in enumerate(STRIDES)
        ]
        # the finer map comes in without losing what lies between the cells: 2 x 2 of them make one
        self.fine = nn.Conv2d(channels[fine], width, 2, 2)
        self.middle = nn.Conv2d(channels[middle], width, 1)
        self.coarse = nn.Conv2d(channels[coarse], width, 1)
        self.around = nn.Conv2d(width, width, 3, padding=1, groups=width)
        self.mix = nn.Conv2d(width, width, 1)
        half = width // 2
        self.down, self.side = nn.Conv2d(width, half, 1), nn.Conv2d(channels[fine], half, 1)
        self.around_fine = nn.Conv2d(half, half, 3, padding=1, groups=half)
        self.mix_fine = nn.Conv2d(half, half, 1)
        self.coarsest = nn.Conv2d(channels[strides.index(32)], width, 1) if blocks else None
        self.coarsest_place = strides.index(32) if blocks else -1
        self.blocks = nn.ModuleList(MapBlock(width) for _ in range(blocks))
        if self.coarsest is not None:
            begins_with_nothing(self.coarsest)

    @property
    def numbers(self) -> list[int]:
        """How many numbers each of the two maps has."""
        return [math.prod(shape) for shape in self.shapes]

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        fine, middle, coarse = (maps[i] for i in self.places)
        even = F.pad(fine, (0, fine.shape[-1] % 2, 0, fine.shape[-2] % 2))
        x = self.fine(even) + self.middle(middle) + larger(self.coarse(coarse), middle)
        if self.coarsest is not None:
            x = x + larger(self.coarsest(maps[self.coarsest_place]), middle)
        x = F.gelu(x)
        for block in self.blocks:
            x = block(x)
        y = F.gelu(self.side(fine) + larger(self.down(x), fine))
        return [self.mix(F.gelu(x + self.around(x))), self.mix_fine(F.gelu(y + self.around_fine(y)))]

    def packed(self, local: list[Tensor]) -> list[Tensor]:
        """The maps as rows (B, numbers): cell after cell, as samples are read, with the channels of a cell together."""
        return [each.permute(0, 2, 3, 1).flatten(1) for each in local]

    def unpacked(self, numbers: Tensor) -> list[Tensor]:
        """The maps out of rows (B, sum of `numbers`) in which those of `packed` lie one after the other."""
        parts = zip(numbers.split(self.numbers, 1), self.shapes, strict=True)
        return [part.view(-1, h, w, c).permute(0, 3, 1, 2) for part, (c, h, w) in parts]


class MapBlock(nn.Module):
    """A residual block on a map: what lies around (5 x 5), then a wider layer. Begins as the identity."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.around = nn.Conv2d(width, width, 5, padding=2, groups=width)
        self.wide = nn.Conv2d(width, 2 * width, 1)
        self.back = nn.Conv2d(2 * width, width, 1)
        begins_with_nothing(self.back)

    def forward(self, x: Tensor) -> Tensor:
        return x + BLOCK_GAIN * self.back(F.gelu(self.wide(self.around(x))))


def begins_with_nothing(layer: nn.Conv2d | nn.Linear) -> None:
    """A branch whose last layer this is adds nothing at first: what was learned without it is not disturbed."""
    nn.init.zeros_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)


def larger(x: Tensor, like: Tensor) -> Tensor:
    """A map (B, C, h, w) with as many cells as another."""
    return F.interpolate(x, like.shape[-2:], mode="bilinear", align_corners=False)


def sampled(local: Tensor, xy: Tensor) -> Tensor:
    """Values (B, N, C) of maps (B, C, h, w) at xy (B, N, 2) in [-1, 1], bilinear, repeated beyond the border."""
    with torch.autocast(xy.device.type, enabled=False):
        seen = F.grid_sample(
            local.float(), xy.float()[:, :, None], mode="bilinear", padding_mode="border", align_corners=False
        )
    return seen[..., 0].transpose(1, 2)


class Refiner(nn.Module):
    """Corrections of landmarks from what the maps show at their places; the same weights in each step.

    `deeper`: with one residual layer more.
    """

    def __init__(self, width: int, hidden: int, inner: int = 128, deeper: bool = False) -> None:
        super().__init__()
        self.from_map = nn.Linear(width, inner)
        self.from_fine = nn.Linear(width // 2, inner, bias=False)
        self.from_query = nn.Linear(hidden, inner, bias=False)
        self.second = nn.Linear(inner, inner)
        self.wide = nn.Linear(inner, inner) if deeper else None
        self.back = nn.Linear(inner, inner) if deeper else None
        if self.back is not None:
            begins_with_nothing(self.back)
        self.last = nn.Linear(inner, 3)
        with torch.no_grad():
            self.last.weight.mul_(0.1)  # begins with almost no correction
            self.last.bias.zero_()

    def prepare(self, hidden: Tensor) -> Tensor:
        """The predictor's last hidden values (B, N, H) -> their part of the first layer, the same in all steps."""
        return self.from_query(hidden)

    def forward(self, local: list[Tensor], prepared: Tensor, xy: Tensor, log_sigma: Tensor) -> tuple[Tensor, Tensor]:
        """Maps (B, C, h, w), `prepare`'s (B, N, inner), xy (B, N, 2) in [-1, 1], log sigma (B, N) -> both corrected."""
        # while training the place is given: a landmark shall not walk to where the map is easier to read
        place = xy.detach() if self.training else xy
        coarse, fine = (sampled(each, place) for each in local)
        x = F.gelu(self.from_map(coarse) + self.from_fine(fine) + prepared)
        x = F.gelu(self.second(x))
        if self.wide is not None and self.back is not None:
            x = x + self.back(F.gelu(self.wide(x)))
        with torch.autocast(xy.device.type, enabled=False):
            step = self.last(x.float())
        return xy + REACH * step[..., :2], log_sigma + step[..., 2]
