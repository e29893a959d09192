"""Queried landmark predictors: a descriptor of the image and the code of a 3D query -> values of that query's landmark.

Chandran, Zoss, Gotardo, Bradley, "Continuous Landmark Detection with 3D Queries", CVPR 2023, section 3.2.
"""

import torch
from torch import Tensor, nn


class PositionEncoder(nn.Module):
    """The 2-layer MLP: query positions (..., inputs) in network units of about +-1 -> codes (..., B = 64)."""

    def __init__(self, inputs: int = 3, outputs: int = 64, hidden: int = 128, gain: float = 6.0) -> None:
        super().__init__()
        self.first = nn.Linear(inputs, hidden)
        self.second = nn.Linear(hidden, outputs)
        # Lips touch and lids are thin: neighbours 2 mm apart (0.02 units) may need far codes. Steep first-layer
        # responses whose zero crossings are spread over the head let two layers resolve that.
        with torch.no_grad():
            nn.init.normal_(self.first.weight, std=gain / inputs**0.5)
            centres = torch.rand(hidden, inputs) * 2 - 1
            self.first.bias.copy_(-(self.first.weight * centres).sum(-1))

    def forward(self, queries: Tensor) -> Tensor:
        return self.second(torch.nn.functional.gelu(self.first(queries)))


class MLPPredictor(nn.Module):
    """The 4-layer MLP, every query on its own.

    The first layer is a sum of one matrix times the descriptor and one times the code. `prepare` computes the
    descriptor's part, by far the larger: once per image, and not per query or chunk of queries.
    """

    attends = False

    def __init__(self, descriptor: int = 768, code: int = 64, hidden: int = 256, outputs: int = 3) -> None:
        super().__init__()
        self.from_descriptor = nn.Linear(descriptor, hidden)
        self.from_code = nn.Linear(code, hidden, bias=False)
        self.second = nn.Linear(hidden, hidden)
        self.third = nn.Linear(hidden, hidden)
        self.last = nn.Linear(hidden, outputs)
        with torch.no_grad():
            self.last.weight.mul_(0.3)

    def prepare(self, descriptor: Tensor) -> Tensor:
        """Descriptors (B, D) -> the first layer's part of them (B, 1, hidden)."""
        return self.from_descriptor(descriptor)[:, None]

    def forward(self, prepared: Tensor, codes: Tensor) -> tuple[Tensor, Tensor]:
        """What `prepare` gave and codes (B or 1, N, C) -> (B, N, outputs), float32, and the last hidden values
        (B, N, hidden)."""
        gelu = torch.nn.functional.gelu
        x = gelu(prepared + self.from_code(codes))
        x = gelu(self.third(gelu(self.second(x))))
        # a landmark is wanted to a hundredth of a pixel, which bfloat16 does not hold
        with torch.autocast(x.device.type, enabled=False):
            return self.last(x.float()), x


class TransformerPredictor(nn.Module):
    """The 4-layer transformer with 8 heads over a set of queries; each token is a code with the descriptor added.

    There is no order among queries, so a permutation of the queries permutes the output.
    """

    attends = True

    def __init__(
        self, descriptor: int = 768, code: int = 64, width: int = 256, outputs: int = 3, layers: int = 4, heads: int = 8
    ) -> None:
        super().__init__()
        self.from_descriptor = nn.Linear(descriptor, width)
        self.from_code = nn.Linear(code, width, bias=False)
        layer = nn.TransformerEncoderLayer(
            width, heads, 2 * width, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
        )
        self.layers = nn.TransformerEncoder(layer, layers, norm=nn.LayerNorm(width), enable_nested_tensor=False)
        self.last = nn.Linear(width, outputs)

    def prepare(self, descriptor: Tensor) -> Tensor:
        """Descriptors (B, D) -> their part of every token (B, 1, width)."""
        return self.from_descriptor(descriptor)[:, None]

    def forward(self, prepared: Tensor, codes: Tensor) -> tuple[Tensor, Tensor]:
        """What `prepare` gave and codes (B or 1, N, C) -> (B, N, outputs), float32, and the last hidden values
        (B, N, width)."""
        x = self.layers(prepared + self.from_code(codes))
        with torch.autocast(x.device.type, enabled=False):
            return self.last(x.float()), x
