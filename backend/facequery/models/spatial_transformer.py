"""The spatial transformer: it finds the face in a picture and resamples a normalised crop, without labels of its own.

Chandran, Zoss, Gotardo, Bradley, "Infinite 3D Landmarks", Computer Graphics Forum 2024, section 3.2, after Jaderberg,
Simonyan, Zisserman, Kavukcuoglu, "Spatial Transformer Networks", NIPS 2015. Its only teacher is the landmark loss:
landmarks are predicted in the crop and carried back to the picture through the inverse of the normalisation.

A similarity is four numbers (B, 4): half the crop's side over the picture's, turn (radians), centre x and y (in the
picture's [-1, 1]). It maps crop coordinates to picture coordinates.
"""

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from facequery.models.mobilenet_v2 import MobileNetV2

SIMILARITY = 4  # numbers of a similarity
SMALLEST, LARGEST = 0.02, 2.0  # half the crop's side over half the picture's
_LAST_BLOCK = 12  # of MobileNetV2: the end of stride 16


class Localiser(nn.Module):
    """Pictures (B, 3, R, R) in [-1, 1] -> similarities (B, 4), seen at 96 x 96 pixels.

    The cells of a map vote: each says where the crop's middle lies from itself, how large the crop is and which way it
    is turned, and how much its vote counts. So a face is read in the same way wherever it lies. `backbone`: a module
    with `channels` that gives a list of maps, of which the third is read; by default MobileNetV2 up to stride 16, which
    learns much faster from ImageNet weights than from random ones.
    """

    def __init__(self, side: int = 96, width: int = 96, backbone: Any = None) -> None:
        super().__init__()
        self.side = side
        self.backbone = backbone or MobileNetV2(_LAST_BLOCK)
        self.inner = nn.Conv2d(self.backbone.channels[2], width, 1)
        self.around = nn.Conv2d(width, width, 3, padding=1, groups=width)
        self.outer = nn.Conv2d(width, 6, 1)
        assert self.outer.bias is not None
        with torch.no_grad():
            # begins with the whole picture, upright; the direction is a vector, because angles have a seam
            self.outer.weight.mul_(0.1)
            self.outer.bias.copy_(torch.tensor([0.0, 0.0, 0.0, math.log(0.8), 1.0, 0.0]))

    def forward(self, images: Tensor) -> Tensor:
        small = images
        if images.shape[-1] != self.side:
            small = F.interpolate(images, (self.side, self.side), mode="bilinear", antialias=True, align_corners=False)
        x = F.gelu(self.inner(self.backbone(small.contiguous(memory_format=torch.channels_last))[2]))
        x = self.outer(F.gelu(x + self.around(x)))
        with torch.autocast(x.device.type, enabled=False):
            cells = (torch.arange(x.shape[-1], device=x.device) + 0.5) * (2 / x.shape[-1]) - 1
            vote, u, v, log_scale, c, s = x.float().unbind(1)
            says = torch.stack([u + cells, v + cells[:, None], log_scale, c, s], 1)
            share = vote.flatten(1).softmax(-1)[:, None]
            u, v, log_scale, c, s = (says.flatten(2) * share).sum(-1).unbind(-1)
            # a direction that is unsure is a short vector and makes the crop small: landmarks that are laid over the
            # face are then a linear function of (c, s), which is learned from any angle
            scale = (log_scale.clamp(-5, 1).exp() * (c.square() + s.square() + 1e-8).sqrt()).clamp(SMALLEST, LARGEST)
            return torch.stack([scale, torch.atan2(s, c), u, v], -1)


def matrices(similarity: Tensor) -> Tensor:
    """Similarities (B, 4) as matrices (B, 2, 3) from crop to picture coordinates."""
    scale, turn, u, v = similarity.unbind(-1)
    cos, sin = scale * turn.cos(), scale * turn.sin()
    return torch.stack([torch.stack([cos, -sin, u], -1), torch.stack([sin, cos, v], -1)], -2)


def resample(images: Tensor, similarity: Tensor, size: int) -> Tensor:
    """Crops (B, 3, size, size) of pictures (B, 3, R, R) by similarities (B, 4); the border's colour goes on outside.

    Four bilinear samples a pixel, so that a picture may be shrunk to half its resolution without aliasing.
    """
    grid = F.affine_grid(matrices(similarity), [len(images), 3, 2 * size, 2 * size], align_corners=False)
    fine = F.grid_sample(images.float(), grid, mode="bilinear", padding_mode="border", align_corners=False)
    return F.avg_pool2d(fine, 2)


def carry_back(similarity: Tensor, xy: Tensor, log_sigma: Tensor) -> tuple[Tensor, Tensor]:
    """Landmarks (B, N, 2) and log sigma (B, N) of crops -> the same in the pictures that the crops were taken from."""
    matrix = matrices(similarity)
    return (
        xy @ matrix[..., :2].transpose(-1, -2) + matrix[:, None, :, 2],
        # the likelihood of sigma shall not choose the crop: only where landmarks lie does
        log_sigma + similarity[:, :1].detach().log(),
    )
