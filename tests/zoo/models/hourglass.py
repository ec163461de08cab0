"""Stacked hourglass networks.

A. Newell, K. Yang, J. Deng, "Stacked Hourglass Networks for Human Pose Estimation", ECCV 2016, sections 3.1
to 3.3. arXiv:1603.06937.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional


class Residual(nn.Module):
    """The residual module of figure 4: a pre-activation bottleneck of half the width."""

    def __init__(self, into: int, out: int) -> None:
        super().__init__()
        half = out // 2
        self.layers = nn.Sequential(
            nn.BatchNorm2d(into),
            nn.ReLU(),
            nn.Conv2d(into, half, 1),
            nn.BatchNorm2d(half),
            nn.ReLU(),
            nn.Conv2d(half, half, 3, 1, 1),
            nn.BatchNorm2d(half),
            nn.ReLU(),
            nn.Conv2d(half, out, 1),
        )
        self.shortcut = nn.Identity() if into == out else nn.Conv2d(into, out, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x) + self.shortcut(x)


class Hourglass(nn.Module):
    """Down `depth` times and up again, with a branch kept at every resolution."""

    def __init__(self, depth: int, width: int) -> None:
        super().__init__()
        self.branch = Residual(width, width)
        self.before = Residual(width, width)
        self.inner = Hourglass(depth - 1, width) if depth > 1 else Residual(width, width)
        self.after = Residual(width, width)

    def forward(self, x: Tensor) -> Tensor:
        low = self.after(self.inner(self.before(functional.max_pool2d(x, 2))))
        return self.branch(x) + functional.interpolate(low, scale_factor=2, mode="nearest")


class StackedHourglass(nn.Module):
    """Hourglasses in a row, each giving heat maps that the next one reads (intermediate supervision)."""

    def __init__(self, stacks: int, joints: int, width: int = 128, depth: int = 4) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, width // 4, 7, 2, 3),
            nn.BatchNorm2d(width // 4),
            nn.ReLU(),
            Residual(width // 4, width // 2),
            nn.MaxPool2d(2),
            Residual(width // 2, width // 2),
            Residual(width // 2, width),
        )
        each = range(stacks)
        self.hourglasses = nn.ModuleList(Hourglass(depth, width) for _ in each)
        self.features = nn.ModuleList(
            nn.Sequential(
                Residual(width, width), nn.Conv2d(width, width, 1), nn.BatchNorm2d(width), nn.ReLU()
            )
            for _ in each
        )
        self.heat_maps = nn.ModuleList(nn.Conv2d(width, joints, 1) for _ in each)
        self.merge_features = nn.ModuleList(nn.Conv2d(width, width, 1) for _ in each[1:])
        self.merge_heat_maps = nn.ModuleList(nn.Conv2d(joints, width, 1) for _ in each[1:])

    def forward(self, x: Tensor) -> list[Tensor]:
        x = self.stem(x)
        found: list[Tensor] = []
        for index, hourglass in enumerate(self.hourglasses):
            features = self.features[index](hourglass(x))
            found.append(self.heat_maps[index](features))
            if index + 1 < len(self.hourglasses):
                x = x + self.merge_features[index](features) + self.merge_heat_maps[index](found[-1])
        return found
