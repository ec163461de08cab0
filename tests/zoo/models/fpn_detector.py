"""A two-stage detector on a feature pyramid.

T.-Y. Lin, P. Dollar, R. Girshick, K. He, B. Hariharan, S. Belongie, "Feature Pyramid Networks for Object
Detection", CVPR 2017, sections 3 and 4. arXiv:1612.03144.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision import ops

from .backbone import Backbone
from .proposals import ProposalNetwork

STRIDES = (4, 8, 16, 32, 64)


class Pyramid(nn.Module):
    """P2 to P6: what is coarse is upsampled and added to what is fine."""

    def __init__(self, widths: tuple[int, ...], width: int) -> None:
        super().__init__()
        self.lateral = nn.ModuleList(nn.Conv2d(into, width, 1) for into in widths)
        self.smooth = nn.ModuleList(nn.Conv2d(width, width, 3, 1, 1) for _ in widths)

    def forward(self, levels: list[Tensor]) -> list[Tensor]:
        merged = self.lateral[-1](levels[-1])
        found = [self.smooth[-1](merged)]
        for index in reversed(range(len(levels) - 1)):
            raised = functional.interpolate(merged, size=levels[index].shape[2:], mode="nearest")
            merged = self.lateral[index](levels[index]) + raised
            found.insert(0, self.smooth[index](merged))
        return [*found, functional.max_pool2d(found[-1], 1, 2)]


class FPNDetector(nn.Module):
    """Returns class probabilities (region, class), boxes (region, 4), regions and objectness maps."""

    def __init__(self, classes: int, width: int = 128, hidden: int = 256, cells: int = 7) -> None:
        super().__init__()
        self.cells = cells
        self.backbone = Backbone()
        self.pyramid = Pyramid(Backbone.widths, width)
        self.proposals = ProposalNetwork(width, STRIDES)
        self.hidden = nn.Sequential(
            nn.Flatten(), nn.Linear(width * cells**2, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU()
        )
        self.classes = nn.Linear(hidden, classes + 1)
        self.boxes = nn.Linear(hidden, 4)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor, list[Tensor]]:
        levels = self.pyramid(self.backbone(images))
        regions, objectness = self.proposals(levels, images.shape[2:])
        x = self.hidden(self._pool(levels[:4], regions))
        return self.classes(x).softmax(1), self.boxes(x), regions, objectness

    def _pool(self, levels: list[Tensor], regions: Tensor) -> Tensor:
        """Take each region from the level that fits its size: equation 1 of the paper."""
        area = (regions[:, 3] - regions[:, 1]) * (regions[:, 4] - regions[:, 2])
        fitting = (2 + (area.sqrt() / 32 + 1e-6).log2().floor()).clamp(0, 3)
        pooled, order = [], []
        for index, level in enumerate(levels):
            order.append((fitting == index).nonzero()[:, 0])
            cell = (self.cells, self.cells)
            pooled.append(ops.roi_align(level, regions[order[-1]], cell, 1 / STRIDES[index], 2, True))
        return torch.cat(pooled)[torch.cat(order).argsort()]
