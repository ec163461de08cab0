"""Region-based fully convolutional networks.

J. Dai, Y. Li, K. He, J. Sun, "R-FCN: Object Detection via Region-based Fully Convolutional Networks", NeurIPS
2016, section 2: every cell of a region reads score maps of its own. arXiv:1605.06409.
"""

from __future__ import annotations

from torch import Tensor, nn
from torchvision import ops

from .backbone import Backbone
from .proposals import ProposalNetwork

STRIDE = 16


class RFCN(nn.Module):
    """Returns class probabilities (region, class), boxes (region, 4), regions and objectness maps."""

    def __init__(self, classes: int, width: int = 256, cells: int = 3) -> None:
        super().__init__()
        self.cells = cells
        self.backbone = Backbone(dilated=True)
        self.proposals = ProposalNetwork(Backbone.widths[2], (STRIDE,))
        self.reduce = nn.Conv2d(Backbone.widths[3], width, 1)
        self.score_maps = nn.Conv2d(width, cells * cells * (classes + 1), 1)
        self.box_maps = nn.Conv2d(width, cells * cells * 4, 1)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor, list[Tensor]]:
        _, _, shared, last = self.backbone(images)
        regions, objectness = self.proposals([shared], images.shape[2:])
        features = self.reduce(last).relu()
        scores = self._vote(self.score_maps(features), regions)
        return scores.softmax(1), self._vote(self.box_maps(features), regions), regions, objectness

    def _vote(self, maps: Tensor, regions: Tensor) -> Tensor:
        return ops.ps_roi_pool(maps, regions, self.cells, 1 / STRIDE).mean((2, 3))
