"""Semantic correction: data sets that place the same landmark differently are made to agree.

Chandran, Zoss, Gotardo, Bradley, "Infinite 3D Landmarks", Computer Graphics Forum 2024, section 3.4.
"""

import torch
from torch import Tensor, nn

from facequery.models.predictors import PositionEncoder


class SemanticCorrection(nn.Module):
    """Shifts the queries of every data set but the reference, by a light network of query and data set code.

    Data set 0 is the reference (renders, whose labels are exact): its queries are never shifted. Training keeps the
    shifts small by their squared length. `dims`: 3 for canonical queries, 2 for UV.
    """

    def __init__(self, datasets: int, dims: int = 3, code: int = 16, hidden: int = 64) -> None:
        super().__init__()
        self.codes = nn.Embedding(datasets, code)
        self.position = PositionEncoder(dims, hidden)
        self.from_code = nn.Linear(code, hidden)
        self.last = nn.Linear(hidden, dims)
        nn.init.zeros_(self.last.weight)  # no shift to begin with
        nn.init.zeros_(self.last.bias)

    def forward(self, queries: Tensor, dataset: Tensor) -> Tensor:
        """Queries (B, N, dims) and data set numbers (B,) -> shifts (B, N, dims), zero where the number is 0."""
        inner = torch.nn.functional.gelu(self.position(queries) + self.from_code(self.codes(dataset))[:, None])
        with torch.autocast(queries.device.type, enabled=False):
            return self.last(inner.float()) * (dataset != 0)[:, None, None]
