"""What each kind of operation means for the labels of its inputs and outputs."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from attrs import define, field

from .labels import Axes, Axis, Labels, Reason
from .program import NONE, Op
from .sites import Sites

Rule = Callable[["Walk", Op], list[Axes]]
RULES: dict[str, Rule] = {}
"""Kind -> rule; filled by `rules` and `movement`."""


def rule(*kinds: str) -> Callable[[Rule], Rule]:
    """Register a function as the rule of some kinds."""

    def register(function: Rule) -> Rule:
        RULES.update(dict.fromkeys(kinds, function))
        return function

    return register


@define(eq=False)
class Walk:
    """One program being walked: the axes of its values so far, and what was met."""

    labels: Labels
    sites: Sites
    shapes: Sequence[tuple[int, ...]]
    axes: dict[int, Axes] = field(factory=dict)
    left: dict[int, list[int]] = field(factory=dict)
    """What stands where a coordinate is masked, per value and axis; see `zeros`."""
    produced: list[np.ndarray] = field(factory=list)
    """Axes that a weight gives: a unit needs one."""
    consumed: list[np.ndarray] = field(factory=list)
    """Axes that are summed over with a weight or another activation: a unit needs one."""
    rescales: bool = False
    """Whether an attention's scale can be kept when its width changes."""

    def inputs(self, op: Op) -> list[Axes]:
        """Return the axes of the inputs that are there."""
        return [self.axes[value] for value in op.inputs if value != NONE]

    def shape(self, value: int) -> tuple[int, ...]:
        """Return the shape of a value."""
        return self.shapes[value]

    def freeze(self, op: Op, text: str, *axes: Axis) -> None:
        """Keep axes whole, because of an operation."""
        for axis in axes:
            self.labels.freeze(axis, Reason(text, op.place))

    def join(self, op: Op, left: Axis, right: Axis) -> Axis:
        """Join two axes that an operation aligns."""
        return self.labels.join(left, right, Reason("meets something that cannot shrink", op.place))

    def consume(self, *axes: Axis) -> None:
        """Note axes that are summed over."""
        self.consumed.extend(axis for axis in axes if axis is not None)

    def produce(self, *axes: Axis) -> None:
        """Note axes that a weight gives."""
        self.produced.extend(axis for axis in axes if axis is not None)


def broadcast(walk: Walk, op: Op, operands: Sequence[int], shape: tuple[int, ...]) -> Axes:
    """Align operands from the last axis; a single coordinate stretched over several stays."""
    result: Axes = []
    for axis, length in enumerate(shape):
        met: list[Axis] = []
        for value in operands:
            own = walk.shape(value)
            index = axis - len(shape) + len(own)
            if index < 0:
                continue
            labels = walk.axes[value][index]
            if own[index] == length:
                met.append(labels)
            else:
                walk.freeze(op, "is stretched over several coordinates", labels)
        joined = met[0] if met else None
        for labels in met[1:]:
            joined = walk.join(op, joined, labels)
        result.append(joined)
    return result


@rule("elementwise")
def _elementwise(walk: Walk, op: Op) -> list[Axes]:
    operands = [value for value in op.inputs if value != NONE]
    axes = broadcast(walk, op, operands, walk.shape(op.outputs[0]))
    return [list(axes) for _ in op.outputs]


@rule("like")
def _like(walk: Walk, op: Op) -> list[Axes]:
    return [list(walk.axes[op.inputs[0]]) for _ in op.outputs]


@rule("conv")
def _conv(walk: Walk, op: Op) -> list[Axes]:
    x, weight, bias = (*op.inputs, NONE)[:3]
    x_axes, w_axes = walk.axes[x], walk.axes[weight]
    walk.freeze(op, "is a kernel's extent", *w_axes[2:])
    walk.freeze(op, "is a picture's extent", *x_axes[2:])
    groups = int(op.options["groups"])
    if op.options.get("transposed"):
        out = _transposed(walk, op, x_axes[1], w_axes, groups)
    elif groups == 1:
        walk.consume(walk.join(op, x_axes[1], w_axes[1]))
        out = w_axes[0]
    else:
        out = _grouped(walk, op, x_axes[1], w_axes, groups)
    if out is not None and bias != NONE:
        out = walk.join(op, out, walk.axes[bias][0])
    elif bias != NONE:
        walk.freeze(op, "belongs to a convolution kept whole", walk.axes[bias][0])
    walk.produce(out)
    return [[x_axes[0], out, *[None] * (len(walk.shape(op.outputs[0])) - 2)]]


def _transposed(walk: Walk, op: Op, x: Axis, weight: Axes, groups: int) -> Axis:
    if groups == 1:
        walk.consume(walk.join(op, x, weight[0]))
        return weight[1]
    walk.freeze(op, "belongs to a transposed convolution in groups", x, weight[0], weight[1])
    return None


def _grouped(walk: Walk, op: Op, x: Axis, weight: Axes, groups: int) -> Axis:
    """Depthwise: input and output are one. Else whole groups leave, or the same places in every group."""
    out, into = weight[0], weight[1]
    if x is None or out is None or into is None:
        walk.freeze(op, "belongs to a convolution in groups that cannot shrink", x, out, into)
        return None
    per_group_in, per_group_out = len(into), len(out) // groups
    if per_group_in == 1 and per_group_out == 1:
        walk.freeze(op, "is the one input of each group", into)
        return walk.join(op, x, out)
    tables = x.reshape(groups, per_group_in), out.reshape(groups, per_group_out)
    if groups >= per_group_in:
        walk.freeze(op, "is the width of a group, whole groups leave", into)
        first = [walk.labels.tie(table, 0) for table in tables]
        walk.labels.equate(first[0], first[1])
        walk.consume(x)
    else:
        walk.consume(into)
        walk.labels.equate(tables[0], into)
        walk.labels.tie(tables[1], 1)
    return out


@rule("contract")
def _contract(walk: Walk, op: Op) -> list[Axes]:
    operands, result = op.options["spec"].split("->")
    met: dict[str, Axis] = {}
    for letters, value in zip(operands.split(","), op.inputs, strict=True):
        for letter, axis in zip(letters, walk.axes[value], strict=True):
            met[letter] = walk.join(op, met[letter], axis) if letter in met else axis
    walk.consume(*(axis for letter, axis in met.items() if letter not in result))
    walk.produce(*(met[letter] for letter in result if operands.count(letter) == 1))
    return [[met[letter] for letter in result]]


@rule("attention")
def _attention(walk: Walk, op: Op) -> list[Axes]:
    q, k, v, *rest = op.inputs
    (*qb, qh, ql, qd), (*kb, kh, kl, kd), (*vb, vh, vl, vd) = (walk.axes[value] for value in (q, k, v))
    heads = _heads(walk, op, qh, walk.join(op, kh, vh))
    batch = [walk.join(op, walk.join(op, *pair), last) for *pair, last in zip(qb, kb, vb, strict=True)]
    if op.options.get("scale") is None and not walk.rescales:
        walk.freeze(op, "sets the scale of an attention", qd, kd)
    walk.consume(walk.join(op, qd, kd))
    walk.freeze(op, "has its coordinates mixed", walk.join(op, kl, vl))
    for mask in (value for value in rest if value != NONE):
        shape = (*walk.shape(q)[:-1], walk.shape(k)[-2])
        own, axes = walk.shape(mask), walk.axes[mask]
        aligned: Axes = [*batch, heads, ql, kl]
        for index, labels in enumerate(axes):
            at = index + len(shape) - len(own)
            if own[index] == shape[at]:
                walk.join(op, aligned[at], labels)
            else:
                walk.freeze(op, "is stretched over several coordinates", labels)
    return [[*batch, heads, ql, vd]]


def _heads(walk: Walk, op: Op, query: Axis, key: Axis) -> Axis:
    """Heads of queries and of keys; several query heads may share one key head."""
    if query is None or key is None or len(query) == len(key):
        return walk.join(op, query, key)
    walk.labels.equate(query.reshape(len(key), -1), key[:, None])
    return query


@rule("batch_norm", "group_norm")
def _channel_norm(walk: Walk, op: Op) -> list[Axes]:
    axes = list(walk.axes[op.inputs[0]])
    for value in op.inputs[1:]:
        if value != NONE:
            axes[1] = walk.join(op, axes[1], walk.axes[value][0])
    groups = int(op.options.get("groups", 1))
    channels = axes[1]
    if channels is not None and groups > 1:
        walk.labels.tie(channels.reshape(groups, -1), 1)
    return [axes]


@rule("layer_norm")
def _layer_norm(walk: Walk, op: Op) -> list[Axes]:
    axes = list(walk.axes[op.inputs[0]])
    over = op.options["axes"]
    for value in op.inputs[1:]:
        if value != NONE:
            for axis, labels in zip(over, walk.axes[value], strict=True):
                axes[axis] = walk.join(op, axes[axis], labels)
    return [axes]


@rule("reduce")
def _reduce(walk: Walk, op: Op) -> list[Axes]:
    axes = walk.axes[op.inputs[0]]
    over = set(op.options["axes"])
    walk.freeze(op, "is summed or compared over", *(axes[axis] for axis in over))
    if op.options["keepdims"]:
        kept = [None if axis in over else labels for axis, labels in enumerate(axes)]
    else:
        kept = [labels for axis, labels in enumerate(axes) if axis not in over]
    return [list(kept) for _ in op.outputs]


@rule("along", "window")
def _mixed(walk: Walk, op: Op) -> list[Axes]:
    axes = walk.axes[op.inputs[0]]
    over = set(op.options["axes"])
    walk.freeze(op, "has its coordinates mixed", *(axes[axis] for axis in over))
    for value in op.inputs[1:]:
        if value != NONE:
            walk.freeze(op, "steers an operation that mixes coordinates", *walk.axes[value])
    return [[None if axis in over else labels for axis, labels in enumerate(axes)] for _ in op.outputs]


@rule("embedding")
def _embedding(walk: Walk, op: Op) -> list[Axes]:
    indices, weight = op.inputs
    rows, width = walk.axes[weight]
    walk.freeze(op, "is looked up by index", rows, *walk.axes[indices])
    walk.produce(width)
    return [[None] * len(walk.shape(indices)) + [width]]


@rule("opaque", "whole")
def _whole(walk: Walk, op: Op) -> list[Axes]:
    text = op.options.get("reason") or f"goes through {op.place.operation or op.kind}, which has no rule"
    for axes in walk.inputs(op):
        walk.freeze(op, text, *axes)
    return [[None] * len(walk.shape(value)) for value in op.outputs]
