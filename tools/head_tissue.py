"""How bones follow identity: through the skin over them, with a tissue depth that may vary from person to person."""

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

REACH = 0.013  # metres: width of the kernel through which a bone feels the skin
# Where tissue depth varies on its own: name, place (canonical metres, x mirrored), reach, standard deviation.
TISSUE_SITES = (
    ("forehead", (0.0, 0.045, 0.018), 0.035, 0.0010),
    ("nose", (0.0, 0.008, 0.02), 0.016, 0.0010),
    ("cheek", (0.050, -0.015, -0.014), 0.024, 0.0018),
    ("upper_lip", (0.0, -0.052, 0.024), 0.020, 0.0015),
    ("chin", (0.0, -0.102, 0.018), 0.022, 0.0015),
    ("jaw_angle", (0.050, -0.080, -0.042), 0.026, 0.0020),
    ("vault", (0.0, 0.080, -0.082), 0.090, 0.0010),
)


def follow_basis(
    bones: NDArray, anchors: NDArray, anchor_basis: NDArray, teeth: NDArray, neighbours: int = 200
) -> NDArray[np.float64]:
    """Identity basis (K, B, 3) of bone vertices (B, 3): a Gaussian mean of the basis (K, A, 3) of anchors (A, 3).

    The kernel is wider where the nearest anchor is farther, so that deep bone moves smoothly, and narrow at the teeth
    (points of theirs, (N, 3)), so that the bone round the roots goes with them.
    """
    distance, index = cKDTree(anchors).query(bones, k=neighbours)
    away = np.clip((cKDTree(teeth).query(bones)[0] - 0.004) / 0.026, 0, 1)
    reach = 0.004 + (REACH - 0.004) * away * away * (3 - 2 * away)
    width = np.hypot(reach[:, None], 0.5 * distance[:, :1])
    weight = np.exp(-0.5 * (distance / width) ** 2) + 1e-12
    weight *= np.maximum(0, 1 - (distance / distance[:, -1:]) ** 2) + 1e-9  # the last neighbours fade out
    weight /= weight.sum(1, keepdims=True)
    out = np.empty((len(anchor_basis), len(bones), 3))
    for k, mode in enumerate(anchor_basis):
        out[k] = np.einsum("bn,bnc->bc", weight, mode[index])
    return out


def tissue_basis(bones: NDArray, skin: NDArray, normals: NDArray) -> NDArray[np.float64]:
    """Displacement (S, B, 3) in metres of bone vertices per standard deviation of tissue depth at each site.

    Positive means thicker tissue: the bone moves away from the skin (V, 3), along the smoothed skin normals (V, 3).
    """
    distance, index = cKDTree(skin).query(bones, k=60)
    weight = np.exp(-0.5 * (distance / np.hypot(REACH, distance[:, :1])) ** 2)
    inward = -np.einsum("bn,bnc->bc", weight, normals[index])
    inward /= np.linalg.norm(inward, axis=1, keepdims=True)
    out = []
    for _, place, reach, deviation in TISSUE_SITES:
        near = np.zeros(len(bones))
        for side in (1, -1) if place[0] else (1,):
            near = np.maximum(near, np.exp(-0.5 * ((bones - np.array(place) * [side, 1, 1]) ** 2).sum(1) / reach**2))
        out.append(deviation * near[:, None] * inward)
    return np.stack(out)
