"""The face finder: a small multi-scale heat-map network for four points of every face in a picture.

It gives the four points that normalise a face crop (CLD, section 3.1): right eye, left eye, right and left mouth corner
of the subject. A centre heat-map for each octave of face size with offsets to the points, after Zhou, Wang, Krähenbühl,
"Objects as Points", 2019; the maps are joined top-down as in Lin et al., "Feature Pyramid Networks", CVPR 2017.
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from facequery.models.encoders import make_encoder

POINTS = 4
CENTRE_DOWN = 0.40  # the face's centre lies this far from the eyes towards the mouth, as in crop_from_points
EYES_TO_MOUTH = 0.95  # the face's size is max(eyes to mouth, 0.95 eye distance), likewise
BOX_HALF = 1.45  # half the side of the square box of a face over its size


@dataclass(frozen=True)
class FinderConfig:
    """What a FinderNet is made of. Stored in the card of its weights."""

    encoder: str = "mobilenet_v2"
    levels: int = 3  # strides 8, 16, 32: an octave of face sizes each
    width: int = 64  # channels of the pyramid
    input_side: int = 384  # the picture's longer side is brought to this many pixels before the search

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class FoundFaces:
    """Faces of one picture, best first: points (k, 4, 2) pixels of the network's input, scores (k,) in [0, 1], boxes
    (k, 4) left, top, width, height."""

    points: NDArray[np.float64]
    scores: NDArray[np.float64]
    boxes: NDArray[np.float64]


class FinderNet(nn.Module):
    """Pictures (B, 3, H, W) in [-1, 1], H and W multiples of 32 -> for every level `(logits (B, h, w), points (B, 4, 2,
    h, w))`: how sure a face centre is in the cell, and the four points in pixels of the input.
    """

    def __init__(self, config: FinderConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or FinderConfig()
        self.encoder = make_encoder(config.encoder)
        channels = self.encoder.channels[-config.levels :]
        self.strides = self.encoder.strides[-config.levels :]
        self.lateral = nn.ModuleList(nn.Conv2d(c, config.width, 1) for c in channels)
        self.smooth = nn.ModuleList(nn.Conv2d(config.width, config.width, 3, padding=1) for _ in channels)
        # the octaves share their head: a face of twice the size looks the same one level up
        self.inner = nn.Conv2d(config.width, config.width, 3, padding=1)
        self.outer = nn.Conv2d(config.width, 1 + 2 * POINTS, 1)
        with torch.no_grad():
            assert self.outer.bias is not None
            self.outer.bias[0] = -4.0  # nearly all cells hold no face
            self.outer.weight[1:].mul_(0.1)
            # eyes above, mouth below the centre, in units of the level's size
            start = [[-0.5, -0.4], [0.5, -0.4], [-0.35, 0.6], [0.35, 0.6]]
            self.outer.bias[1:] = torch.tensor(start).flatten()

    def forward(self, images: Tensor) -> list[tuple[Tensor, Tensor]]:
        if images.shape[-1] % 32 or images.shape[-2] % 32:
            raise ValueError(f"height and width must be multiples of 32, not {tuple(images.shape[-2:])}")
        maps = self.encoder(images)[-len(self.lateral) :]
        joined: list[Tensor] = []
        above: Tensor | None = None
        for lateral, smooth, x in reversed(list(zip(self.lateral, self.smooth, maps, strict=True))):
            y = lateral(x)
            if above is not None:
                y = y + F.interpolate(above, scale_factor=2.0, mode="nearest")
            above = y
            joined.append(F.gelu(smooth(y)))
        outputs = []
        for x, stride in zip(reversed(joined), self.strides, strict=True):
            out = self.outer(F.gelu(self.inner(x))).float()
            batch, _, h, w = out.shape
            offsets = out[:, 1:].reshape(batch, POINTS, 2, h, w) * level_size(stride)
            outputs.append((out[:, 0], offsets + cell_centres(h, w, stride, out.device)))
        return outputs

    @staticmethod
    def decode(
        outputs: list[tuple[Tensor, Tensor]], threshold: float = 0.4, most: int = 20, apart: float = 0.9
    ) -> list[FoundFaces]:
        """Faces of every picture of a batch, from the outputs of `forward`.

        Cells that are the largest of their 3x3 neighbours and above `threshold` are faces; of two whose centres are
        closer than `apart` of the larger one's size the surer stays. At most `most` faces a picture.
        """
        per_picture: list[list[tuple[NDArray, NDArray]]] = [[] for _ in range(outputs[0][0].shape[0])]
        for logits, points in outputs:
            scores = torch.sigmoid(logits.detach().float())
            peak = F.max_pool2d(scores[:, None], 3, 1, 1)[:, 0] == scores
            chosen = peak & (scores >= threshold)
            for b, found in enumerate(per_picture):
                where = chosen[b].nonzero()
                if len(where):
                    at = points[b].detach().permute(2, 3, 0, 1)[where[:, 0], where[:, 1]]
                    found.append(
                        (at.double().cpu().numpy(), scores[b][where[:, 0], where[:, 1]].double().cpu().numpy())
                    )
        return [_suppress(found, most, apart) for found in per_picture]


def level_size(stride: int) -> float:
    """Face size (pixels, eyes to mouth) in the middle of the octave that the level of this stride looks for."""
    return 1.4 * stride


def cell_centres(h: int, w: int, stride: int, device: torch.device | str = "cpu") -> Tensor:
    """(2, h, w) x and y of the cells' centres in pixels of the input."""
    y, x = torch.meshgrid(
        (torch.arange(h, device=device) + 0.5) * stride, (torch.arange(w, device=device) + 0.5) * stride, indexing="ij"
    )
    return torch.stack([x, y])


def face_sizes(points: NDArray) -> tuple[NDArray, NDArray]:
    """Centres (..., 2) and sizes (...) of faces with four points (..., 4, 2), as crop_from_points has them."""
    eyes, mouth = points[..., :2, :].mean(-2), points[..., 2:, :].mean(-2)
    length = np.linalg.norm(mouth - eyes, axis=-1)
    across = np.linalg.norm(points[..., 1, :] - points[..., 0, :], axis=-1)
    return eyes + CENTRE_DOWN * (mouth - eyes), np.maximum(length, EYES_TO_MOUTH * across)


def _suppress(found: list[tuple[NDArray, NDArray]], most: int, apart: float) -> FoundFaces:
    if not found:
        return FoundFaces(np.zeros((0, POINTS, 2)), np.zeros(0), np.zeros((0, 4)))
    points = np.concatenate([p for p, _ in found])
    scores = np.concatenate([s for _, s in found])
    order = np.argsort(-scores)
    points, scores = points[order], scores[order]
    centres, sizes = face_sizes(points)
    kept: list[int] = []
    for i in range(len(points)):
        if all(np.linalg.norm(centres[i] - centres[k]) > apart * max(sizes[i], sizes[k]) for k in kept):
            kept.append(i)
        if len(kept) == most:
            break
    points, scores, centres, sizes = points[kept], scores[kept], centres[kept], sizes[kept]
    half = BOX_HALF * sizes[:, None]
    return FoundFaces(points, scores, np.concatenate([centres - half, 2 * half, 2 * half], 1))
