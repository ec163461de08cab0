"""Key points from a feature pyramid in two steps.

Y. Chen, Z. Wang, Y. Peng, Z. Zhang, G. Yu, J. Sun, "Cascaded Pyramid Network for Multi-Person Pose
Estimation", CVPR 2018, section 3.2: GlobalNet and RefineNet. arXiv:1711.07319.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from .backbone import Backbone, Bottleneck


class Global(nn.Module):
    """A pyramid over C2 to C5, with heat maps predicted at every level."""

    def __init__(self, widths: tuple[int, ...], width: int, joints: int) -> None:
        super().__init__()
        self.lateral = nn.ModuleList(lateral(into, width) for into in widths)
        self.upward = nn.ModuleList(nn.Conv2d(width, width, 1) for _ in widths[1:])
        self.predict = nn.ModuleList(prediction(width, joints) for _ in widths)

    def forward(self, levels: list[Tensor], size: tuple[int, int]) -> tuple[list[Tensor], list[Tensor]]:
        merged: list[Tensor] = []
        for index in reversed(range(len(levels))):
            here = self.lateral[index](levels[index])
            if merged:
                here = here + self.upward[index](doubled(merged[0], here))
            merged.insert(0, here)
        predicted = zip(self.predict, merged, strict=True)
        return merged, [
            functional.interpolate(each(level), size, mode="bilinear") for each, level in predicted
        ]


class Refine(nn.Module):
    """Bottlenecks, more of them for coarser levels; all levels upsampled, concatenated, predicted from."""

    def __init__(self, levels: int, width: int, joints: int) -> None:
        super().__init__()
        self.deepen = nn.ModuleList(
            nn.Sequential(*(Bottleneck(width, width // 4) for _ in range(index))) for index in range(levels)
        )
        self.final = nn.Sequential(Bottleneck(levels * width, width // 4), prediction(width, joints))

    def forward(self, levels: list[Tensor], size: tuple[int, int]) -> Tensor:
        deepened = [layers(level) for layers, level in zip(self.deepen, levels, strict=True)]
        raised = [functional.interpolate(level, size, mode="bilinear") for level in deepened]
        return self.final(torch.cat(raised, dim=1))


class CascadedPyramid(nn.Module):
    """The global heat maps of every level, finest first, then the refined ones."""

    def __init__(self, joints: int, width: int = 64) -> None:
        super().__init__()
        self.backbone = Backbone()
        self.coarse = Global(Backbone.widths, width, joints)
        self.refine = Refine(len(Backbone.widths), width, joints)

    def forward(self, x: Tensor) -> list[Tensor]:
        levels = self.backbone(x)
        size = (levels[0].shape[2], levels[0].shape[3])
        merged, coarse = self.coarse(levels, size)
        return [*coarse, self.refine(merged, size)]


def lateral(into: int, width: int) -> nn.Module:
    return nn.Sequential(nn.Conv2d(into, width, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU())


def prediction(width: int, joints: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(width, width, 1, bias=False),
        nn.BatchNorm2d(width),
        nn.ReLU(),
        nn.Conv2d(width, joints, 3, 1, 1, bias=False),
        nn.BatchNorm2d(joints),
    )


def doubled(x: Tensor, like: Tensor) -> Tensor:
    return functional.interpolate(x, like.shape[2:], mode="bilinear")
