"""The residual network that the detectors and key-point networks stand on, at small size.

K. He, X. Zhang, S. Ren, J. Sun, "Deep Residual Learning for Image Recognition", CVPR 2016, table 1.
arXiv:1512.03385.
"""

from __future__ import annotations

from torch import Tensor, nn


class Bottleneck(nn.Module):
    def __init__(self, into: int, width: int, stride: int = 1, dilation: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(into, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, dilation, dilation, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, 4 * width, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(4 * width)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or into != 4 * width:
            self.shortcut = nn.Sequential(
                nn.Conv2d(into, 4 * width, 1, stride, bias=False), nn.BatchNorm2d(4 * width)
            )

    def forward(self, x: Tensor) -> Tensor:
        inner = self.bn2(self.conv2(self.bn1(self.conv1(x)).relu())).relu()
        return (self.bn3(self.conv3(inner)) + self.shortcut(x)).relu()


class Backbone(nn.Module):
    """A ResNet-50-like body, a quarter as wide and half as deep: gives C2 to C5, what its stages end with."""

    widths = (64, 128, 256, 512)
    """Channels of C2 to C5."""

    def __init__(self, dilated: bool = False) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, 32, 7, 2, 3, bias=False), nn.BatchNorm2d(32), nn.ReLU(), nn.MaxPool2d(3, 2, 1)
        )
        self.stages = nn.ModuleList()
        into = 32
        for index, out in enumerate(self.widths):
            wide = dilated and index == 3  # the last stage keeps its resolution
            stride = 1 if index == 0 or wide else 2
            first = Bottleneck(into, out // 4, stride, 2 if wide else 1)
            self.stages.append(nn.Sequential(first, Bottleneck(out, out // 4, 1, 2 if wide else 1)))
            into = out

    def forward(self, x: Tensor) -> list[Tensor]:
        x = self.stem(x)
        found = []
        for stage in self.stages:
            x = stage(x)
            found.append(x)
        return found
