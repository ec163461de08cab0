"""What each neutral operation computes, as far as its record says: shapes for all, numbers for most."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from pruners.structure.program import NONE, Op

Shape = tuple[int, ...]

SHAPES: dict[str, Callable[[Op, list[Shape]], Sequence[Shape] | None]] = {}
NUMBERS: dict[str, Callable[[Op, list[Tensor]], Sequence[Tensor] | None]] = {}


def shape(*kinds):
    return lambda function: SHAPES.update(dict.fromkeys(kinds, function)) or function


def number(*kinds):
    return lambda function: NUMBERS.update(dict.fromkeys(kinds, function)) or function


def shapes_of(op: Op, inputs: list[Shape], count: int) -> Sequence[Shape] | None:
    """Return the shapes an operation must give; None where its record does not say."""
    found = SHAPES[op.kind](op, inputs) if op.kind in SHAPES else None
    return None if found is None else list(found) * (count if len(found) == 1 else 1)


@shape("elementwise")
def _(op, inputs):
    return [tuple(torch.broadcast_shapes(*inputs))]


@shape("like", "batch_norm", "group_norm", "layer_norm", "along", "flip")
def _(op, inputs):
    return [inputs[0]]


@shape("conv")
def _(op, inputs):
    x, weight = inputs[:2]
    options = op.options
    if options["transposed"]:
        assert x[1] == weight[0]
        return None
    assert x[1] == weight[1] * options["groups"]
    spread = zip(x[2:], weight[2:], options["stride"], options["padding"], options["dilation"], strict=True)
    return [(x[0], weight[0], *((n + 2 * p - d * (k - 1) - 1) // s + 1 for n, k, s, p, d in spread))]


@shape("contract")
def _(op, inputs):
    given, result = op.options["spec"].split("->")
    lengths: dict[str, int] = {}
    for letters, each in zip(given.split(","), inputs, strict=True):
        for letter, length in zip(letters, each, strict=True):
            assert lengths.setdefault(letter, length) == length
    return [tuple(lengths[letter] for letter in result)]


@shape("attention")
def _(op, inputs):
    query, key, value = inputs[:3]
    assert query[-1] == key[-1] and key[-2] == value[-2] and query[-3] % key[-3] == 0
    return [(*query[:-1], value[-1])]


@shape("reduce")
def _(op, inputs):
    axes, keep = op.options["axes"], op.options["keepdims"]
    kept = [1 if axis in axes else n for axis, n in enumerate(inputs[0]) if keep or axis not in axes]
    return [tuple(kept)]


@shape("transpose")
def _(op, inputs):
    assert sorted(op.options["axes"]) == list(range(len(inputs[0])))
    return [tuple(inputs[0][axis] for axis in op.options["axes"])]


@shape("squeeze")
def _(op, inputs):
    assert all(inputs[0][axis] == 1 for axis in op.options["axes"])
    return [tuple(n for axis, n in enumerate(inputs[0]) if axis not in op.options["axes"])]


@shape("unsqueeze")
def _(op, inputs):
    left = list(inputs[0])
    for axis in op.options["axes"]:
        left.insert(axis, 1)
    return [tuple(left)]


@shape("tile")
def _(op, inputs):
    repeats = op.options["repeats"]
    own = (1,) * (len(repeats) - len(inputs[0])) + inputs[0]
    return [tuple(n * times for n, times in zip(own, repeats, strict=True))]


@shape("concat")
def _(op, inputs):
    axis = op.options["axis"]
    length = sum(each[axis] for each in inputs)
    return [(*inputs[0][:axis], length, *inputs[0][axis + 1 :])]


@shape("stack")
def _(op, inputs):
    axis = op.options["axis"]
    return [(*inputs[0][:axis], len(inputs), *inputs[0][axis:])]


@shape("split")
def _(op, inputs):
    axis, x = op.options["axis"], inputs[0]
    assert sum(op.options["sizes"]) == x[axis]
    return [(*x[:axis], size, *x[axis + 1 :]) for size in op.options["sizes"]]


@shape("slice")
def _(op, inputs):
    axis, x, options = op.options["axis"], inputs[0], op.options
    assert 0 <= options["start"] <= options["stop"] <= x[axis]
    length = len(range(options["start"], options["stop"], options["step"]))
    return [(*x[:axis], length, *x[axis + 1 :])]


@shape("select")
def _(op, inputs):
    axis = op.options["axis"]
    return [(*inputs[0][:axis], *inputs[0][axis + 1 :])]


@shape("pad")
def _(op, inputs):
    amounts = zip(inputs[0], op.options["before"], op.options["after"], strict=True)
    return [tuple(n + before + after for n, before, after in amounts)]


@shape("embedding")
def _(op, inputs):
    return [(*inputs[0], inputs[1][1])]


@shape("write", "scatter")
def _(op, inputs):
    torch.broadcast_shapes(*inputs[:2]) if op.kind == "write" else None
    return [inputs[0]]


@shape("pixel_shuffle")
def _(op, inputs):
    batch, channels, height, width = inputs[0]
    f = op.options["factor"]
    if f < 0:
        return [(batch, channels * f * f, height // -f, width // -f)]
    return [(batch, channels // (f * f), height * f, width * f)]


def loose(op: Op, inputs: list[Shape], outputs: list[Shape]) -> bool:
    """Check what is known of kinds whose shapes the record leaves open."""
    x = inputs[0] if inputs else ()
    if op.kind == "reshape":
        return math.prod(x) == math.prod(outputs[0])
    if op.kind == "expand":
        return torch.broadcast_shapes(x, outputs[0]) == outputs[0]
    if op.kind == "window":
        mixed = set(op.options["axes"])
        return all(
            len(each) == len(x) and all(each[a] == n for a, n in enumerate(x) if a not in mixed)
            for each in outputs
        )
    if op.kind == "gather":
        result = op.options["result"]
        kept = all(s is None or x[s] == n for s, n in zip(result, outputs[0], strict=True))
        return kept and set(op.options["axes"]) <= set(range(len(x)))
    if op.kind in ("unfold", "fold"):
        wide, narrow = (outputs[0], x) if op.kind == "unfold" else (x, outputs[0])
        return wide[0] == narrow[0] and wide[1] % narrow[1] == 0
    if op.kind == "conv":
        return outputs[0][1] == inputs[1][1] * op.options["groups"]
    return op.kind in ("opaque", "whole")


@number("conv")
def _(op, inputs):
    x, weight, *bias = inputs
    options, extent = op.options, inputs[1].ndim - 2
    if options["transposed"]:
        return None
    function = (F.conv1d, F.conv2d, F.conv3d)[extent - 1]
    how = [options[name] for name in ("stride", "padding", "dilation", "groups")]
    return [function(x, weight, bias[0] if bias else None, *how)]


@number("contract")
def _(op, inputs):
    return [torch.einsum(op.options["spec"], *inputs)]


@number("attention")
def _(op, inputs):
    if inputs[0].shape[-2] == inputs[1].shape[-2] and len(inputs) < 4:
        return None  # may be causal
    mask = inputs[3] if len(inputs) > 3 else None
    query, key, value = inputs[:3]
    gqa = query.shape[-3] != key.shape[-3]
    given = {"attn_mask": mask, "scale": op.options["scale"], "enable_gqa": gqa}
    return [F.scaled_dot_product_attention(query, key, value, **given)]


@number("reduce")
def _(op, inputs):
    function = {"mean": torch.mean, "sum": torch.sum, "amax": torch.amax}.get(op.options["function"])
    if function is None or not inputs[0].is_floating_point():
        return None
    return [function(inputs[0], op.options["axes"], op.options["keepdims"])]


@number("transpose")
def _(op, inputs):
    return [inputs[0].permute(op.options["axes"])]


@number("squeeze")
def _(op, inputs):
    return [inputs[0].squeeze(op.options["axes"])]


@number("unsqueeze")
def _(op, inputs):
    (axis,) = op.options["axes"]
    return [inputs[0].unsqueeze(axis)]


@number("tile")
def _(op, inputs):
    return [inputs[0].repeat(op.options["repeats"])]


@number("concat")
def _(op, inputs):
    return [torch.cat(inputs, op.options["axis"])]


@number("stack")
def _(op, inputs):
    return [torch.stack(inputs, op.options["axis"])]


@number("split")
def _(op, inputs):
    return list(inputs[0].split(op.options["sizes"], op.options["axis"]))


@number("slice")
def _(op, inputs):
    options = op.options
    places = torch.arange(options["start"], options["stop"], options["step"])
    return [inputs[0].index_select(options["axis"], places)]


@number("flip")
def _(op, inputs):
    return [inputs[0].flip(op.options["axes"])]


@number("select")
def _(op, inputs):
    unbound = inputs[0].unbind(op.options["axis"])
    return unbound if len(op.outputs) > 1 else None


@number("pad")
def _(op, inputs):
    amounts = list(zip(op.options["before"], op.options["after"], strict=True))[::-1]
    return [F.pad(inputs[0], [amount for pair in amounts for amount in pair])]


@number("embedding")
def _(op, inputs):
    return [F.embedding(*inputs)]


@number("pixel_shuffle")
def _(op, inputs):
    factor = op.options["factor"]
    return [F.pixel_unshuffle(inputs[0], -factor) if factor < 0 else F.pixel_shuffle(inputs[0], factor)]


def computed(op: Op, inputs: Sequence[Tensor], outputs: Sequence[Tensor]) -> Sequence[Tensor] | None:
    """Return what the record of an operation says it computes; None where it leaves that open."""
    if op.kind in ("reshape", "expand"):
        method = inputs[0].reshape if op.kind == "reshape" else inputs[0].expand
        return [method(outputs[0].shape)]
    return NUMBERS[op.kind](op, list(inputs)) if op.kind in NUMBERS else None


def inputs_of(op: Op) -> list[int]:
    return [value for value in op.inputs if value != NONE]
