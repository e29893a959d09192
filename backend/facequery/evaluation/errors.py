"""Errors of landmarks, in the forms that papers compare: over the eyes, over the box, by group, by pose."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

GROUPS_68 = {
    "contour": range(0, 17), "brows": range(17, 27), "nose": range(27, 36), "eyes": range(36, 48),
    "mouth": range(48, 68),
}  # fmt: skip
OUTER_EYE_CORNERS = {"ibug68": (36, 45), "frl189": (18, 27)}  # the subject's right, left: inter-ocular distance
NOT_SKIN_189 = range(134, 158)  # hair line and outer oval: no fixed points of the skin
YAW_BINS = ((0, 30), (30, 60), (60, 90))  # degrees, either side: the protocol of AFLW2000-3D


def core_points(layout: str, count: int) -> list[int]:
    """Numbers of a layout's points that are fixed points of the skin, of `count` in all."""
    skipped = NOT_SKIN_189 if layout == "frl189" else ()
    return [i for i in range(count) if i not in skipped]


def inter_ocular(points: NDArray, layout: str) -> NDArray[np.float64]:
    """(n,) distance of the outer eye corners of points (n, N, 2)."""
    first, second = OUTER_EYE_CORNERS[layout]
    return np.linalg.norm(points[:, first] - points[:, second], axis=-1)


def box_size(points: NDArray) -> NDArray[np.float64]:
    """(n,) sqrt(height * width) of the upright box that holds points (n, N, 2) tightly."""
    return np.sqrt(np.prod(points.max(1) - points.min(1), axis=-1))


def normalised_errors(predicted: NDArray, truth: NDArray, size: NDArray) -> NDArray[np.float64]:
    """Errors (n, N) of points (n, N, 2) over a length of the face (n,). A face that was missed (NaN) counts 1."""
    errors = np.linalg.norm(predicted - truth, axis=-1) / size[:, None]
    return np.where(np.isfinite(errors), errors, 1.0)


def area_under_curve(per_face: NDArray, limit: float = 0.10) -> float:
    """Area under the cumulative distribution of faces' errors (n,) from 0 to `limit`, as a fraction of the whole."""
    return float(np.clip(1 - per_face / limit, 0, 1).mean())


def summary(errors: NDArray[np.float64], layout: str) -> dict[str, float]:
    """Figures of errors (n, N): NME in percent over all points, over the core, and for ibug68 by group."""
    core = core_points(layout, errors.shape[1])
    figures = {"nme": 100 * errors.mean(), "nme_core": 100 * errors[:, core].mean()}
    if layout == "ibug68":
        per_face = errors.mean(1)
        figures |= {"nme68": 100 * per_face.mean(), "nme51": 100 * errors[:, 17:].mean()}
        figures |= {name: 100 * errors[:, list(group)].mean() for name, group in GROUPS_68.items()}
        figures |= {"fail10": 100 * float((per_face > 0.10).mean()), "auc10": 100 * area_under_curve(per_face)}
    return {name: round(float(value), 3) for name, value in figures.items()}


def by_yaw(per_face: NDArray, yaw: NDArray) -> dict[str, float]:
    """Mean of faces' box-normalised errors (n,), percent, in bins of |yaw| (n,) degrees, and the mean of the bins.

    The protocol of AFLW2000-3D (Dense520, section 4): errors over sqrt(h w) of the box. A bin without faces is left
    out, and then the mean of the bins too, for it would not be theirs.
    """
    figures = {}
    for low, high in YAW_BINS:
        chosen = (np.abs(yaw) >= low) & ((np.abs(yaw) < high) | (high == YAW_BINS[-1][1]))
        if chosen.any():
            figures[f"box_{low}_{high}"] = round(100 * float(per_face[chosen].mean()), 3)
    if len(figures) == len(YAW_BINS):
        figures["box_mean"] = round(float(np.mean(list(figures.values()))), 3)
    return figures


def ranks(values: Iterable[float]) -> NDArray[np.float64]:
    """Places (n,) of values in their order, from 0."""
    return np.argsort(np.argsort(np.asarray(list(values)))).astype(float)


def spearman(a: NDArray, b: NDArray) -> float:
    """Rank correlation of two arrays (n,)."""
    return float(np.corrcoef(ranks(a), ranks(b))[0, 1])
