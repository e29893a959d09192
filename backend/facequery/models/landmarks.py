"""The continuous landmark detector: image encoder, position encoder, queried landmark predictor; and, as switches, the
spatial transformer, the canonical-3D head and local refinement.

CLD: Chandran, Zoss, Gotardo, Bradley, "Continuous Landmark Detection with 3D Queries", CVPR 2023, section 3.
Inf3D: the same authors, "Infinite 3D Landmarks", Computer Graphics Forum 2024, sections 3.2 and 3.3.
"""

import math
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from facequery.errors import UserError
from facequery.models.canonical import CameraHead, HeadCamera, Lifted
from facequery.models.encoders import DescriptorHead, make_encoder
from facequery.models.predictors import MLPPredictor, PositionEncoder, TransformerPredictor
from facequery.models.refine import LocalMaps, Refiner
from facequery.models.second_look import SecondLook
from facequery.models.spatial_transformer import SIMILARITY, Localiser, carry_back, resample

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
    refine: int = 0  # how often landmarks look again at the picture where they are (`refine`); 0: never
    local: int = 64  # channels of the coarser of the maps that they look at
    blocks: int = 0  # residual blocks on that map, with a deeper network that reads it; 0: neither
    anchors: int = 0  # points at whose first places the descriptor is read again (`second_look`); needs `refine`

    @property
    def picture(self) -> int:
        """Side of the square pictures that the network takes, pixels."""
        return self.region if self.spatial else self.input_size

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


class Seen(NamedTuple):
    """What an encoder saw in B pictures."""

    descriptor: Tensor  # (B, d)
    before: Tensor | None  # (B, d) before the second look
    local: list[Tensor] | None  # the maps (B, C, h, w) that local refinement samples, float32
    similarity: Tensor | None  # (B, 4), the crop that the spatial transformer found


class LandmarkNet(nn.Module):
    """Pictures of faces and 3D queries -> 2D landmarks with confidence.

    `forward(images (B, 3, S, S) in [-1, 1], queries (B, N, 3) or (N, 3) in network units)` gives `xy` (B, N, 2) in the
    picture's [-1, 1] coordinates and `log_sigma` (B, N), the logarithm of the standard deviation per axis in the same
    unit. `encode` once and `decode` as often as wanted, with any number of queries.

    A picture is a normalised crop of side `input_size`, or, with the spatial transformer, a region of side `region`
    with the face anywhere in it. What `encode` gives is one row of numbers a picture: the d of the descriptor, with a
    second look the d that it had before, with local refinement those of its maps, and with the spatial transformer the
    four of the crop that was found.
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
        self.local = self.refiner = None
        if config.refine:
            maps = list(self.encoder.channels), list(self.encoder.strides)
            self.local = LocalMaps(*maps, config.input_size, config.local, config.blocks)
            self.refiner = Refiner(config.local, config.hidden, deeper=config.blocks > 0)
        self.second_look = None
        if config.anchors:
            if not config.refine:
                raise UserError("A second look needs local refinement.", "Set refine to 1 or more.", "FQ426")
            seen = config.local + config.local // 2
            self.second_look = SecondLook(config.anchors, config.query_dims, seen, config.descriptor)

    def encode(self, images: Tensor) -> Tensor:
        """Pictures (B, 3, S, S), RGB in [-1, 1] -> descriptors (B, D): see the class."""
        size = self.config.picture
        if images.ndim != 4 or tuple(images.shape[1:]) != (3, size, size):
            raise ValueError(f"images must be (B, 3, {size}, {size}), not {tuple(images.shape)}")
        return self._packed(self.see(images))

    def see(self, images: Tensor) -> "Seen":
        """As `encode`, with the parts of a row as they are: in training, rows would cost a tenth of the time."""
        similarity = None if self.localiser is None else self.localiser(images)
        if similarity is not None:
            images = resample(images, similarity, self.config.input_size)
            images = images.contiguous(memory_format=torch.channels_last)
        maps = self.encoder(images)
        descriptor, before, local = self.descriptor(maps), None, None
        if self.local is not None:
            local = [each.float() for each in self.local(maps)]  # once, and not in each of the samplings
            if self.second_look is not None:
                descriptor, before = self._look_again(descriptor, local), descriptor
        return Seen(descriptor, before, local, similarity)

    def _packed(self, seen: "Seen") -> Tensor:
        parts = [seen.descriptor]
        if seen.before is not None:
            parts.append(seen.before)
        if seen.local is not None and self.local is not None:
            parts += self.local.packed(seen.local)
        if seen.similarity is not None:
            parts.append(seen.similarity)
        return torch.cat([part.float() for part in parts], 1) if len(parts) > 1 else parts[0]

    def _unpacked(self, row: Tensor) -> "Seen":
        sizes = [self.config.descriptor]
        sizes += sizes if self.second_look is not None else []
        before = row[:, sizes[0] : sum(sizes)] if self.second_look is not None else None
        local = None
        if self.local is not None:
            first = sum(sizes)
            local = self.local.unpacked(row[:, first : first + sum(self.local.numbers)])
        return Seen(row[:, : sizes[0]], before, local, self.crop(row))

    def _look_again(self, descriptor: Tensor, local: list[Tensor]) -> Tensor:
        """The descriptor (B, d) after the second look."""
        assert self.second_look is not None
        with torch.no_grad():  # places are given: anchors shall not walk to where the maps are easier to read
            prepared = self.predictor.prepare(descriptor)
            camera = self.camera(descriptor) if self.camera is not None else None
            answers, _ = self._decode_part(
                prepared, camera, local, self.second_look.anchors[None], self.second_look.codes
            )
        return self.second_look(local, descriptor, answers[0][0], answers[-1][0])

    def before_second_look(self, seen: "Seen", queries: Tensor) -> tuple[Tensor, Tensor] | None:
        """As `decode` from the descriptor as it was before the second look, without local refinement, for training;
        None where there is no second look."""
        if seen.before is None:
            return None
        camera = self.camera(seen.before) if self.camera is not None else None
        answers, _ = self._decode_part(self.predictor.prepare(seen.before), camera, None, queries)
        return answers[0] if seen.similarity is None else carry_back(seen.similarity, *answers[0])

    def decode(self, descriptor: Tensor, queries: Tensor, chunk: int = 8192) -> tuple[Tensor, Tensor]:
        """Descriptors (B, d) and queries (B, N, 3) or (N, 3) -> xy (B, N, 2), log_sigma (B, N).

        Queries are taken in chunks of `chunk` (at most 512 for the transformer, which attends within a chunk), so that
        memory stays bounded for any N. What depends on the descriptor alone is computed once.
        """
        return self.answers(descriptor, queries, chunk)[0][-1]

    def lift(self, descriptor: Tensor, queries: Tensor, chunk: int = 8192) -> tuple[Tensor, Tensor, Lifted]:
        """As `decode`, with the landmarks in 3D. The camera is that of the crop, which with the spatial transformer is
        not the picture's. Raises ValueError unless the network's `space` is "3d"."""
        answers, lifted = self.answers(descriptor, queries, chunk)
        if lifted is None:
            raise ValueError('the network predicts 2D landmarks only: its space is not "3d"')
        return *answers[-1], lifted

    def crop(self, descriptor: Tensor) -> Tensor | None:
        """The similarities (B, 4) that the spatial transformer chose (see `spatial_transformer`); None without one."""
        return descriptor[:, -SIMILARITY:] if self.localiser is not None else None

    def answers(
        self, descriptor: "Tensor | Seen", queries: Tensor, chunk: int = 8192
    ) -> tuple[list[tuple[Tensor, Tensor]], Lifted | None]:
        """As `decode`, from what `encode` or `see` gave, with the answers before each step of local refinement
        (first, ..., last), which training needs, and the landmarks in 3D if the network's `space` is "3d"."""
        if queries.ndim == 2:
            queries = queries[None]
        seen = descriptor if isinstance(descriptor, Seen) else self._unpacked(descriptor)
        features, _, local, similarity = seen
        if queries.shape[-1] != self.config.query_dims or queries.shape[0] not in (1, features.shape[0]):
            raise ValueError(f"queries {tuple(queries.shape)} do not fit descriptors {tuple(features.shape)}")
        if self.predictor.attends:
            chunk = min(chunk, self.attention_chunk)
        prepared = self.predictor.prepare(features)
        camera = self.camera(features) if self.camera is not None else None
        pieces = [self._decode_part(prepared, camera, local, part) for part in queries.split(chunk, 1)]
        answers = [
            (torch.cat([xy for xy, _ in step], 1), torch.cat([log_sigma for _, log_sigma in step], 1))
            for step in zip(*(found for found, _ in pieces), strict=True)
        ]
        if similarity is not None:
            answers = [carry_back(similarity, *answer) for answer in answers]
        lifted = None
        if camera is not None:
            parts = zip(*(part for _, part in pieces if part is not None), strict=True)
            canonical, offset, points = (torch.cat(part, 1) for part in parts)
            lifted = Lifted(canonical, offset, points, camera)
        return answers, lifted

    def _decode_part(
        self,
        prepared: Tensor,
        camera: HeadCamera | None,
        local: list[Tensor] | None,
        queries: Tensor,
        codes: Tensor | None = None,
    ) -> tuple[list[tuple[Tensor, Tensor]], tuple[Tensor, Tensor, Tensor] | None]:
        """The answers of a chunk of queries, first to last, and with the 3D head canonical points, their offsets from
        the queries and camera-space points. `codes` are those of the queries, where they are known."""
        out, hidden = self.predictor(prepared, self.position(queries) if codes is None else codes)
        xy, log_sigma = out[..., :2], out[..., -1].sub(3.0)
        lifted = None
        if camera is not None:
            offset = out[..., :3]
            # a UV query has no place in space: the whole of the position is then predicted
            canonical = queries + offset if self.config.query_dims == 3 else offset
            points = camera.to_camera(canonical)
            xy, lifted = camera.project(points), (canonical, offset, points)
        answers = [(xy, log_sigma)]
        if local is not None and self.refiner is not None:
            known = self.refiner.prepare(hidden)
            for _ in range(self.config.refine):
                answers.append(self.refiner(local, known, *answers[-1]))
        return [(xy, log_sigma.clamp(MIN_LOG_SIGMA, MAX_LOG_SIGMA)) for xy, log_sigma in answers], lifted

    def forward(self, images: Tensor, queries: Tensor) -> tuple[Tensor, Tensor]:
        return self.decode(self.encode(images), queries)


def images_to_input(images: Tensor) -> Tensor:
    """uint8 crops (B, S, S, 3), RGB -> float (B, 3, S, S) in [-1, 1], channels last in memory."""
    return images.permute(0, 3, 1, 2).float().mul_(1 / 127.5).sub_(1.0)
