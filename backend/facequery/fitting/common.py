"""Errors that landmarks have in common, as unknowns of a fit.

A detector that misplaces a cheek misplaces all of it, in every frame: its errors are a smooth field over the head that
hardly changes through a shot. The field is a Gaussian process; its first eigenfunctions are features of the landmarks,
whose coefficients, one set a view, are N(0, 1) and solved together with shape and cameras. So landmarks that are wrong
together are not taken for the shape of a person, and what they cannot tell stays open.

One such error is always solved for: a detector draws every face much as from the distances that it has mostly seen. How
near a face looks therefore says less about the focal length than the landmarks' agreement would have it.
"""

import numpy as np
from numpy.typing import NDArray

from facequery.head.sampling import farthest_points

Array = NDArray[np.float64]
# From our detector's errors on held-out renders (`python -m benchmarks.fit_errors`): how alike they are by distance on
# the head, and the variance of what they have in common over what sigma says of it.
_LENGTH, _POWER = 0.040, 1.3  # metres
SHORT = 1.8
_CENTRES = 100  # points between which the likeness is interpolated
_FEATURES = 24
# Root mean square, in sigma, of what a detector gets wrong by making faces look too near or too far: half a unit of one
# over the distance in metres (`fit_errors`), where sigma is 1.5 mm at the face.
_NEARNESS = 1.0


def features(places: Array, count: int = _FEATURES) -> Array:
    """(N, M) features of points (N, 3), canonical metres, whose products are how alike errors are there.

    Nystrom's approximation by the first eigenvectors (Williams and Seeger, NIPS 2000).
    """
    centres = places[farthest_points(places, min(_CENTRES, len(places)))]
    values, vectors = np.linalg.eigh(_between(centres, centres))
    first = np.argsort(values)[::-1][:count]
    out: Array = _between(places, centres) @ (vectors[:, first] / np.sqrt(np.maximum(values[first], 1e-9)))
    return out


def perspective(places: Array, rotation: Array) -> Array:
    """(N, 2) what it does to points (N, 3) of a head turned by `rotation` (3, 3) that it looks nearer, in x and in y.

    In sigma; two axes whose coefficients are N(0, 1) each make up for one common coefficient.
    """
    turned = (places - places.mean(0)) @ rotation.T
    moved = turned[:, :2] * turned[:, 2:]
    size = np.sqrt((moved**2).mean())
    out: Array = np.sqrt(2.0 / SHORT) * _NEARNESS * moved / max(size, 1e-9)
    return out


def likeness(distance: Array) -> Array:
    """How alike errors are, 0 to 1, at points that are `distance` metres apart on the head."""
    return np.exp(-((distance / _LENGTH) ** _POWER))


def _between(one: Array, two: Array) -> Array:
    return likeness(np.linalg.norm(one[:, None] - two[None], axis=2))


def common_errors(
    places: Array, xy: Array, sigma: Array, there: NDArray[np.bool_], rotation: Array, smooth: bool
) -> tuple[Array, Array]:
    """What errors in common may be: (N, M) of each landmark by feature, as a share of the face's size, and that size
    (F,) px.

    places (N, 3) canonical metres; xy (F, N, 2) and sigma (F, N) px, where they are `there` (F, N). A landmark's share
    is that of its sigma over all frames; that of a face which looks nearer is the same for all. rotation (3, 3): how
    the head is turned on the whole. Where `smooth`, any smooth field beside.
    """
    count = np.maximum(there.sum(1), 1)
    points = np.where(there[..., None], xy, 0.0)
    middle = points.sum(1) / count[:, None]
    square = np.where(there, ((points - middle[:, None]) ** 2).sum(-1), 0.0)
    size = np.sqrt(square.sum(1) / count)
    share = np.where(there, sigma, 0.0).sum(0) / np.maximum(size @ there, 1e-9)
    typical = float(np.median(share[share > 0])) if (share > 0).any() else 0.0
    alike = (share > 0)[:, None] * typical * perspective(places, rotation)
    if smooth:
        alike = np.concatenate([alike, share[:, None] * features(places)], axis=1)
    return alike, size
