"""How much landmarks are worth: what the model cannot follow, and how many of them are independent of each other."""

import numpy as np

from facequery.fitting.prepare import FEWEST_LANDMARKS
from facequery.fitting.problem import Problem
from facequery.fitting.state import State

FIRST_MODEL_ERROR = 0.0015  # metres, before anything is known
_NEIGHBOURHOOD = 150  # landmarks beyond which errors that neighbours share no longer average out
_DIFFERENT_FRAMES = 8  # frames beyond which the same holds over time


def model_error(problem: Problem, state: State) -> float:
    """Metres (per axis) by which landmarks miss beyond their sigma: what the model cannot follow. From medians."""
    gaps, depths = problem.gaps(state)
    excess = []
    for v, view in enumerate(problem.views):
        used = view.weight > 0.5
        if not used.any():
            used = view.weight > 0
        gap = (gaps[v] ** 2).sum(-1)[used] / (2.0 * np.log(2.0))  # its median is the variance per axis
        size = (np.maximum(depths[v], 0.05) / (view.fy[:, None] * state.focal[v]))[used]
        excess.append((gap - view.sigma[used] ** 2) * size**2)
    middle = float(np.median(np.concatenate(excess)))
    return float(np.sqrt(max(middle, 0.0)))


def agreement(problem: Problem, state: State) -> float:
    """How much better landmarks fit than their sigma says, as a ratio of variances between 0.02 and 1.

    A detector's sigma also holds what all its landmarks get wrong together. Where they agree with each other, an
    expression that they show together is believed more than that sigma alone would allow.
    """
    gaps, _ = problem.gaps(state)
    ratios = []
    for v, view in enumerate(problem.views):
        used = view.weight > 0.5
        if used.any():
            ratios.append(((gaps[v] ** 2).sum(-1) / view.sigma**2)[used])
    if not ratios:
        return 1.0
    return float(np.clip(np.median(np.concatenate(ratios)) / (2.0 * np.log(2.0)), 0.02, 1.0))


def set_statistics(problem: Problem, model_error: float, expression_weight: float = 1.0) -> None:
    """Set how landmarks weigh: model error, and how many of them and of the frames count as independent.

    The design effect of correlated errors: n values that share a part `rho` of their variance among m groups are worth
    1 / ((1 - rho) / n + rho / m) independent ones.
    """
    view = problem.views[0]
    used = view.weight > 0
    problem.model_error = model_error
    problem.expression_weight = expression_weight
    depth = np.median(view.fy) * model_error / 0.6 if not used.any() else None
    noise = float(np.median(view.sigma[used])) if used.any() else 1.0
    blur = depth if depth is not None else model_error * _pixels_per_metre(problem)
    share = float(np.clip(blur**2 / (blur**2 + noise**2), problem.settings.correlation, 0.9))
    count = max(float(used.sum(1).mean()), 1.0)
    # What sigma holds and the residuals do not, landmarks get wrong together.
    problem.common = max(share, 1.0 - expression_weight)
    problem.data_weight = min(1.0 / ((1.0 - share) / count + share / _NEIGHBOURHOOD) / count, 1.0)
    frames = float(problem.frames)
    worth = 1.0 / ((1.0 - share) / frames + share / _DIFFERENT_FRAMES)
    problem.identity_weight = max(frames / worth, 1.0)


def _pixels_per_metre(problem: Problem) -> float:
    """Median size of a metre at the face in the first view, from the spread of its landmarks against the mean head."""
    view = problem.views[0]
    points = problem.basis.places()
    sizes = []
    for f in range(0, problem.frames, max(problem.frames // 20, 1)):
        used = view.weight[f] > 0
        if used.sum() >= FEWEST_LANDMARKS:
            spread = np.sqrt((points[used] - points[used].mean(0)).var(0).sum() * 2 / 3)
            sizes.append(np.sqrt(view.xy[f, used].var(0).sum()) / max(spread, 1e-4))
    return float(np.median(sizes)) if sizes else 1000.0
