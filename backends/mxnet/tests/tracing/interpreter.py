"""What each neutral operation computes, as far as its record says, in NumPy."""

from __future__ import annotations

import math

import numpy as np

from pruners.structure.program import NONE

NUMBERS = {}


def number(*kinds):
    return lambda function: NUMBERS.update(dict.fromkeys(kinds, function)) or function


def shape_of(program, op, given):
    """Return whether the recorded shapes agree with what an operation can give."""
    outputs = [program.shapes[value] for value in op.outputs]
    x = given[0] if given else ()
    if op.kind == "elementwise":
        return all(np.broadcast_shapes(*given) == each for each in outputs)
    if op.kind in ("like", "batch_norm", "group_norm", "layer_norm"):
        return outputs == [x]
    if op.kind == "reshape":
        return math.prod(x) == math.prod(outputs[0])
    if op.kind == "expand":
        return np.broadcast_shapes(x, outputs[0]) == outputs[0]
    if op.kind in ("window", "along"):
        mixed = set(op.options["axes"])
        kept = {axis: n for axis, n in enumerate(x) if axis not in mixed}
        return all(len(each) == len(x) and all(each[a] == n for a, n in kept.items()) for each in outputs)
    if op.kind == "gather":
        result = op.options["result"]
        pairs = zip(result, outputs[0], strict=True)
        return all(source is None or x[source] == n for source, n in pairs)
    if op.kind == "reduce":
        axes, keep = op.options["axes"], op.options["keepdims"]
        kept = tuple(1 if axis in axes else n for axis, n in enumerate(x) if keep or axis not in axes)
        return all(each == kept for each in outputs)
    return True


@number("conv")
def _(op, inputs, shapes):
    """Sum the products of shifted pictures, group by group."""
    x, weight, *bias = inputs
    options = op.options
    if options["transposed"]:
        return None
    groups, extent, out = options["groups"], x.shape[2:], np.zeros(shapes[0])
    padded = np.pad(x, [(0, 0), (0, 0), *[(p, p) for p in options["padding"]]])
    per_in, per_out = weight.shape[1], weight.shape[0] // groups
    for place in np.ndindex(*weight.shape[2:]):
        window = tuple(
            slice(k * d, k * d + (n - 1) * s + 1, s)
            for k, d, s, n in zip(place, options["dilation"], options["stride"], shapes[0][2:], strict=True)
        )
        seen = padded[(slice(None), slice(None), *window)]
        for group in range(groups):
            part = seen[:, group * per_in : (group + 1) * per_in]
            rows = slice(group * per_out, (group + 1) * per_out)
            taps = weight[(rows, slice(None), *place)]
            out[:, rows] += np.einsum("oi,bi...->bo...", taps, part)
    return [out + bias[0].reshape(-1, *[1] * len(extent)) if bias else out]


@number("contract")
def _(op, inputs, shapes):
    return [np.einsum(op.options["spec"], *inputs)]


@number("reduce")
def _(op, inputs, shapes):
    function = {"mean": np.mean, "sum": np.sum, "max": np.max, "min": np.min, "prod": np.prod}
    if op.options["function"] not in function:
        return None
    how = {"axis": op.options["axes"], "keepdims": op.options["keepdims"]}
    return [function[op.options["function"]](inputs[0], **how)]


@number("transpose")
def _(op, inputs, shapes):
    return [inputs[0].transpose(op.options["axes"])]


@number("squeeze")
def _(op, inputs, shapes):
    return [inputs[0].squeeze(op.options["axes"])]


@number("unsqueeze")
def _(op, inputs, shapes):
    return [np.expand_dims(inputs[0], op.options["axes"])]


@number("reshape")
def _(op, inputs, shapes):
    return [inputs[0].reshape(shapes[0])]


@number("expand")
def _(op, inputs, shapes):
    return [np.broadcast_to(inputs[0], shapes[0])]


@number("tile")
def _(op, inputs, shapes):
    return [np.tile(inputs[0], op.options["repeats"])]


@number("concat")
def _(op, inputs, shapes):
    return [np.concatenate(inputs, op.options["axis"])]


@number("stack")
def _(op, inputs, shapes):
    return [np.stack(inputs, op.options["axis"])]


@number("split")
def _(op, inputs, shapes):
    return np.split(inputs[0], np.cumsum(op.options["sizes"])[:-1], op.options["axis"])


@number("slice")
def _(op, inputs, shapes):
    o = op.options
    return [inputs[0].take(range(o["start"], o["stop"], o["step"]), o["axis"])]


@number("flip")
def _(op, inputs, shapes):
    return [np.flip(inputs[0], op.options["axes"])]


@number("pad")
def _(op, inputs, shapes):
    return [np.pad(inputs[0], list(zip(op.options["before"], op.options["after"], strict=True)))]


@number("embedding")
def _(op, inputs, shapes):
    return [inputs[1][inputs[0].astype(int)]]


@number("elementwise")
def _(op, inputs, shapes):
    function = {"add": sum, "relu": lambda all_: np.maximum(all_[0], 0), "copy": lambda all_: all_[0]}
    function |= {"copysign": lambda all_: all_[0]}
    name = op.options["function"]
    return [function[name](inputs)] if name in function and (len(inputs) > 1 or name != "add") else None


def computed(op, inputs, shapes):
    """Return what the record of an operation says it computes; None where it leaves that open."""
    return NUMBERS[op.kind](op, inputs, shapes) if op.kind in NUMBERS else None


def inputs_of(op):
    return [value for value in op.inputs if value != NONE]
