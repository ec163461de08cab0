"""torchvision's compiled operators in plain PyTorch, where its compiled library cannot be loaded.

A wheel of torchvision from the package index is linked against the CUDA build of PyTorch; beside the CPU
build it does not even import. `install` makes it importable and its detection models runnable, in float32
and float64, forward and backward. Every operator stays one operator, so that a recording of the model looks
as it does with the compiled library.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

SCHEMAS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "roi_align(Tensor input, Tensor rois, float spatial_scale, SymInt pooled_height, SymInt pooled_width,"
    " int sampling_ratio, bool aligned) -> Tensor",
    "ps_roi_pool(Tensor input, Tensor rois, float spatial_scale, SymInt pooled_height, SymInt pooled_width)"
    " -> (Tensor, Tensor)",
)

_kept: list[torch.library.Library] = []  # the operators live as long as this


def install() -> None:
    """Make torchvision importable and its detection models runnable; once is enough."""
    if hasattr(torch.ops.torchvision, "ps_roi_pool") or _compiled():  # this file may be imported twice
        return
    library = torch.library.Library("torchvision", "DEF")
    _kept.append(library)
    for schema in SCHEMAS:
        library.define(schema)
    library.impl("nms", nms, "CPU")
    library.impl("qnms", nms, "CPU")
    library.impl("roi_align", roi_align, "CPU")
    library.impl("ps_roi_pool", ps_roi_pool, "CPU")
    import torchvision.extension
    import torchvision.ops

    torch.library.register_fake("torchvision::roi_align", _roi_align_shape, lib=library)
    torch.library.register_autograd(
        "torchvision::roi_align", _roi_align_backward, setup_context=_remember_roi_align, lib=library
    )
    torch.library.register_autograd(
        "torchvision::ps_roi_pool", _ps_roi_pool_backward, setup_context=_remember_ps_roi_pool, lib=library
    )
    torchvision.extension._has_ops = _available
    sys.modules["torchvision.ops.roi_align"]._has_ops = _available  # type: ignore[attr-defined]


def _available() -> bool:
    return True


def _compiled() -> bool:
    """Return whether torchvision's own library can be loaded beside this PyTorch."""
    found = importlib.util.find_spec("torchvision")
    if found is None or not found.submodule_search_locations:
        raise ModuleNotFoundError("the zoo needs torchvision: pip install torchvision==0.28.0 --no-deps")
    for path in Path(found.submodule_search_locations[0]).glob("_C*.so"):
        try:
            torch.ops.load_library(path)
        except OSError:
            return False
        return True
    return False


def nms(dets: Tensor, scores: Tensor, iou_threshold: float) -> Tensor:
    """Return the boxes that no better box overlaps by more than `iou_threshold`, best first."""
    order = scores.argsort(descending=True, stable=True)
    boxes = dets[order].to(torch.float64)
    area = (boxes[:, 2:] - boxes[:, :2]).prod(1)
    top = torch.maximum(boxes[:, None, :2], boxes[None, :, :2])
    bottom = torch.minimum(boxes[:, None, 2:], boxes[None, :, 2:])
    shared = (bottom - top).clamp_(min=0).prod(2)
    over = shared > iou_threshold * (area[:, None] + area[None] - shared)
    alive = torch.ones(len(order), dtype=torch.bool)
    for index in range(len(order)):
        if alive[index]:
            alive[index + 1 :] &= ~over[index, index + 1 :]
    return order[alive]


def roi_align(
    input: Tensor,
    rois: Tensor,
    spatial_scale: float,
    pooled_height: int,
    pooled_width: int,
    sampling_ratio: int,
    aligned: bool,
) -> Tensor:
    """Average bilinear samples of each region's cells: (region, channel, row, column)."""
    rows, columns = _samples(
        input.shape[2:], rois, spatial_scale, (pooled_height, pooled_width), sampling_ratio, aligned
    )
    return torch.einsum("rph,rchw,rqw->rcpq", rows, input[rois[:, 0].long()], columns)


def _roi_align_shape(input: Tensor, rois: Tensor, spatial_scale: float, *rest: Any) -> Tensor:
    return input.new_empty((rois.shape[0], input.shape[1], rest[0], rest[1]))


def _remember_roi_align(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    input, rois, *ctx.how = inputs
    ctx.shape = input.shape
    ctx.save_for_backward(rois)


def _roi_align_backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
    (rois,) = ctx.saved_tensors
    scale, height, width, ratio, aligned = ctx.how
    rows, columns = _samples(ctx.shape[2:], rois, scale, (height, width), ratio, aligned)
    each = torch.einsum("rph,rcpq,rqw->rchw", rows, gradient, columns)
    whole = gradient.new_zeros(ctx.shape).index_add_(0, rois[:, 0].long(), each)
    return whole, None, None, None, None, None, None


def _samples(
    size: Sequence[int],
    rois: Tensor,
    scale: float,
    cells: tuple[int, int],
    ratio: int,
    aligned: bool,
) -> tuple[Tensor, Tensor]:
    """Return the weight of every row in every cell row (region, cell, row), and the same of columns."""
    corners = rois[:, 1:] * scale - (0.5 if aligned else 0.0)
    return (
        _sampled_axis(corners[:, 1], corners[:, 3], cells[0], size[0], ratio, aligned),
        _sampled_axis(corners[:, 0], corners[:, 2], cells[1], size[1], ratio, aligned),
    )


def _sampled_axis(begin: Tensor, end: Tensor, cells: int, size: int, ratio: int, aligned: bool) -> Tensor:
    """Return how much each position counts in each cell of one axis, (region, cell, position)."""
    length = end - begin if aligned else (end - begin).clamp(min=1.0)
    count = torch.full_like(length, ratio) if ratio > 0 else (length / cells).ceil().clamp(min=1.0)
    most = int(count.max()) if len(count) else 1
    index = torch.arange(most, dtype=begin.dtype)
    step = (length / cells)[:, None, None]
    cell = torch.arange(cells, dtype=begin.dtype)[:, None]
    place = begin[:, None, None] + step * (cell + (index + 0.5) / count[:, None, None])
    valid = (index < count[:, None, None]) & (place >= -1.0) & (place <= size)
    place = place.clamp(0, size - 1)
    position = torch.arange(size, dtype=begin.dtype)
    weight = (1 - (place[..., None] - position).abs()).clamp(min=0)
    return (weight * valid[..., None]).sum(2) / count[:, None, None]


def ps_roi_pool(
    input: Tensor, rois: Tensor, spatial_scale: float, pooled_height: int, pooled_width: int
) -> tuple[Tensor, Tensor]:
    """Average each region's cell over the channels meant for that cell; also say which these were."""
    rows, columns = _cells(input.shape[2:], rois, spatial_scale, (pooled_height, pooled_width))
    maps = input[rois[:, 0].long()].unflatten(1, (-1, pooled_height, pooled_width))
    pooled = torch.einsum("rph,rcpqhw,rqw->rcpq", rows, maps, columns)
    channel = torch.arange(input.shape[1], dtype=torch.int32).view(1, -1, pooled_height, pooled_width)
    return pooled, channel.expand(pooled.shape).contiguous()


def _remember_ps_roi_pool(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
    input, rois, *ctx.how = inputs
    ctx.shape = input.shape
    ctx.save_for_backward(rois)


def _ps_roi_pool_backward(ctx: Any, gradient: Tensor, _: Any) -> tuple[Tensor | None, ...]:
    (rois,) = ctx.saved_tensors
    scale, height, width = ctx.how
    rows, columns = _cells(ctx.shape[2:], rois, scale, (height, width))
    each = torch.einsum("rph,rcpq,rqw->rcpqhw", rows, gradient, columns).flatten(1, 3)
    whole = gradient.new_zeros(ctx.shape).index_add_(0, rois[:, 0].long(), each)
    return whole, None, None, None, None


def _cells(size: Sequence[int], rois: Tensor, scale: float, cells: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Return the weight of every row in every cell row (region, cell, row), and the same of columns."""
    begin, end = rois[:, 1:3].round() * scale, (rois[:, 3:].round() + 1) * scale
    return (
        _averaged_axis(begin[:, 1], end[:, 1], cells[0], size[0]),
        _averaged_axis(begin[:, 0], end[:, 0], cells[1], size[1]),
    )


def _averaged_axis(begin: Tensor, end: Tensor, cells: int, size: int) -> Tensor:
    """Return the share of each position in the mean over each cell of one axis."""
    step = ((end - begin).clamp(min=0.1) / cells)[:, None]
    cell = torch.arange(cells, dtype=begin.dtype)
    first = (begin[:, None] + cell * step).floor().clamp(0, size)[..., None]
    last = (begin[:, None] + (cell + 1) * step).ceil().clamp(0, size)[..., None]
    position = torch.arange(size, dtype=begin.dtype)
    inside = ((position >= first) & (position < last)).to(begin.dtype)
    return inside / inside.sum(2, keepdim=True).clamp(min=1)
