"""Key points from a residual network and three transposed convolutions.

B. Xiao, H. Wu, Y. Wei, "Simple Baselines for Human Pose Estimation and Tracking", ECCV 2018, section 2.
arXiv:1804.06208.
"""

from __future__ import annotations

from torch import Tensor, nn

from .backbone import Backbone


class SimpleBaseline(nn.Module):
    """Heat maps (batch, joint, row, column) at a quarter of the image's resolution."""

    def __init__(self, joints: int, width: int = 128) -> None:
        super().__init__()
        self.backbone = Backbone()
        layers: list[nn.Module] = []
        into = Backbone.widths[-1]
        for _ in range(3):
            layers += [nn.ConvTranspose2d(into, width, 4, 2, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
            into = width
        self.upsampling = nn.Sequential(*layers)
        self.heat_maps = nn.Conv2d(width, joints, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.heat_maps(self.upsampling(self.backbone(x)[-1]))
