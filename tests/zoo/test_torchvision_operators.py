"""The operators in plain PyTorch against definitions written as loops, and their gradients."""

from __future__ import annotations

import math

import pytest
import torch

from .torchvision_operators import install, nms, ps_roi_pool, roi_align

torch.set_num_threads(1)


def bilinear(image: torch.Tensor, y: float, x: float) -> float:
    """Return one sample of one channel; nothing outside of it, its border within one pixel."""
    height, width = image.shape
    if y < -1 or y > height or x < -1 or x > width:
        return 0.0
    y, x = min(max(y, 0.0), height - 1.0), min(max(x, 0.0), width - 1.0)
    top, left = math.floor(y), math.floor(x)
    bottom, right = min(top + 1, height - 1), min(left + 1, width - 1)
    dy, dx = y - top, x - left
    upper = (1 - dx) * image[top, left] + dx * image[top, right]
    lower = (1 - dx) * image[bottom, left] + dx * image[bottom, right]
    return float((1 - dy) * upper + dy * lower)


def aligned_loop(x, region, scale, cells, ratio, aligned):
    """RoIAlign of one region and one channel, sample by sample."""
    shift = 0.5 if aligned else 0.0
    left, top, right, bottom = (float(v) * scale - shift for v in region[1:])
    height, width = bottom - top, right - left
    if not aligned:
        height, width = max(height, 1.0), max(width, 1.0)
    rows = ratio if ratio > 0 else max(math.ceil(height / cells), 1)
    columns = ratio if ratio > 0 else max(math.ceil(width / cells), 1)
    result = torch.zeros(cells, cells, dtype=x.dtype)
    for i in range(cells):
        for j in range(cells):
            total = 0.0
            for p in range(rows):
                for q in range(columns):
                    y = top + (i + (p + 0.5) / rows) * height / cells
                    total += bilinear(x, y, left + (j + (q + 0.5) / columns) * width / cells)
            result[i, j] = total / (rows * columns)
    return result


REGIONS = torch.tensor(
    [
        [0, 1.0, 2.0, 30.0, 40.0],
        [1, -9.0, -3.0, 20.0, 60.0],
        [1, 10.0, 10.0, 10.5, 10.2],
        [0, 60.0, 40.0, 80.0, 90.0],
    ],
    dtype=torch.float64,
)


@pytest.mark.parametrize("ratio", [2, -1])
@pytest.mark.parametrize("aligned", [True, False])
def test_roi_align_is_the_mean_of_bilinear_samples(ratio, aligned):
    x = torch.randn(2, 1, 13, 17, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    found = roi_align(x, REGIONS, 0.25, 3, 3, ratio, aligned)
    for index, region in enumerate(REGIONS):
        expected = aligned_loop(x[int(region[0]), 0], region, 0.25, 3, ratio, aligned)
        torch.testing.assert_close(found[index, 0], expected)


def test_ps_roi_pool_reads_a_channel_of_its_own_for_every_cell():
    x = torch.arange(8.0).reshape(1, 8, 1, 1).expand(1, 8, 6, 6).contiguous()
    regions = torch.tensor([[0, 0.0, 0.0, 5.0, 5.0]])
    pooled, channel = ps_roi_pool(x, regions, 1.0, 2, 2)
    assert channel.tolist() == [[[[0, 1], [2, 3]], [[4, 5], [6, 7]]]]
    torch.testing.assert_close(pooled, channel.to(pooled.dtype))


def test_ps_roi_pool_averages_the_pixels_of_a_cell():
    x = torch.arange(16.0).reshape(1, 1, 4, 4).expand(1, 4, 4, 4).contiguous()
    pooled, _ = ps_roi_pool(x, torch.tensor([[0, 0.0, 0.0, 3.0, 3.0]]), 1.0, 2, 2)
    assert pooled[0, 0].tolist() == [[2.5, 4.5], [10.5, 12.5]]


def test_nms_keeps_the_best_and_drops_what_overlaps_it():
    boxes = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 9], [20, 20, 30, 30], [0, 0, 10, 4]])
    assert nms(boxes, torch.tensor([0.5, 0.9, 0.1, 0.7]), 0.5).tolist() == [1, 3, 2]


def test_torchvision_runs_with_them_forward_and_backward():
    install()
    install()  # again does no harm
    from torchvision import ops

    x = torch.randn(2, 4, 7, 7, dtype=torch.float64, requires_grad=True)
    regions = torch.tensor([[0, 1.0, 2.0, 20.0, 24.0], [1, 3.0, 3.0, 20.0, 25.0]], dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda x: ops.roi_align(x, regions, (2, 2), 0.25, 2), (x,))
    assert torch.autograd.gradcheck(lambda x: ops.ps_roi_pool(x, regions, (2, 2), 0.25), (x,))
    assert ops.nms(torch.zeros(0, 4), torch.zeros(0), 0.5).tolist() == []
