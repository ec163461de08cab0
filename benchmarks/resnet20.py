"""ResNet-20 for CIFAR-10 as it was published, with the parameter names of its public trained weights."""

from __future__ import annotations

import torch
from torch import nn


class Pad(nn.Module):
    """A shortcut without weights: every second pixel, and empty channels on both sides."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.below = channels
        self.above = channels

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return nn.functional.pad(x[..., ::2, ::2], (0, 0, 0, 0, self.below, self.above))


class Block(nn.Module):
    """Two convolutions beside a shortcut."""

    def __init__(self, into: int, out: int) -> None:
        super().__init__()
        stride = 1 if into == out else 2
        self.conv1 = nn.Conv2d(into, out, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(out)
        self.conv2 = nn.Conv2d(out, out, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(out)
        self.shortcut = nn.Identity() if into == out else Pad((out - into) // 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        inner = self.bn2(self.conv2(self.bn1(self.conv1(x)).relu()))
        return (inner + self.shortcut(x)).relu()


class ResNet20(nn.Module):
    """Three stages of three blocks for images of 32 x 32 pixels: 269 722 parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.layer1 = nn.Sequential(Block(16, 16), Block(16, 16), Block(16, 16))
        self.layer2 = nn.Sequential(Block(16, 32), Block(32, 32), Block(32, 32))
        self.layer3 = nn.Sequential(Block(32, 64), Block(64, 64), Block(64, 64))
        self.linear = nn.Linear(64, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.bn1(self.conv1(x)).relu()
        return self.linear(self.layer3(self.layer2(self.layer1(x))).mean((2, 3)))
