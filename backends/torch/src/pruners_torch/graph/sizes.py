"""How the sizes in each operation's arguments follow from the lengths that its tensors will have."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import fx

from .work import Rewriting, handles

aten = torch.ops.aten

_SHAPED = """view reshape _unsafe_view view_copy _reshape_alias expand expand_copy broadcast_to new_zeros
    new_ones new_full new_empty zeros ones full empty rand randn randint"""
_SPLITS = "split split_with_sizes chunk tensor_split unsafe_split unsafe_split_with_sizes unsafe_chunk"
_CONVOLUTIONS = "conv1d conv2d conv3d convolution _convolution"
_TRANSPOSED = "conv_transpose1d conv_transpose2d conv_transpose3d"
_ORDERED = (
    "roll select select_scatter as_strided as_strided_scatter resize set empty_strided new_empty_strided"
)


@handles(*_SHAPED.split())
def _shape(work: Rewriting, node: fx.Node, given: dict[str, Any]) -> dict[str, Any]:
    name = "shape" if "shape" in given else "size"
    if not isinstance(given.get(name), (list, tuple)):
        return {}  # a view as another type
    return {name: work.sizes(given[name], work.lengths.old(node), work.lengths.new(node))}


@handles("unflatten")
def _unflatten(work: Rewriting, node: fx.Node, given: dict[str, Any]) -> dict[str, Any]:
    old, new, count = work.lengths.old(node), work.lengths.new(node), len(given["sizes"])
    first = given["dim"] % (len(old) - count + 1)
    part = slice(first, first + count)
    return {"sizes": work.sizes(given["sizes"], old[part], new[part])}


@handles("repeat", "tile")
def _repeat(work: Rewriting, node: fx.Node, given: dict[str, Any]) -> dict[str, Any]:
    name = "repeats" if "repeats" in given else "dims"
    source = work.lengths.new(given["self"])
    target = work.lengths.new(node)
    ones = (1,) * len(target)
    lengths = (*ones, *source)[-len(target) :]
    times = (*ones, *given[name])[-len(target) :]
    if len(given[name]) < len(target):
        return {}
    if any(whole % part for whole, part in zip(target, lengths, strict=True) if part):
        raise work.refuse(node, "repeats an axis of which only some repetitions are to stay")
    wanted = [whole // part if part else 1 for whole, part in zip(target, lengths, strict=True)]
    return {name: [work.number(each, want) for each, want in zip(times, wanted, strict=True)]}


@handles(*_SPLITS.split())
def _split(work: Rewriting, node: fx.Node, given: dict[str, Any]) -> dict[str, Any]:
    axis = given["dim"] % len(work.lengths.old(given["self"]))
    old, new = work.lengths.parts(node, axis)
    if old == new:
        return {}
    twin = work.twins[node]
    twin.target = aten.split_with_sizes.default
    twin.args, twin.kwargs = (work.twin(given["self"]), new, axis), {}
    return {}


@handles("slice", "slice_scatter")
def _slice(work: Rewriting, node: fx.Node, given: dict[str, Any]) -> dict[str, Any]:
    source = given["self"]
    length = work.lengths.old(source)[given["dim"]]
    kept = work.lengths.kept(source)[given["dim"]]
    if kept is None:
        return {}
    if given["step"] != 1:
        raise work.refuse(node, "reads every other coordinate of an axis that is to be shortened")
    start, stop = _bounds(work, given["start"], given["end"], length)
    first, last = int(np.searchsorted(kept, start)), int(np.searchsorted(kept, stop))
    return {
        "start": work.number(given["start"], first),
        "end": given["end"] if _open(given["end"], length) else work.number(given["end"], last),
    }


def _open(end: Any, length: int) -> bool:
    return end is None or (isinstance(end, int) and end >= length)


def _bounds(work: Rewriting, start: Any, end: Any, length: int) -> tuple[int, int]:
    """Return the bounds of a slice of the axis as it was."""
    given = [work.lengths.made[each] if isinstance(each, fx.Node) else each for each in (start, end)]
    first, last, _ = slice(*given).indices(length)
    return first, max(first, last)


@handles("narrow", "narrow_copy")
def _narrow(work: Rewriting, node: fx.Node, given: dict[str, Any]) -> dict[str, Any]:
    kept = work.lengths.kept(given["self"])[given["dim"]]
    if kept is None:
        return {}
    length = work.lengths.old(given["self"])[given["dim"]]
    start = work.lengths.made.get(given["start"], given["start"]) % max(length, 1)
    first = int(np.searchsorted(kept, start))
    wanted = work.lengths.new(node)[given["dim"]]
    return {"start": work.number(given["start"], first), "length": work.number(given["length"], wanted)}


@handles("constant_pad_nd", "pad")
def _pad(work: Rewriting, node: fx.Node, given: dict[str, Any]) -> dict[str, Any]:
    source, amounts = work.lengths.old(given["self"]), list(given["pad"])
    for pair in range(len(amounts) // 2):
        axis = len(source) - 1 - pair
        kept = work.lengths.kept(node)[axis]
        if kept is None:
            continue
        before = work.lengths.made.get(amounts[2 * pair], amounts[2 * pair])
        after = len(kept) - int(np.searchsorted(kept, before + source[axis]))
        amounts[2 * pair : 2 * pair + 2] = [int(np.searchsorted(kept, before)), after]
    return {"pad": work.twin(amounts)}


@handles(*_CONVOLUTIONS.split())
def _convolution(work: Rewriting, node: fx.Node, given: dict[str, Any]) -> dict[str, Any]:
    if given.get("transposed"):
        return _transposed(work, node, given)
    if given["groups"] == 1:
        return {}
    weight = work.lengths.new(given["weight"])
    x = work.lengths.new(given["input"])
    return {"groups": x[len(x) - len(weight) + 1] // weight[1]}


def _transposed(work: Rewriting, node: fx.Node, given: dict[str, Any]) -> dict[str, Any]:
    if given["groups"] != 1 and (work.lengths.cut(given["weight"]) or work.lengths.cut(given["input"])):
        raise work.refuse(node, "is a transposed convolution in groups")
    return {}


handles(*_TRANSPOSED.split())(_transposed)


@handles("layer_norm", "native_layer_norm")
def _layer_norm(work: Rewriting, node: fx.Node, given: dict[str, Any]) -> dict[str, Any]:
    shape = given["normalized_shape"]
    return {"normalized_shape": _last(work, given["input"], shape)}


@handles("rms_norm")
def _rms_norm(work: Rewriting, node: fx.Node, given: dict[str, Any]) -> None:
    x, shape, *rest = node.args
    if isinstance(x, fx.Node) and isinstance(shape, Sequence):
        work.twins[node].args = (work.twin(x), _last(work, x, shape), *work.twin(tuple(rest)))


def _last(work: Rewriting, x: fx.Node, shape: Sequence[Any]) -> list[Any]:
    count = len(shape)
    return work.sizes(shape, work.lengths.old(x)[-count:], work.lengths.new(x)[-count:])


@handles("group_norm", "native_group_norm")
def _group_norm(work: Rewriting, node: fx.Node, given: dict[str, Any]) -> dict[str, Any]:
    name = "num_groups" if "num_groups" in given else "group"
    kept = work.lengths.kept(given["input"])[1]
    if kept is None:
        return {}
    channels = work.lengths.old(given["input"])[1]
    counts = np.bincount(kept // (channels // given[name]), minlength=given[name])
    left = counts[counts > 0]
    if (left != left[0]).any():
        raise work.refuse(
            node, f"normalises groups of channels, of which {', '.join(map(str, counts))} are to stay"
        )
    changed: dict[str, Any] = {name: len(left)}
    return changed if name == "num_groups" else {**changed, "C": len(kept)}


@handles("channel_shuffle", "native_channel_shuffle")
def _channel_shuffle(work: Rewriting, node: fx.Node, given: dict[str, Any]) -> dict[str, Any]:
    kept = work.lengths.kept(given["self"])[1]
    if kept is None:
        return {}
    width = work.lengths.old(given["self"])[1] // given["groups"]
    return {"groups": len(np.unique(kept // width))}


@handles("scaled_dot_product_attention")
def _attention(work: Rewriting, node: fx.Node, given: dict[str, Any]) -> dict[str, Any]:
    """The scale stays what it was: that of the width that the model was trained with."""
    old, new = work.lengths.old(given["query"])[-1], work.lengths.new(given["query"])[-1]
    return {"scale": 1 / math.sqrt(old)} if given["scale"] is None and old != new else {}


@handles("repeat_interleave")
def _repeat_interleave(work: Rewriting, node: fx.Node, given: dict[str, Any]) -> dict[str, Any]:
    if given.get("output_size") is None or given.get("dim") is None:
        return {}
    return {"output_size": work.number(given["output_size"], work.lengths.new(node)[given["dim"]])}


@handles(*_ORDERED.split())
def _ordered(work: Rewriting, node: fx.Node, given: dict[str, Any]) -> dict[str, Any]:
    """Operations that mean single coordinates or a layout in memory: what they mean must stay."""
    x = given.get("self")
    dims = given.get("dim", given.get("dims", ()))
    axes = [dims] if isinstance(dims, int) else list(dims or range(len(work.lengths.old(node))))
    source = x if isinstance(x, fx.Node) else node
    kept = work.lengths.kept(source)
    if any(kept[axis] is not None for axis in axes):
        raise work.refuse(node, "means single coordinates of an axis that is to be shortened")
    return {}
