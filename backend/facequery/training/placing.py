"""What teaches the spatial transformer before the predictor can: the resting head, laid over the face by its crop.

The landmark loss reaches the crop through its inverse (Inf3D, section 3.2). A predictor that knows nothing yet answers
about the mean face whatever the crop shows, and its many wrong details drown what the crop could learn. The landmarks
of the resting head, seen from the front, are that mean face without the noise: labelled landmarks remain the only
teacher, and nobody says which crop is right.
"""

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from facequery.geometry.crops import crop_from_points, four_points, invert_affine
from facequery.head.model import HeadModel
from facequery.models.spatial_transformer import carry_back

_NEAR = 0.25  # half crops: smaller errors count squared, larger ones in proportion


@lru_cache
def _to_crop() -> Tensor:
    """The matrix (2, 3) from network units, x and y of the resting head, to its normalised crop."""
    model = HeadModel.load()
    # y down, and a unit in which the head is large: crops are for pixels
    flat = np.diag([1000.0, -1000.0])
    corners = model.rest[model.normalisation_vertices].astype(np.float64)
    four = four_points(corners)[:, :2]
    to_crop = invert_affine(crop_from_points(four @ flat))
    to_crop[:, :2] = to_crop[:, :2] @ flat / model.scale
    return torch.from_numpy(to_crop.astype(np.float32))


def resting_landmarks(query: Tensor) -> Tensor:
    """Where queries (..., 3), network units, of the resting head lie in its crop, seen from the front: (..., 2)."""
    to_crop = _to_crop().to(query.device)
    return query[..., :2] @ to_crop[:, :2].T + to_crop[:, 2]


def placing_loss(similarity: Tensor, query: Tensor, xy: Tensor, weight: Tensor, unit: Tensor, size: int) -> Tensor:
    """Mean distance of the resting landmarks, carried back by the similarities (B, 4), from the labelled ones.

    `query` (B, N, 3) network units, `xy` (B, N, 2) and `unit` (B,) as in `stream.Batch`, `weight` (B, N). In pixels of
    a crop of `size` pixels for faces that fill the picture; smaller ones count between their own size and the
    picture's, or they would be all that counts.
    """
    carried, _ = carry_back(similarity, resting_landmarks(query), torch.zeros_like(weight))
    squares = ((carried - xy) / unit.sqrt()[:, None, None]).square().sum(-1)
    values = (squares + _NEAR**2).sqrt() - _NEAR
    return size / 2 * (values * weight).sum() / weight.sum().clamp(min=1e-6)
