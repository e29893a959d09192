"""Whether sigma means what it says, and a map that mends it."""

import numpy as np
from numpy.typing import NDArray

from facequery.evaluation.errors import spearman
from facequery.evaluation.predict import Prediction


def sigma_figures(prediction: Prediction, ocular: NDArray) -> dict[str, float]:
    """How far sigma can be trusted, over faces of inter-ocular distance `ocular` (n,).

    Shares (percent) of |dx|, |dy| inside 1 and 2 sigma (a Gaussian has 68.3 and 95.4); the mean negative logarithm of
    the likelihood of an axis' residual, both over the inter-ocular distance; and Spearman's rank correlation of error
    and sigma, both over the inter-ocular distance, per landmark across faces, averaged. Empty for under three faces.
    """
    seen = ~prediction.missed
    if seen.sum() < 3:
        return {}
    size = ocular[seen, None]
    residual = np.abs(prediction.xy - prediction.truth)[seen] / size[..., None]
    sigma = prediction.sigma[seen] / size
    error = np.linalg.norm(residual, axis=-1)
    return {
        **inside(residual, sigma),
        "nll": round(negative_log_likelihood(residual, sigma), 3),
        "sigma_rank": mean_rank(error, sigma),
    }


def mean_rank(error: NDArray, guess: NDArray) -> float:
    """Spearman's rank correlation across faces of errors (n, N) and a guess of them (n, N), averaged over landmarks."""
    return round(float(np.mean([spearman(error[:, k], guess[:, k]) for k in range(error.shape[1])])), 3)


def inside(residual: NDArray, sigma: NDArray) -> dict[str, float]:
    """Shares, in percent, of residuals |dx|, |dy| (..., 2) inside 1 and 2 sigma (...)."""
    return {
        f"inside_{k}_sigma": round(100 * float((np.abs(residual) < k * sigma[..., None]).mean()), 1) for k in (1, 2)
    }


def negative_log_likelihood(residual: NDArray, sigma: NDArray) -> float:
    """Mean of -log N(residual; 0, sigma^2) over the axes of residuals (..., 2) with sigma (...), in the same unit."""
    spread = sigma[..., None]
    return float((0.5 * (residual / spread) ** 2 + np.log(spread) + 0.5 * np.log(2 * np.pi)).mean())


def fit_sigma_map(residual: NDArray, sigma: NDArray) -> tuple[float, float]:
    """Scale a and power b, so that a * sigma ** b describes residuals (..., 2) best; sigma (...), crop units.

    The power is that of the greatest likelihood; then the scale is set so that 68.3 % of |dx|, |dy| are inside 1 sigma:
    the tails of the residuals are heavier than a Gaussian's, and likelihood alone would stretch sigma for their sake.
    """
    size, spread = np.abs(residual), sigma[..., None]
    powers = np.linspace(0.4, 2.5, 85)

    def cost(power: float) -> float:
        scale = np.sqrt((size**2 / spread ** (2 * power)).mean())
        return float(np.log(scale) + power * np.log(spread).mean())

    power = float(min(powers, key=cost))
    return float(np.quantile(size / spread**power, 0.683)), power
