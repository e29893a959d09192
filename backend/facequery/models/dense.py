"""Dense520: direct regression of 520 landmarks in 3D from a crop.

Basak, Mangapuram, Costache, McDonnell, Schukat, "A lightweight 3D dense facial landmark estimation model from position
map data", 2023, section 3.3: a backbone, global average pooling, one linear layer with 1560 values.
"""

from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from facequery.errors import UserError
from facequery.models.encoders import ENCODERS, make_encoder

BACKBONES = ("mobilenet_v2", "resnet18", "resnet50")  # those of the paper; any other encoder works too
_POOLED = 1280  # MobileNetV2 ends with a 1x1 convolution to this width, as in its own paper


@dataclass(frozen=True)
class DenseConfig:
    """What a DenseRegressor is made of. Stored in the card of its weights."""

    encoder: str = "mobilenet_v2"  # a name of facequery.models.encoders.ENCODERS
    input_size: int = 256  # side of the square crop, pixels
    layout: str = "dense520"  # names and order of the landmarks
    points: int = 520  # of the layout

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


class DenseRegressor(nn.Module):
    """Crops (B, 3, S, S) in [-1, 1] -> landmarks (B, 520, 3): x and y in pixels of the crop, and z = (depth - depth of
    the head's origin) f / Z0 in the same pixels (weak perspective: the scale is that of x and y at the origin).
    """

    def __init__(self, config: DenseConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or DenseConfig()
        if config.encoder not in ENCODERS:
            raise UserError(f'There is no encoder "{config.encoder}".', f"Known: {', '.join(ENCODERS)}.", "FQ421")
        self.encoder = make_encoder(config.encoder)
        channels = self.encoder.channels[-1]
        self.widen: nn.Module = nn.Identity()
        if config.encoder == "mobilenet_v2":
            self.widen = nn.Sequential(nn.Conv2d(channels, _POOLED, 1), nn.ReLU6())
            channels = _POOLED
        self.last = nn.Linear(channels, 3 * config.points)
        # to begin with a face that fills the crop; the layer is set to the mean face by `start_at`
        nn.init.normal_(self.last.weight, std=0.01)
        nn.init.zeros_(self.last.bias)

    @torch.no_grad()
    def start_at(self, mean: Tensor) -> None:
        """Let the untrained network answer `mean` (points, 3), pixels: training is quicker from there."""
        self.last.bias.copy_(2 * mean.flatten() / self.config.input_size)

    def forward(self, images: Tensor) -> Tensor:
        size = self.config.input_size
        if images.ndim != 4 or tuple(images.shape[1:]) != (3, size, size):
            raise ValueError(f"images must be (B, 3, {size}, {size}), not {tuple(images.shape)}")
        x = self.widen(self.encoder(images)[-1]).mean((2, 3))
        with torch.autocast(x.device.type, enabled=False):
            # the layer works in half crops, so that learning rates suit it
            return self.last(x.float()).reshape(len(images), -1, 3) * (size / 2)
