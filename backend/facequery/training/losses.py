"""Losses on landmarks and their confidence. Residuals are in pixels of the crop unless said otherwise."""

import math

import torch
from torch import Tensor

from facequery.training.configs import LossConfig


def wing(residual: Tensor, width: float = 10.0, curvature: float = 2.0) -> Tensor:
    """Wing loss of every residual (any shape, pixels).

    width * ln(1 + |r| / curvature) for |r| < width, |r| - C beyond it, continuous at the joint.
    Feng, Kittler, Awais, Huber, Wu, "Wing Loss for Robust Facial Landmark Localisation", CVPR 2018, equation 5.
    """
    size = residual.abs()
    inner = width * torch.log1p(size / curvature)
    joint = width - width * math.log1p(width / curvature)
    return torch.where(size < width, inner, size - joint)


def hybrid(residual: Tensor) -> Tensor:
    """1.5 Wing(15, 3) + 0.5 squared error: Basak et al. 2023, section 3.4."""
    return 1.5 * wing(residual, 15.0, 3.0) + 0.5 * residual.square()


def gaussian_likelihood(residual: Tensor, log_sigma: Tensor) -> Tensor:
    """Negative log-likelihood of residuals (..., 2) under an isotropic Gaussian, log_sigma (...): CLD, equation 3.

    sum over the axes of r^2 / (2 sigma^2) + ln sigma, without the constant; sigma in the unit of the residual.
    """
    return 0.5 * residual.square().sum(-1) * torch.exp(-2 * log_sigma) + 2 * log_sigma


def leaning_of(offset: Tensor, points: Tensor) -> Tensor:
    """How far offsets (B, N, 3) turn and shear points (B, N, 3) as a whole: (B, 3, 3), zero on the diagonal.

    The affine map that comes nearest to the offsets, without its growth along the axes. A turn by a small angle
    (radians) shows twice, with both signs; a shear, which looks the same from one side, once.
    """
    arm = points - points.mean(1, keepdim=True)
    offset = offset - offset.mean(1, keepdim=True)
    spread = (arm[..., None] * arm[..., None, :]).sum(1)
    # points in one plane, or fewer than four, are no singular matrix
    spread = spread + 1e-4 * arm.square().sum((1, 2)).clamp(min=1e-6)[:, None, None] * torch.eye(3, device=arm.device)
    affine = torch.linalg.solve(spread, (arm[..., None] * offset[..., None, :]).sum(1))
    return affine.transpose(1, 2) * (1 - torch.eye(3, device=arm.device))


def temporal_loss(residual: Tensor, weight: Tensor, clip: Tensor) -> Tensor:
    """How much the residual changes from frame to frame: mean length of its change, in its unit.

    `residual` (B, N, 2) and `weight` (B, N) of examples of which those with the same `clip` (B,), if not negative, are
    frames that follow each other with the same queries. An error that stays costs nothing: only jitter does. Zero
    where there is no clip.
    """
    follows = (clip[1:] == clip[:-1]) & (clip[1:] >= 0)
    both = torch.minimum(weight[1:], weight[:-1]) * follows[:, None]
    # the root of a square has no gradient at zero, where a perfect network stands
    change = (residual[1:] - residual[:-1]).square().sum(-1).add(1e-4).sqrt() - 1e-2
    return (change * both).sum() / both.sum().clamp(min=1e-6)


def landmark_loss(
    xy: Tensor, log_sigma: Tensor, target: Tensor, weight: Tensor, size: int, config: LossConfig,
    unit: Tensor | None = None, clip: Tensor | None = None,
) -> tuple[Tensor, dict[str, Tensor]]:  # fmt: skip
    """Loss of predictions `xy`, `target` (B, N, 2) and `log_sigma` (B, N) in picture units, with `weight` (B, N).

    Residuals count in pixels of a normalised crop of `size` pixels: `unit` (B,) is the crop's half side over the
    picture's (default 1), so that small faces in large pictures weigh as much as others. `clip` (B,) marks frames of
    clips (default: none). Returns the loss and its parts (detached) for the curves: `error`, the mean distance in
    pixels, `mean`, `sigma`, and `change` where there are clips.
    """
    scale = size / 2 if unit is None else (size / 2 / unit)[:, None]
    residual = (xy - target) * (scale if isinstance(scale, float) else scale[..., None])
    total = weight.sum().clamp(min=1e-6)

    def average(values: Tensor) -> Tensor:
        return (values * weight).sum() / total

    log_pixels = log_sigma + torch.as_tensor(scale, device=xy.device).log()
    if config.kind == "joint":
        mean = torch.zeros((), device=xy.device)
        sigma = average(gaussian_likelihood(residual, log_pixels))
        loss = sigma
    else:
        if config.kind == "wing":
            mean = average(wing(residual, config.wing_width, config.wing_curvature).sum(-1))
        elif config.kind == "l2":
            mean = average(residual.square().sum(-1))
        elif config.kind == "hybrid":
            mean = average(hybrid(residual).sum(-1))
        else:
            raise ValueError(f'loss "{config.kind}" is none of wing, l2, hybrid, joint')
        # sigma must not buy itself a lower likelihood by letting the error grow
        sigma = average(gaussian_likelihood(residual.detach(), log_pixels))
        loss = mean + config.sigma_weight * sigma
    parts = {"error": average(residual.detach().norm(dim=-1)), "mean": mean.detach(), "sigma": sigma.detach()}
    if clip is not None and config.temporal_weight:
        change = temporal_loss(residual, weight, clip)
        loss = loss + config.temporal_weight * change
        parts["change"] = change.detach()
    return loss, parts
