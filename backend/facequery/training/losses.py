"""Losses on landmarks and their confidence. Residuals are in pixels of the crop unless said otherwise."""

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
    joint = width - width * torch.log1p(torch.tensor(width / curvature))
    return torch.where(size < width, inner, size - joint)


def hybrid(residual: Tensor) -> Tensor:
    """1.5 Wing(15, 3) + 0.5 squared error: Basak et al. 2023, section 3.4."""
    return 1.5 * wing(residual, 15.0, 3.0) + 0.5 * residual.square()


def gaussian_likelihood(residual: Tensor, log_sigma: Tensor) -> Tensor:
    """Negative log-likelihood of residuals (..., 2) under an isotropic Gaussian, log_sigma (...): CLD, equation 3.

    sum over the axes of r^2 / (2 sigma^2) + ln sigma, without the constant; sigma in the unit of the residual.
    """
    return 0.5 * residual.square().sum(-1) * torch.exp(-2 * log_sigma) + 2 * log_sigma


def landmark_loss(
    xy: Tensor, log_sigma: Tensor, target: Tensor, weight: Tensor, size: int, config: LossConfig
) -> tuple[Tensor, dict[str, Tensor]]:
    """Loss of predictions `xy`, `target` (B, N, 2) and `log_sigma` (B, N) in crop units, with `weight` (B, N).

    Returns the loss and its parts (detached) for the curves: `error`, the mean distance in pixels of a crop with `size`
    pixels, `mean`, `sigma`.
    """
    scale = size / 2
    residual = (xy - target) * scale
    total = weight.sum().clamp(min=1e-6)

    def average(values: Tensor) -> Tensor:
        return (values * weight).sum() / total

    log_pixels = log_sigma + torch.log(torch.tensor(scale))
    if config.kind == "joint":
        mean = torch.zeros(())
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
    error = average(residual.detach().norm(dim=-1))
    return loss, {"error": error, "mean": mean.detach(), "sigma": sigma.detach()}
