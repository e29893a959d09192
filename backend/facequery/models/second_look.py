"""The second look: once it is known roughly where the face's points are, the picture is read again there.

A descriptor is read from fixed cells of the picture, whatever lies in them. Read at the first places of some anchor
points (and how local refinement would move those), the same maps say the same thing of the same point of every face,
and the descriptor is corrected with that: for all queries at once, so that hidden points follow the visible ones. The
idea is that of features indexed by pose (Cao, Wei, Wen, Sun, "Face Alignment by Explicit Shape Regression", CVPR 2012);
the papers do not have it.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from facequery.models.refine import begins_with_nothing, sampled

EACH = 24  # numbers that are kept of what an anchor sees
GAIN = 0.1  # of the correction: optimisers step by the same amount everywhere, and this path shall not run ahead
MOVE = 10.0  # moves by local refinement are about a hundredth of the crop: times it they weigh like the places


class SecondLook(nn.Module):
    """Maps, first and refined places of the anchors and a descriptor -> a better descriptor.

    `anchors` (K, dims) are queries in network units, part of the weights but not trained; see `place`.
    """

    anchors: Tensor
    codes: Tensor | None = None  # of the anchors (1, K, C), in networks that learn no more; see `detection.prepared`

    def __init__(self, count: int, dims: int, channels: int, descriptor: int, hidden: int = 768) -> None:
        super().__init__()
        self.register_buffer("anchors", torch.rand(count, dims) * 1.2 - 0.6)
        self.each = nn.Linear(channels, EACH)
        self.joined = nn.Linear(count * (EACH + 4) + descriptor, hidden)
        self.last = nn.Linear(hidden, descriptor)
        begins_with_nothing(self.last)

    def place(self, anchors: Tensor) -> None:
        """Choose the anchors (K, dims), network units; before training. Raises ValueError for another number."""
        if anchors.shape != self.anchors.shape:
            raise ValueError(f"anchors {tuple(anchors.shape)} are not {tuple(self.anchors.shape)}")
        self.anchors.copy_(anchors)

    def forward(self, local: list[Tensor], descriptor: Tensor, first: Tensor, refined: Tensor) -> Tensor:
        """Maps (B, C, h, w) of `LocalMaps`, descriptor (B, d), places (B, K, 2) of the anchors in [-1, 1]: by the
        descriptor alone, and after local refinement. Gives a descriptor (B, d)."""
        seen = torch.cat([sampled(each, refined) for each in local], -1)
        known = [F.gelu(self.each(seen)), refined, MOVE * (refined - first)]
        known = [x.to(descriptor.dtype) for x in known]
        joined = torch.cat([torch.cat(known, -1).flatten(1), descriptor], 1)
        return descriptor + GAIN * self.last(F.gelu(self.joined(joined)))
