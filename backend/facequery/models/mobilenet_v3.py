"""MobileNetV3-Large.

Howard et al., "Searching for MobileNetV3", ICCV 2019, table 1; the last 1x1 convolution to 960 channels is kept, the
classifier is not.
"""

from torch import Tensor, nn
from torch.nn import functional as F

# kernel, expanded channels, output channels, squeeze and excite, hard swish, stride (table 1 of the paper)
BLOCKS = (
    (3, 16, 16, False, False, 1),
    (3, 64, 24, False, False, 2),
    (3, 72, 24, False, False, 1),
    (5, 72, 40, True, False, 2),
    (5, 120, 40, True, False, 1),
    (5, 120, 40, True, False, 1),
    (3, 240, 80, False, True, 2),
    (3, 200, 80, False, True, 1),
    (3, 184, 80, False, True, 1),
    (3, 184, 80, False, True, 1),
    (3, 480, 112, True, True, 1),
    (3, 672, 112, True, True, 1),
    (5, 672, 160, True, True, 2),
    (5, 960, 160, True, True, 1),
    (5, 960, 160, True, True, 1),
)


def convolution(inputs: int, outputs: int, size: int, stride: int = 1, groups: int = 1) -> nn.Sequential:
    conv = nn.Conv2d(inputs, outputs, size, stride, size // 2, groups=groups, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs, momentum=0.03))


class SqueezeExcite(nn.Module):
    """Scale every channel by a gate computed from the mean of all channels (section 5.3)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(channels, channels // 4, 1)
        self.expand = nn.Conv2d(channels // 4, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x * F.hardsigmoid(self.expand(F.relu(self.reduce(x.mean((2, 3), keepdim=True)))))


class Block(nn.Module):
    """Inverted residual with optional squeeze and excite."""

    def __init__(self, inputs: int, row: tuple[int, int, int, bool, bool, int]) -> None:
        super().__init__()
        size, inner, outputs, squeeze, swish, stride = row
        layers: list[nn.Module] = []
        if inner != inputs:
            layers += [convolution(inputs, inner, 1), activation(swish)]
        layers += [convolution(inner, inner, size, stride, groups=inner), activation(swish)]
        if squeeze:
            layers.append(SqueezeExcite(inner))
        layers.append(convolution(inner, outputs, 1))
        self.layers = nn.Sequential(*layers)
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x) if self.residual else self.layers(x)


def activation(swish: bool) -> nn.Module:
    return nn.Hardswish() if swish else nn.ReLU()


class MobileNetV3Large(nn.Module):
    """Images (B, 3, H, W) in [-1, 1] -> maps at strides 4, 8, 16 and 32."""

    channels = (24, 40, 112, 960)
    strides = (4, 8, 16, 32)
    taps = (2, 5, 11)

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(convolution(3, 16, 3, 2), nn.Hardswish())
        inputs = [16, *(row[2] for row in BLOCKS)]
        self.blocks = nn.ModuleList(Block(i, row) for i, row in zip(inputs[:-1], BLOCKS, strict=True))
        self.top = nn.Sequential(convolution(160, 960, 1), nn.Hardswish())

    def stages(self) -> list[nn.Module]:
        """The stem and the blocks in the order of the computation: what may be frozen, from the front."""
        return [self.stem, *self.blocks]

    def forward(self, x: Tensor) -> list[Tensor]:
        maps = []
        x = self.stem(x)
        for i, block in enumerate(self.blocks):
            x = block(x)
            if i in self.taps:
                maps.append(x)
        return [*maps, self.top(x)]
