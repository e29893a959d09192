"""Local refinement: each landmark looks at the picture again where the first answer put it, and corrects itself.

A descriptor says where things are in the whole picture; the last pixels lie in the feature maps around the landmark.
Maps of strides 4, 8 and 16 are joined in one of stride 8, each landmark samples it at its place, and a small network
that also knows the query gives the correction. The idea is that of cascaded regression (Dollar, Welinder, Perona,
"Cascaded Pose Regression", CVPR 2010), with learned features and for any query; the papers do not have it.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

STRIDE = 8  # of the map that landmarks sample
_USED = (4, 8, 16)  # strides of the encoder's maps that are joined in it
_REACH = 0.1  # what a correction of 1 means, crop units: 8 pixels of a 160-pixel crop


class LocalMap(nn.Module):
    """Maps of an encoder (finest first) -> one map (B, C, ceil(S / 8), ceil(S / 8)) for `Refiner`."""

    def __init__(self, channels: list[int], strides: list[int], size: int, width: int) -> None:
        super().__init__()
        self.width, self.side = width, math.ceil(size / STRIDE)
        self.places = [strides.index(stride) for stride in _USED]
        # the finer map comes in without losing what lies between the cells: 2 x 2 of them make one
        self.fine = nn.Conv2d(channels[self.places[0]], width, 2, 2)
        self.middle = nn.Conv2d(channels[self.places[1]], width, 1)
        self.coarse = nn.Conv2d(channels[self.places[2]], width, 1)
        self.around = nn.Conv2d(width, width, 3, padding=1, groups=width)
        self.mix = nn.Conv2d(width, width, 1)

    @property
    def numbers(self) -> int:
        """How many numbers the map has."""
        return self.width * self.side**2

    def forward(self, maps: list[Tensor]) -> Tensor:
        fine, middle, coarse = (maps[i] for i in self.places)
        fine = F.pad(fine, (0, fine.shape[-1] % 2, 0, fine.shape[-2] % 2))
        up = F.interpolate(self.coarse(coarse), middle.shape[-2:], mode="bilinear", align_corners=False)
        joined = F.gelu(self.fine(fine) + self.middle(middle) + up)
        return self.mix(F.gelu(joined + self.around(joined)))


class Refiner(nn.Module):
    """Corrections of landmarks from what the map shows at their places; the same weights in each step."""

    def __init__(self, width: int, hidden: int, inner: int = 128) -> None:
        super().__init__()
        self.from_map = nn.Linear(width, inner)
        self.from_query = nn.Linear(hidden, inner, bias=False)
        self.second = nn.Linear(inner, inner)
        self.last = nn.Linear(inner, 3)
        with torch.no_grad():
            self.last.weight.mul_(0.1)  # begins with almost no correction
            self.last.bias.zero_()

    def prepare(self, hidden: Tensor) -> Tensor:
        """The predictor's last hidden values (B, N, H) -> their part of the first layer, the same in all steps."""
        return self.from_query(hidden)

    def forward(self, local: Tensor, prepared: Tensor, xy: Tensor, log_sigma: Tensor) -> tuple[Tensor, Tensor]:
        """Map (B, C, h, w), `prepare`'s (B, N, inner), xy (B, N, 2) in [-1, 1], log sigma (B, N) -> both corrected."""
        # while training the place is given: a landmark shall not walk to where the map is easier to read
        place = xy.detach() if self.training else xy
        with torch.autocast(xy.device.type, enabled=False):
            seen = F.grid_sample(
                local.float(), place.float()[:, :, None], mode="bilinear", padding_mode="border", align_corners=False
            )[..., 0].transpose(1, 2)
        x = F.gelu(self.from_map(seen) + prepared)
        x = F.gelu(self.second(x))
        with torch.autocast(xy.device.type, enabled=False):
            step = self.last(x.float())
        return xy + _REACH * step[..., :2], log_sigma + step[..., 2]
