"""Pre-activation residual networks.

K. He, X. Zhang, S. Ren, J. Sun, "Identity Mappings in Deep Residual Networks", ECCV 2016, figure 4(e) and the
bottleneck of section 4. arXiv:1603.05027.
"""

from __future__ import annotations

from torch import Tensor, nn


class Basic(nn.Module):
    """Two convolutions, each after its normalisation and ReLU."""

    expansion = 1

    def __init__(self, into: int, width: int, stride: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(into)
        self.conv1 = nn.Conv2d(into, width, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.shortcut = shortcut(into, width, stride)

    def forward(self, x: Tensor) -> Tensor:
        ready = self.bn1(x).relu()
        past = x if self.shortcut is None else self.shortcut(ready)
        return past + self.conv2(self.bn2(self.conv1(ready)).relu())


class Bottleneck(nn.Module):
    """A 1x1, a 3x3 and a 1x1 convolution, each after its normalisation and ReLU."""

    expansion = 4

    def __init__(self, into: int, width: int, stride: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(into)
        self.conv1 = nn.Conv2d(into, width, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, 4 * width, 1, bias=False)
        self.shortcut = shortcut(into, 4 * width, stride)

    def forward(self, x: Tensor) -> Tensor:
        ready = self.bn1(x).relu()
        past = x if self.shortcut is None else self.shortcut(ready)
        inner = self.conv2(self.bn2(self.conv1(ready)).relu())
        return past + self.conv3(self.bn3(inner).relu())


def shortcut(into: int, out: int, stride: int) -> nn.Module | None:
    return None if into == out and stride == 1 else nn.Conv2d(into, out, 1, stride, bias=False)


class ResNetV2(nn.Module):
    """Three stages for images of about 32 x 32 pixels, as in section 4 of the paper."""

    def __init__(self, block: type[Basic] | type[Bottleneck], blocks: int, classes: int) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 3, 1, 1, bias=False)
        stages: list[nn.Module] = []
        into = 16
        for stage, width in enumerate((16, 32, 64)):
            for index in range(blocks):
                stages.append(block(into, width, 2 if stage and not index else 1))
                into = block.expansion * width
        self.blocks = nn.Sequential(*stages)
        self.last = nn.BatchNorm2d(into)
        self.classifier = nn.Linear(into, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.last(self.blocks(self.stem(x))).relu()
        return self.classifier(x.mean((2, 3)))
