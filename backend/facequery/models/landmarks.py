"""The continuous landmark detector: image encoder, position encoder, queried landmark predictor; and, as switches, the
spatial transformer and the canonical-3D head.

CLD: Chandran, Zoss, Gotardo, Bradley, "Continuous Landmark Detection with 3D Queries", CVPR 2023, section 3.
Inf3D: the same authors, "Infinite 3D Landmarks", Computer Graphics Forum 2024, sections 3.2 and 3.3.
"""

import math
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from facequery.errors import UserError
from facequery.models.canonical import CameraHead, Lifted
from facequery.models.encoders import DescriptorHead, make_encoder
from facequery.models.predictors import MLPPredictor, PositionEncoder, TransformerPredictor
from facequery.models.spatial_transformer import Localiser, carry_back, resample

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
    space: str = "2d"  # what is predicted: "2d" landmarks, or "3d": canonical landmarks, head pose and camera (Inf3D)
    spatial: bool = False  # a spatial transformer finds the face in a larger picture (Inf3D)
    region: int = 256  # side of that picture, pixels; without the transformer the picture is the crop

    @property
    def picture(self) -> int:
        """Side of the square pictures that the network takes, pixels."""
        return self.region if self.spatial else self.input_size

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


class LandmarkNet(nn.Module):
    """Pictures of faces and 3D queries -> 2D landmarks with confidence.

    `forward(images (B, 3, S, S) in [-1, 1], queries (B, N, 3) or (N, 3) in network units)` gives `xy` (B, N, 2) in the
    picture's [-1, 1] coordinates and `log_sigma` (B, N), the logarithm of the standard deviation per axis in the same
    unit. `encode` once and `decode` as often as wanted, with any number of queries.

    A picture is a normalised crop of side `input_size`, or, with the spatial transformer, a region of side `region`
    with the face anywhere in it; then the descriptor carries the crop that was found in its last four numbers.
    """

    attention_chunk = 512  # the transformer attends within chunks of this many queries

    def __init__(self, config: LandmarkConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or LandmarkConfig()
        if config.space not in ("2d", "3d"):
            raise UserError(f'There is no output space "{config.space}".', 'Use "2d" or "3d".', "FQ407")
        self.encoder = make_encoder(config.encoder)
        self.descriptor = DescriptorHead(
            list(self.encoder.channels), list(self.encoder.strides), config.input_size, config.descriptor,
            config.head, config.levels, config.reduced,
        )  # fmt: skip
        self.position = PositionEncoder(config.query_dims, config.code)
        outputs = (3 if config.space == "3d" else 2) + 1  # a landmark, and the logarithm of sigma
        self.predictor: MLPPredictor | TransformerPredictor
        if config.predictor == "mlp":
            self.predictor = MLPPredictor(config.descriptor, config.code, config.hidden, outputs)
        elif config.predictor == "transformer":
            self.predictor = TransformerPredictor(config.descriptor, config.code, config.hidden, outputs)
        else:
            raise UserError(f'There is no predictor "{config.predictor}".', 'Use "mlp" or "transformer".', "FQ403")
        self.camera = CameraHead(config.descriptor) if config.space == "3d" else None
        self.localiser = Localiser() if config.spatial else None

    def encode(self, images: Tensor) -> Tensor:
        """Pictures (B, 3, S, S), RGB in [-1, 1] -> descriptors (B, d), or (B, d + 4) with the spatial transformer."""
        size = self.config.picture
        if images.ndim != 4 or tuple(images.shape[1:]) != (3, size, size):
            raise ValueError(f"images must be (B, 3, {size}, {size}), not {tuple(images.shape)}")
        if self.localiser is None:
            return self.descriptor(self.encoder(images))
        similarity = self.localiser(images)
        crops = resample(images, similarity, self.config.input_size)
        crops = crops.contiguous(memory_format=torch.channels_last)
        return torch.cat([self.descriptor(self.encoder(crops)).float(), similarity], 1)

    def decode(self, descriptor: Tensor, queries: Tensor, chunk: int = 8192) -> tuple[Tensor, Tensor]:
        """Descriptors (B, d) and queries (B, N, 3) or (N, 3) -> xy (B, N, 2), log_sigma (B, N).

        Queries are taken in chunks of `chunk` (at most 512 for the transformer, which attends within a chunk), so that
        memory stays bounded for any N. What depends on the descriptor alone is computed once.
        """
        xy, log_sigma, _ = self._decode(descriptor, queries, chunk)
        return xy, log_sigma

    def lift(self, descriptor: Tensor, queries: Tensor, chunk: int = 8192) -> tuple[Tensor, Tensor, Lifted]:
        """As `decode`, with the landmarks in 3D. The camera is that of the crop, which with the spatial transformer is
        not the picture's. Raises ValueError unless the network's `space` is "3d"."""
        xy, log_sigma, lifted = self._decode(descriptor, queries, chunk)
        if lifted is None:
            raise ValueError('the network predicts 2D landmarks only: its space is not "3d"')
        return xy, log_sigma, lifted

    def crop(self, descriptor: Tensor) -> Tensor | None:
        """The similarities (B, 4) that the spatial transformer chose (see `spatial_transformer`); None without one."""
        return descriptor[:, self.config.descriptor :] if self.localiser is not None else None

    def _decode(self, descriptor: Tensor, queries: Tensor, chunk: int) -> tuple[Tensor, Tensor, Lifted | None]:
        if queries.ndim == 2:
            queries = queries[None]
        if queries.shape[-1] != self.config.query_dims or queries.shape[0] not in (1, descriptor.shape[0]):
            raise ValueError(f"queries {tuple(queries.shape)} do not fit descriptors {tuple(descriptor.shape)}")
        similarity, features = self.crop(descriptor), descriptor[:, : self.config.descriptor]
        if self.predictor.attends:
            chunk = min(chunk, self.attention_chunk)
        prepared = self.predictor.prepare(features)
        pieces = [self.predictor(prepared, self.position(part)) for part in queries.split(chunk, 1)]
        out = torch.cat(pieces, 1) if len(pieces) != 1 else pieces[0]
        xy, log_sigma = out[..., :2], out[..., -1].sub(3.0).clamp(MIN_LOG_SIGMA, MAX_LOG_SIGMA)
        lifted = None
        if self.camera is not None:
            camera, offset = self.camera(features), out[..., :3]
            # a UV query has no place in space: the whole of the position is then predicted
            canonical = queries + offset if self.config.query_dims == 3 else offset
            points = camera.to_camera(canonical)
            xy, lifted = camera.project(points), Lifted(canonical, offset, points, camera)
        if similarity is not None:
            xy, log_sigma = carry_back(similarity, xy, log_sigma)
        return xy, log_sigma, lifted

    def forward(self, images: Tensor, queries: Tensor) -> tuple[Tensor, Tensor]:
        return self.decode(self.encode(images), queries)


def images_to_input(images: Tensor) -> Tensor:
    """uint8 crops (B, S, S, 3), RGB -> float (B, 3, S, S) in [-1, 1], channels last in memory."""
    return images.permute(0, 3, 1, 2).float().mul_(1 / 127.5).sub_(1.0)
