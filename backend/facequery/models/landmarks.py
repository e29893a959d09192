"""The continuous landmark detector of CLD: image encoder, position encoder, queried landmark predictor.

Chandran, Zoss, Gotardo, Bradley, "Continuous Landmark Detection with 3D Queries", CVPR 2023, section 3.
"""

import math
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from facequery.errors import UserError
from facequery.models.encoders import DescriptorHead, make_encoder
from facequery.models.predictors import MLPPredictor, PositionEncoder, TransformerPredictor

MIN_LOG_SIGMA, MAX_LOG_SIGMA = math.log(1e-3), math.log(1.0)  # crop units: 0.08 to 80 pixels of a 160-pixel crop


@dataclass(frozen=True)
class LandmarkConfig:
    """What a LandmarkNet is made of. Stored in the card of its weights."""

    encoder: str = "mobilenet_v2"  # a name of facequery.models.encoders.ENCODERS
    input_size: int = 160  # side of the square crop, pixels
    head: str = "flatten"  # "flatten" keeps where things are, "pool" averages over the map
    levels: int = 2  # feature maps that the flattened head reads: 1 = stride 32 alone, 2 = strides 16 and 32
    reduced: int = 64  # channels that the coarsest map is reduced to before it is flattened
    descriptor: int = 768  # d of the paper
    code: int = 64  # B of the paper
    query_dims: int = 3  # 3: canonical position; 2: UV (CLD, section 3.2)
    predictor: str = "mlp"  # "mlp" or "transformer"
    hidden: int = 256  # width of the predictor

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


class LandmarkNet(nn.Module):
    """Face crops and 3D queries -> 2D landmarks with confidence.

    `forward(images (B, 3, S, S) in [-1, 1], queries (B, N, 3) or (N, 3) in network units)` gives `xy` (B, N, 2) in crop
    coordinates and `log_sigma` (B, N), the logarithm of the standard deviation per axis in crop coordinates.
    `encode` once and `decode` as often as wanted, with any number of queries.
    """

    attention_chunk = 512  # the transformer attends within chunks of this many queries

    def __init__(self, config: LandmarkConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or LandmarkConfig()
        self.encoder = make_encoder(config.encoder)
        self.descriptor = DescriptorHead(
            list(self.encoder.channels), list(self.encoder.strides), config.input_size, config.descriptor,
            config.head, config.levels, config.reduced,
        )  # fmt: skip
        self.position = PositionEncoder(config.query_dims, config.code)
        self.predictor: MLPPredictor | TransformerPredictor
        if config.predictor == "mlp":
            self.predictor = MLPPredictor(config.descriptor, config.code, config.hidden)
        elif config.predictor == "transformer":
            self.predictor = TransformerPredictor(config.descriptor, config.code, config.hidden)
        else:
            raise UserError(f'There is no predictor "{config.predictor}".', 'Use "mlp" or "transformer".', "FQ403")

    def encode(self, images: Tensor) -> Tensor:
        """Crops (B, 3, S, S), RGB in [-1, 1] -> descriptors (B, d)."""
        size = self.config.input_size
        if images.ndim != 4 or tuple(images.shape[1:]) != (3, size, size):
            raise ValueError(f"images must be (B, 3, {size}, {size}), not {tuple(images.shape)}")
        return self.descriptor(self.encoder(images))

    def decode(self, descriptor: Tensor, queries: Tensor, chunk: int = 8192) -> tuple[Tensor, Tensor]:
        """Descriptors (B, d) and queries (B, N, 3) or (N, 3) -> xy (B, N, 2), log_sigma (B, N).

        Queries are taken in chunks of `chunk` (at most 512 for the transformer, which attends within a chunk), so that
        memory stays bounded for any N.
        """
        if queries.ndim == 2:
            queries = queries[None]
        if queries.shape[-1] != self.config.query_dims or queries.shape[0] not in (1, descriptor.shape[0]):
            raise ValueError(f"queries {tuple(queries.shape)} do not fit descriptors {tuple(descriptor.shape)}")
        if self.predictor.attends:
            chunk = min(chunk, self.attention_chunk)
        pieces = [self.predictor(descriptor, self.position(part)) for part in queries.split(chunk, 1)]
        out = torch.cat(pieces, 1) if len(pieces) != 1 else pieces[0]
        return out[..., :2], out[..., 2].sub(3.0).clamp(MIN_LOG_SIGMA, MAX_LOG_SIGMA)

    def forward(self, images: Tensor, queries: Tensor) -> tuple[Tensor, Tensor]:
        return self.decode(self.encode(images), queries)


def images_to_input(images: Tensor) -> Tensor:
    """uint8 crops (B, S, S, 3), RGB -> float (B, 3, S, S) in [-1, 1], channels last in memory."""
    return images.permute(0, 3, 1, 2).float().mul_(1 / 127.5).sub_(1.0)
