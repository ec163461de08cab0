"""ResNet-50 for images of 224 x 224 pixels as it was published, stride in the middle convolution."""

from __future__ import annotations

import torch
from torch import nn

STAGES = ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2))
"""Channels within a block, blocks, stride of the first."""
WIDER = 4
"""A block gives so many times the channels that it has within."""


class Bottleneck(nn.Module):
    """Three convolutions beside a shortcut."""

    def __init__(self, into: int, inner: int, stride: int) -> None:
        super().__init__()
        out = WIDER * inner
        self.conv1 = nn.Conv2d(into, inner, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(inner)
        self.conv2 = nn.Conv2d(inner, inner, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(inner)
        self.conv3 = nn.Conv2d(inner, out, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(out)
        self.shortcut: nn.Module = nn.Identity()
        if into != out:
            self.shortcut = nn.Sequential(nn.Conv2d(into, out, 1, stride, bias=False), nn.BatchNorm2d(out))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        inner = self.bn2(self.conv2(self.bn1(self.conv1(x)).relu())).relu()
        return (self.bn3(self.conv3(inner)) + self.shortcut(x)).relu()


class ResNet50(nn.Module):
    """Four stages of 3, 4, 6 and 3 blocks: 25 557 032 parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.pool = nn.MaxPool2d(3, 2, 1)
        into, blocks = 64, []
        for inner, count, stride in STAGES:
            for number in range(count):
                blocks.append(Bottleneck(into, inner, 1 if number else stride))
                into = WIDER * inner
        self.blocks = nn.Sequential(*blocks)
        self.linear = nn.Linear(into, 1000)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.pool(self.bn1(self.conv1(x)).relu())
        return self.linear(self.blocks(x).mean((2, 3)))
