"""How likely a landmark is to be seen, from its sigma and from the depth of the fitted head."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

HALF_SEEN = 0.11  # crop units: a landmark as uncertain as this is as likely hidden as seen
STEEPNESS = 4.0
DEPTH_TOLERANCE = 0.006  # metres behind the nearest surface at which a point is as likely hidden as seen
DEPTH_SOFTNESS = 0.0015


def visible_from_sigma(sigma: ArrayLike) -> NDArray[np.float32]:
    """Probability in [0, 1] that a landmark is seen, from its sigma in crop coordinates (any shape).

    1 / (1 + (sigma / 0.11)^4): a landmark that the network places within a few hundredths of the crop is there to be
    seen; one that it has to guess behind a hand, or round the far side of the head, is not. NaN gives 0.
    """
    ratio = np.asarray(sigma, dtype=np.float32) / HALF_SEEN
    return np.nan_to_num(1.0 / (1.0 + ratio**STEEPNESS), nan=0.0).astype(np.float32)


def visible_from_depth(depth: ArrayLike, surface: ArrayLike) -> NDArray[np.float32]:
    """Probability that points at `depth` are in front of, or on, the nearest `surface` at their pixel; metres.

    Both any shape. A surface that is infinitely far (nothing drawn there) hides nothing.
    """
    behind = np.asarray(depth, dtype=np.float64) - np.asarray(surface, dtype=np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        seen = 1.0 / (1.0 + np.exp((behind - DEPTH_TOLERANCE) / DEPTH_SOFTNESS))
    return np.nan_to_num(seen, nan=1.0).astype(np.float32)
