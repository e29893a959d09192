"""Cumulative error curves: which share of the faces has less than an error."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from facequery.evaluation.errors import YAW_BINS

MOST = 0.10  # where the curves end


def plot_curves(path: Path, sets: dict[str, tuple[NDArray, NDArray | None]]) -> None:
    """Draw cumulative curves of box-normalised errors into an image file (PNG, SVG, PDF).

    `sets`: name -> errors (n,) as fractions of sqrt(h w) of the box, and yaw (n,) in degrees or None. One panel for
    all faces, and one for each bin of yaw that has any.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    panels = [("all faces", 0, 91)] + [(f"yaw {a} to {b} degrees", a, b + (b == 90)) for a, b in YAW_BINS]
    figure, axes = pyplot.subplots(1, len(panels), figsize=(3.6 * len(panels), 3.6), sharey=True, layout="constrained")
    for axis, (title, low, high) in zip(axes, panels, strict=True):
        for name, (errors, yaw) in sets.items():
            chosen = np.ones(len(errors), bool) if low == 0 and high == 91 else None
            if chosen is None:
                chosen = np.zeros(len(errors), bool) if yaw is None else (np.abs(yaw) >= low) & (np.abs(yaw) < high)
            if chosen.any():
                below = np.concatenate([[0.0], np.sort(errors[chosen])])
                mean = 100 * errors[chosen].mean()
                label = f"{name}: {mean:.2f} ({chosen.sum()})"
                axis.step(100 * below, 100 * np.linspace(0, 1, len(below)), where="post", label=label)
        axis.set(title=title, xlabel="error, % of sqrt(h w) of the box", xlim=(0, 100 * MOST), ylim=(0, 100))
        axis.grid(alpha=0.3)
        if axis.get_legend_handles_labels()[0]:
            axis.legend(title="set: mean (faces)", fontsize=8, loc="lower right")
    axes[0].set_ylabel("% of faces")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    pyplot.close(figure)
