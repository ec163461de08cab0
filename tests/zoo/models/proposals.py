"""Region proposals.

S. Ren, K. He, R. Girshick, J. Sun, "Faster R-CNN: Towards Real-Time Object Detection with Region Proposal
Networks", NeurIPS 2015, section 3.1. arXiv:1506.01497.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torchvision import ops

RATIOS = (0.5, 1.0, 2.0)


class ProposalNetwork(nn.Module):
    """One small head, shared by all levels: how much an anchor is an object, and how its box lies."""

    def __init__(self, into: int, strides: Sequence[int], scale: float = 4.0, kept: int = 16) -> None:
        super().__init__()
        self.strides, self.scale, self.kept = tuple(strides), scale, kept
        self.conv = nn.Conv2d(into, into, 3, 1, 1)
        self.objectness = nn.Conv2d(into, len(RATIOS), 1)
        self.shifts = nn.Conv2d(into, 4 * len(RATIOS), 1)

    def forward(self, levels: Sequence[Tensor], size: Sequence[int]) -> tuple[Tensor, list[Tensor]]:
        """Return regions (region, 5), the image's number first, and the objectness maps of the levels."""
        maps, scores, boxes = [], [], []
        for level, stride in zip(levels, self.strides, strict=True):
            x = self.conv(level).relu()
            maps.append(self.objectness(x))
            scores.append(maps[-1].permute(0, 2, 3, 1).flatten(1))
            shifts = self.shifts(x).permute(0, 2, 3, 1).reshape(len(x), -1, 4)
            boxes.append(decode(anchors(level, stride, self.scale * stride), shifts, size))
        return self._best(torch.cat(scores, dim=1), torch.cat(boxes, dim=1)), maps

    def _best(self, scores: Tensor, boxes: Tensor) -> Tensor:
        found = []
        for index, (score, box) in enumerate(zip(scores, boxes, strict=True)):
            top = score.topk(min(4 * self.kept, len(score))).indices
            chosen = top[ops.nms(box[top], score[top], 0.7)[: self.kept]]
            found.append(torch.cat([box.new_full((len(chosen), 1), index), box[chosen]], dim=1))
        return torch.cat(found)


def anchors(level: Tensor, stride: int, side: float) -> Tensor:
    """Return the boxes (row * column * ratio, 4) that a level looks at, in pixels of the image."""
    rows, columns = (
        (torch.arange(length, dtype=level.dtype, device=level.device) + 0.5) * stride
        for length in level.shape[2:]
    )
    ratios = torch.tensor(RATIOS, dtype=level.dtype, device=level.device).sqrt()
    height, width = side * ratios / 2, side / ratios / 2
    around = torch.stack([-width, -height, width, height], dim=1)
    y, x = torch.meshgrid(rows, columns, indexing="ij")
    centre = torch.stack([x, y, x, y], dim=-1)
    return (centre[:, :, None] + around).reshape(-1, 4)


def decode(boxes: Tensor, shifts: Tensor, size: Sequence[int]) -> Tensor:
    """Return `boxes` moved by `shifts` (batch, box, 4), cut to an image of `size` (height, width)."""
    length = boxes[:, 2:] - boxes[:, :2]
    centre = boxes[:, :2] + length / 2 + shifts[..., :2] * length
    half = length * shifts[..., 2:].clamp(max=2.0).exp() / 2
    found = torch.cat([centre - half, centre + half], dim=-1)
    return ops.clip_boxes_to_image(found, (int(size[0]), int(size[1])))
