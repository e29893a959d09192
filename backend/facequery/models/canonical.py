"""The canonical-3D output head: landmarks in canonical space, a head pose and a camera, and their projection.

Chandran, Zoss, Gotardo, Bradley, "Infinite 3D Landmarks", Computer Graphics Forum 2024, section 3.3. All lengths are in
network units (canonical metres times the head's scale); the camera looks along +z with y down (OpenCV). Supervised by
2D landmarks alone, absolute size and distance are known up to the head's own size.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

CAMERA = 10  # numbers that describe pose and camera
_NEAREST = 0.05  # network units: points this near to the camera's plane, or behind it, are held in front of it
_FIT = 0.9  # focal length over distance at which a face fills a crop (geometry.crops.crop_from_points)
_DISTANCE = 8.0  # network units: where heads are to begin with


@dataclass(frozen=True)
class HeadCamera:
    """rotation (B, 3, 3) and translation (B, 3), canonical -> camera space, network units; focal (B,) in half crops, so
    that crop coordinates are focal * X / Z."""

    rotation: Tensor
    translation: Tensor
    focal: Tensor

    def to_camera(self, points: Tensor) -> Tensor:
        """Canonical points (B, N, 3) -> camera space (B, N, 3)."""
        return points @ self.rotation.transpose(-1, -2) + self.translation[:, None]

    def project(self, points: Tensor) -> Tensor:
        """Camera-space points (B, N, 3) -> crop coordinates (B, N, 2)."""
        return self.focal[:, None, None] * points[..., :2] / points[..., 2:].clamp(min=_NEAREST)


@dataclass(frozen=True)
class Lifted:
    """Landmarks of B images and N queries in 3D: `canonical` (B, N, 3), `offset` (B, N, 3) from the query to it,
    `camera_space` (B, N, 3), all in network units, and the `camera`."""

    canonical: Tensor
    offset: Tensor
    camera_space: Tensor
    camera: HeadCamera


class CameraHead(nn.Module):
    """Descriptors (B, d) -> head pose and camera: rotation in 6D, place in the crop, size, distance."""

    def __init__(self, descriptor: int, hidden: int = 128) -> None:
        super().__init__()
        self.inner = nn.Linear(descriptor, hidden)
        self.outer = nn.Linear(hidden, CAMERA)
        with torch.no_grad():
            self.outer.weight.mul_(0.1)
            # a head that looks into the camera: canonical x, -y, -z are the camera's axes
            self.outer.bias.copy_(torch.tensor([1.0, 0, 0, 0, -1.0, 0, 0, 0, math.log(_FIT), math.log(_DISTANCE)]))

    def forward(self, descriptor: Tensor) -> HeadCamera:
        x = F.gelu(self.inner(descriptor))
        with torch.autocast(x.device.type, enabled=False):
            values = self.outer(x.float())
            rotation = rotation_from_6d(values[:, :6])
            # place and size in the crop are what landmarks show; the distance bends the perspective alone
            ratio, depth = values[:, 8].clamp(-3, 3).exp(), values[:, 9].clamp(0.5, 5).exp()
            translation = torch.cat([values[:, 6:8] / ratio[:, None], depth[:, None]], 1)
            return HeadCamera(rotation, translation, ratio * depth)


def rotation_from_6d(values: Tensor) -> Tensor:
    """Rotations (B, 3, 3) whose first two columns follow `values` (B, 6).

    Zhou, Barnes, Lu, Yang, Li, "On the Continuity of Rotation Representations in Neural Networks", CVPR 2019, 4.2.
    """
    x = F.normalize(values[:, :3], dim=-1)
    y = values[:, 3:]
    y = F.normalize(y - (x * y).sum(-1, keepdim=True) * x, dim=-1)
    return torch.stack([x, y, torch.linalg.cross(x, y)], -1)


def visible_by_depth(
    points: Tensor, camera: HeadCamera, shape: Tensor, triangles: Tensor, side: int = 96, tolerance: float = 0.03
) -> Tensor:
    """Which landmarks (B, N) the predicted shape itself does not hide, as probabilities.

    `points` (B, N, 3) and `shape` (B, V, 3), a surface with `triangles` (T, 3), in camera space, network units. The
    surface is rasterised at `side` pixels over the crop and somewhat beyond; a landmark that lies deeper than the
    surface by `tolerance` (3 mm) counts as half hidden. Inf3D, section 3.3 (visibility).
    """
    import numpy as np

    from facequery.geometry.rasterize import rasterize

    seen = torch.ones(points.shape[:2])
    faces = triangles.detach().cpu().numpy().astype(np.int32)
    reach = 1.5  # crop coordinates
    pixels = ((camera.project(shape) / reach + 1) * side / 2).detach().cpu().float().numpy()
    at = (((camera.project(points) / reach + 1) * side / 2).detach().cpu().floor()).long()
    for b in range(len(points)):
        depth = shape[b, :, 2].detach().cpu().float().numpy().clip(_NEAREST)
        surface = torch.from_numpy(rasterize(pixels[b], depth, faces, side, side)[1])
        inside = ((at[b] >= 0) & (at[b] < side)).all(-1)
        x, y = at[b].clamp(0, side - 1).unbind(-1)
        # the deepest of the neighbours: a pixel of a steep surface shows nearer parts of it
        around = F.max_pool2d(surface.nan_to_num(posinf=1e6)[None, None], 3, 1, 1)[0, 0]
        behind = points[b, :, 2].detach().cpu() - around[y, x]
        seen[b] = torch.where(inside, torch.sigmoid((tolerance - behind) / (0.3 * tolerance)), seen[b])
    return seen.to(points.device)
