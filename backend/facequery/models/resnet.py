"""ResNet-18 and ResNet-50, and the small dense ResNet that is quick on a CPU.

He, Zhang, Ren, Sun, "Deep Residual Learning for Image Recognition", CVPR 2016, table 1; in ResNet-50 the stride sits
in the 3x3 convolution, as is usual since.
"""

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F


def convolution(inputs: int, outputs: int, size: int, stride: int = 1, relu: bool = True) -> nn.Sequential:
    layers: list[nn.Module] = [nn.Conv2d(inputs, outputs, size, stride, size // 2, bias=False)]
    layers.append(nn.BatchNorm2d(outputs, momentum=0.03))
    if relu:
        layers.append(nn.ReLU(inplace=True))
    return nn.Sequential(*layers)


class Block(nn.Module):
    """Two 3x3 convolutions, or the 1x1, 3x3, 1x1 bottleneck, with a shortcut."""

    def __init__(self, inputs: int, width: int, stride: int, bottleneck: bool) -> None:
        super().__init__()
        outputs = 4 * width if bottleneck else width
        if bottleneck:
            layers = [
                convolution(inputs, width, 1),
                convolution(width, width, 3, stride),
                convolution(width, outputs, 1, relu=False),
            ]
        else:
            layers = [convolution(inputs, width, 3, stride), convolution(width, width, 3, relu=False)]
        self.layers = nn.Sequential(*layers)
        same = stride == 1 and inputs == outputs
        self.shortcut: nn.Module = nn.Identity() if same else convolution(inputs, outputs, 1, stride, relu=False)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.layers(x) + self.shortcut(x), inplace=True)


class ResNet(nn.Module):
    """Images (B, 3, H, W) in [-1, 1] -> maps at strides 4, 8, 16 and 32, one of each stage.

    `depths`: blocks of the stages; `width`: channels inside the first stage's blocks, doubled from stage to stage.
    `small_stem`: one 3x3 convolution instead of a 7x7 one and pooling, and the first stage halves the map in its place;
    with 32 channels that is dense work which runs near a CPU's peak.
    """

    strides: Sequence[int] = (4, 8, 16, 32)

    def __init__(self, depths: Sequence[int], bottleneck: bool, width: int = 64, small_stem: bool = False) -> None:
        super().__init__()
        self.stem: nn.Module = convolution(3, width, 3 if small_stem else 7, 2)
        if not small_stem:
            self.stem = nn.Sequential(self.stem, nn.MaxPool2d(3, 2, 1))
        widths = [width * 2**i for i in range(len(depths))]
        self.channels = tuple((4 if bottleneck else 1) * w for w in widths)
        parts = []
        inputs = width
        for i, (depth, inner, outputs) in enumerate(zip(depths, widths, self.channels, strict=True)):
            first = Block(inputs, inner, 2 if i > 0 or small_stem else 1, bottleneck)
            parts.append(nn.Sequential(first, *(Block(outputs, inner, 1, bottleneck) for _ in range(depth - 1))))
            inputs = outputs
        self.parts = nn.ModuleList(parts)

    def stages(self) -> list[nn.Module]:
        """Stem and stages in the order of the computation: what may be frozen, from the front."""
        return [self.stem, *self.parts]

    def forward(self, x: Tensor) -> list[Tensor]:
        maps = []
        x = self.stem(x)
        for part in self.parts:
            x = part(x)
            maps.append(x)
        return maps
