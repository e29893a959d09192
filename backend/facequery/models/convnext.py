"""ConvNeXt, atto to tiny.

Liu, Mao, Wu, Feichtenhofer, Darrell, Xie, "A ConvNet for the 2020s", CVPR 2022, section 2; the atto widths are those
of ConvNeXt V2 (Woo et al., CVPR 2023, table 15).
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class ChannelNorm(nn.LayerNorm):
    """Layer normalisation over the channels of (B, C, H, W)."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class Block(nn.Module):
    """Depthwise 7x7 convolution, layer norm, two linear layers with GELU, layer scale, residual (figure 4)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(width, width, 7, padding=3, groups=width)
        self.norm = nn.LayerNorm(width)
        self.expand = nn.Linear(width, 4 * width)
        self.project = nn.Linear(4 * width, width)
        self.scale = nn.Parameter(torch.full((width,), 0.1))

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(self.depthwise(x).permute(0, 2, 3, 1))
        y = self.scale * self.project(F.gelu(self.expand(y)))
        return x + y.permute(0, 3, 1, 2)


class ConvNeXt(nn.Module):
    """Images (B, 3, H, W) in [-1, 1] -> maps at strides 4, 8, 16 and 32."""

    strides = (4, 8, 16, 32)

    def __init__(self, depths: Sequence[int], widths: Sequence[int]) -> None:
        super().__init__()
        self.channels = tuple(widths)
        self.parts = nn.ModuleList()
        for i, (depth, width) in enumerate(zip(depths, widths, strict=True)):
            before: list[nn.Module]
            if i == 0:
                before = [nn.Conv2d(3, width, 4, 4), ChannelNorm(width)]
            else:
                before = [ChannelNorm(widths[i - 1]), nn.Conv2d(widths[i - 1], width, 2, 2)]
            self.parts.append(nn.Sequential(*before, *(Block(width) for _ in range(depth))))
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def stages(self) -> list[nn.Module]:
        """The four stages in the order of the computation: what may be frozen, from the front."""
        return list(self.parts)

    def forward(self, x: Tensor) -> list[Tensor]:
        maps = []
        for part in self.parts:
            x = part(x)
            maps.append(x)
        return maps
