"""The spatial transformer: it finds the face in a picture and resamples a normalised crop, without labels of its own.

Chandran, Zoss, Gotardo, Bradley, "Infinite 3D Landmarks", Computer Graphics Forum 2024, section 3.2, after Jaderberg,
Simonyan, Zisserman, Kavukcuoglu, "Spatial Transformer Networks", NIPS 2015. Its only teacher is the landmark loss:
landmarks are predicted in the crop and carried back to the picture through the inverse of the normalisation.

A similarity is four numbers (B, 4): half the crop's side over the picture's, turn (radians), centre x and y (in the
picture's [-1, 1]). It maps crop coordinates to picture coordinates.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

SIMILARITY = 4  # numbers of a similarity
SMALLEST, LARGEST = 0.1, 2.0  # half the crop's side over half the picture's
_WIDTHS = (24, 48, 96, 128)


class Localiser(nn.Module):
    """Pictures (B, 3, R, R) in [-1, 1] -> similarities (B, 4), seen at 64 x 64 pixels."""

    def __init__(self, side: int = 64, hidden: int = 128) -> None:
        super().__init__()
        self.side = side
        layers: list[nn.Module] = []
        inputs = 3
        for width in _WIDTHS:
            layers += [nn.Conv2d(inputs, width, 3, 2, 1), nn.GroupNorm(8, width), nn.GELU()]
            inputs = width
        self.layers = nn.Sequential(*layers)
        self.inner = nn.Linear(_WIDTHS[-1] * (side // 16) ** 2, hidden)
        self.outer = nn.Linear(hidden, 5)
        with torch.no_grad():
            # begins with the whole picture, upright; the direction is a vector, because angles have a seam
            self.outer.weight.mul_(0.1)
            self.outer.bias.copy_(torch.tensor([math.log(0.8), 1.0, 0.0, 0.0, 0.0]))

    def forward(self, images: Tensor) -> Tensor:
        small = images
        if images.shape[-1] != self.side:
            small = F.interpolate(images, (self.side, self.side), mode="bilinear", antialias=True, align_corners=False)
        x = F.gelu(self.inner(self.layers(small).flatten(1)))
        with torch.autocast(x.device.type, enabled=False):
            log_scale, c, s, u, v = self.outer(x.float()).unbind(-1)
            scale = log_scale.clamp(math.log(SMALLEST), math.log(LARGEST)).exp()
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
