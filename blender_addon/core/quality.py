"""How good a job's results are, frame by frame: from its fit, or from its tracks where nothing was fitted."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._vendor.facequery_protocol.reading import load_json
from .job_results import JobFolder, error_scale


@dataclass(frozen=True, eq=False)
class Quality:
    """frames (F,) file numbers; error (F,) pixels, NaN where the face was not found; bad (F,) whether to look at it."""

    frames: NDArray[np.int64]
    error: NDArray[np.float64]
    bad: NDArray[np.bool_]

    def worst(self, count: int = 10) -> list[int]:
        """The frames to look at first, in their order in time: the bad ones, the largest errors before others."""
        order = np.lexsort((-np.nan_to_num(self.error, nan=np.inf), ~self.bad))[:count]
        chosen = order[self.bad[order]] if self.bad.any() else order[:3]
        return sorted(self.frames[chosen].tolist())


def quality_of(job: JobFolder) -> Quality:
    """The quality of a job with tracks. Raises AddonError when they cannot be read."""
    tracks = job.tracks()
    try:
        fit: Any = load_json(job.folder / "fit.json")
        frames = np.array(fit["frames"], np.int64)
        error = np.array([np.nan if v is None else v for v in fit["reprojection"]], np.float64)
        bad = np.array([status != "good" for status in fit["status"]])
        if frames.shape == error.shape == bad.shape:
            return Quality(frames, error, bad)
    except (OSError, ValueError, KeyError, TypeError, OverflowError):
        pass  # nothing was fitted
    found = np.isfinite(tracks.sigma).any(axis=1)
    error = np.full(len(tracks.frames), np.nan)
    error[found] = np.nanmedian(tracks.sigma[found], axis=1)
    return Quality(tracks.frames, error, ~found | (error > 0.5 * error_scale(tracks.xy)))
