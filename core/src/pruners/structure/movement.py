"""Rules of the operations that move coordinates without changing them."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from .labels import Axes, Axis
from .program import NONE, Op
from .rules import Walk, broadcast, rule


@rule("transpose")
def _transpose(walk: Walk, op: Op) -> list[Axes]:
    axes = walk.axes[op.inputs[0]]
    return [[axes[axis] for axis in op.options["axes"]]]


@rule("squeeze")
def _squeeze(walk: Walk, op: Op) -> list[Axes]:
    axes, dropped = walk.axes[op.inputs[0]], set(op.options["axes"])
    walk.freeze(op, "is an axis of one coordinate that is dropped", *(axes[axis] for axis in dropped))
    return [[labels for axis, labels in enumerate(axes) if axis not in dropped]]


@rule("unsqueeze")
def _unsqueeze(walk: Walk, op: Op) -> list[Axes]:
    left = iter(walk.axes[op.inputs[0]])
    new = set(op.options["axes"])
    return [[None if axis in new else next(left) for axis in range(len(walk.shape(op.outputs[0])))]]


@rule("expand")
def _expand(walk: Walk, op: Op) -> list[Axes]:
    return [broadcast(walk, op, op.inputs[:1], walk.shape(op.outputs[0]))]


@rule("tile")
def _tile(walk: Walk, op: Op) -> list[Axes]:
    repeats = op.options["repeats"]
    own = walk.axes[op.inputs[0]]
    axes: Axes = [*[None] * (len(repeats) - len(own)), *own]
    pairs = zip(axes, repeats, strict=True)
    return [[None if labels is None else np.tile(labels, times) for labels, times in pairs]]


@rule("concat")
def _concat(walk: Walk, op: Op) -> list[Axes]:
    parts = [value for value in op.inputs if walk.shape(value) != (0,)]
    at = op.options["axis"]
    result = list(walk.axes[parts[0]])
    for value in parts[1:]:
        for axis, labels in enumerate(walk.axes[value]):
            if axis != at:
                result[axis] = walk.join(op, result[axis], labels)
    result[at] = _chained([(walk.axes[value][at], walk.shape(value)[at]) for value in parts])
    return [result]


def _chained(parts: list[tuple[Axis, int]]) -> Axis:
    """Put axes one after another; a part that stays has label 0."""
    if all(labels is None for labels, _ in parts):
        return None
    return np.concatenate([np.zeros(n, int) if labels is None else labels for labels, n in parts])


@rule("stack")
def _stack(walk: Walk, op: Op) -> list[Axes]:
    result = list(walk.axes[op.inputs[0]])
    for value in op.inputs[1:]:
        result = [walk.join(op, a, b) for a, b in zip(result, walk.axes[value], strict=True)]
    result.insert(op.options["axis"], None)
    return [result]


@rule("split")
def _split(walk: Walk, op: Op) -> list[Axes]:
    """Equal parts stay equal: the same places leave each."""
    axes, at = walk.axes[op.inputs[0]], op.options["axis"]
    labels, sizes = axes[at], op.options["sizes"]
    if labels is not None and len(sizes) > 1 and len(set(sizes)) == 1:
        walk.labels.tie(labels.reshape(len(sizes), -1), 1)
    ends = np.cumsum(sizes)
    return [
        [*axes[:at], None if labels is None else labels[end - size : end], *axes[at + 1 :]]
        for size, end in zip(sizes, ends, strict=True)
    ]


@rule("slice")
def _slice(walk: Walk, op: Op) -> list[Axes]:
    axes, at = list(walk.axes[op.inputs[0]]), op.options["axis"]
    labels = axes[at]
    if labels is not None:
        step = op.options.get("step", 1)
        whole = step == 1 and len(labels[op.options["start"] : op.options["stop"]]) == len(labels)
        axes[at] = labels if whole else labels[op.options["start"] : op.options["stop"] : step]
        if step != 1:
            walk.freeze(op, "is read at every other coordinate", labels)
    return [axes]


@rule("flip")
def _flip(walk: Walk, op: Op) -> list[Axes]:
    axes = list(walk.axes[op.inputs[0]])
    for axis in op.options["axes"]:
        labels = axes[axis]
        axes[axis] = None if labels is None else labels[::-1]
    return [axes]


@rule("select")
def _select(walk: Walk, op: Op) -> list[Axes]:
    axes, at = walk.axes[op.inputs[0]], op.options["axis"]
    walk.freeze(op, "has single coordinates picked out", axes[at])
    return [[*axes[:at], *axes[at + 1 :]] for _ in op.outputs]


@rule("pad")
def _pad(walk: Walk, op: Op) -> list[Axes]:
    """Zeros around an axis: channels of their own that any number may leave of."""
    result: Axes = []
    for labels, before, after in zip(
        walk.axes[op.inputs[0]], op.options["before"], op.options["after"], strict=True
    ):
        if before == after == 0 or labels is None:
            result.append(labels)
        elif before < 0 or after < 0 or op.options.get("mode", "constant") != "constant":
            walk.freeze(op, "is cropped or mirrored", labels)
            result.append(None)
        else:
            result.append(np.concatenate([walk.labels.fresh(before), labels, walk.labels.fresh(after)]))
    return [result]


@rule("gather")
def _gather(walk: Walk, op: Op) -> list[Axes]:
    axes = walk.axes[op.inputs[0]]
    walk.freeze(op, "is read by index", *(axes[axis] for axis in op.options["axes"]))
    for value in op.inputs[1:]:
        if value != NONE:
            walk.freeze(op, "is used as an index", *walk.axes[value])
    return [[None if source is None else axes[source] for source in op.options["result"]]]


@rule("write")
def _write(walk: Walk, op: Op) -> list[Axes]:
    destination, source = op.inputs[:2]
    return [broadcast(walk, op, (destination, source), walk.shape(destination))]


@rule("scatter")
def _scatter(walk: Walk, op: Op) -> list[Axes]:
    destination, source, *indices = op.inputs
    axes, written = walk.axes[destination], walk.axes[source]
    over = set(op.options["axes"])
    walk.freeze(op, "is written by index", *(axes[axis] for axis in over))
    for value in indices:
        if value != NONE:
            walk.freeze(op, "is used as an index", *walk.axes[value])
    shape, own = walk.shape(destination), walk.shape(source)
    result = list(axes)
    for back in range(1, len(own) + 1):
        axis = len(shape) - back
        if axis > max(over, default=-1) and own[-back] == shape[axis]:
            result[axis] = walk.join(op, result[axis], written[-back])
        else:
            walk.freeze(op, "is written by index", written[-back])
            if axis > max(over, default=-1):
                walk.freeze(op, "is written by index", result[axis])
    return [[None if axis in over else labels for axis, labels in enumerate(result)]]


@rule("pixel_shuffle")
def _pixel_shuffle(walk: Walk, op: Op) -> list[Axes]:
    axes, factor = list(walk.axes[op.inputs[0]]), op.options["factor"]
    labels = axes[1]
    if labels is not None:
        square = factor * factor
        axes[1] = np.repeat(labels, square) if factor < 0 else walk.labels.tie(labels.reshape(-1, square), 0)
    walk.freeze(op, "is a picture's extent", *axes[2:])
    return [[*axes[:2], None, None]]


@rule("unfold")
def _unfold(walk: Walk, op: Op) -> list[Axes]:
    axes = walk.axes[op.inputs[0]]
    walk.freeze(op, "is a picture's extent", *axes[2:])
    ratio = walk.shape(op.outputs[0])[1] // walk.shape(op.inputs[0])[1]
    labels = axes[1]
    return [[axes[0], None if labels is None else np.repeat(labels, ratio), None]]


@rule("fold")
def _fold(walk: Walk, op: Op) -> list[Axes]:
    axes, channels = walk.axes[op.inputs[0]], walk.shape(op.outputs[0])[1]
    walk.freeze(op, "is a picture's extent", *axes[2:])
    labels = axes[1]
    carried = None if labels is None else walk.labels.tie(labels.reshape(channels, -1), 0)
    return [[axes[0], carried, *[None] * (len(walk.shape(op.outputs[0])) - 2)]]


@rule("reshape")
def _reshape(walk: Walk, op: Op) -> list[Axes]:
    """Align the axes of input and output in blocks of equal size; labels move with their positions."""
    old, new = walk.shape(op.inputs[0]), walk.shape(op.outputs[0])
    axes = walk.axes[op.inputs[0]]
    result: Axes = [None] * len(new)
    if math.prod(old) == 0:
        walk.freeze(op, "is empty", *axes)
        return [result]
    for before, after in blocks(old, new):
        live = [axis for axis in before if axes[axis] is not None]
        if not live:
            continue
        if len(before) == len(after) == 1:
            result[after[0]] = axes[before[0]]
            continue
        kept = max(live, key=lambda axis: old[axis])
        walk.freeze(op, "is merged with another axis that can shrink", *(axes[a] for a in live if a != kept))
        carrier = _part(walk, op, axes[kept], kept - before[0], tuple(old[a] for a in before), after, new)
        if carrier is not None:
            result[carrier[0]] = carrier[1]
    return [result]


def blocks(old: tuple[int, ...], new: tuple[int, ...]) -> Iterator[tuple[list[int], list[int]]]:
    """Yield the axes of input and output that have the same number of coordinates, from the first."""
    i = j = 0
    while i < len(old) or j < len(new):
        before, after = [i] if i < len(old) else [], [j] if j < len(new) else []
        a = old[i] if before else 1
        b = new[j] if after else 1
        i, j = i + len(before), j + len(after)
        while a != b:
            if a < b:
                a *= old[i]
                before.append(i)
                i += 1
            else:
                b *= new[j]
                after.append(j)
                j += 1
        yield before, after


def _part(
    walk: Walk,
    op: Op,
    labels: Axis,
    place: int,
    lengths: tuple[int, ...],
    after: list[int],
    new: tuple[int, ...],
) -> tuple[int, np.ndarray] | None:
    """Return which output axis of a block carries the labels, and its labels; None where none can."""
    if labels is None:
        return None
    spread = labels.reshape([-1 if axis == place else 1 for axis in range(len(lengths))])
    table = np.broadcast_to(spread, lengths).reshape([new[axis] for axis in after])
    varying = [axis for axis in range(table.ndim) if (table != table.take([0], axis)).any()]
    if not varying:
        same = [axis for axis in range(table.ndim) if table.shape[axis] == len(labels)]
        if not same or len(labels) == 1 != table.size:
            walk.freeze(op, "cannot be told apart after a reshape", labels)
            return None
        varying = same[:1]
    if len(varying) == 1:
        carrier = varying[0]
        return after[carrier], np.moveaxis(table, carrier, -1).reshape(-1, table.shape[carrier])[0]
    site, carrier = walk.sites.choose(op, table.shape, varying)
    carried = walk.labels.tie(table, carrier)
    walk.sites.note(site, carried)
    return after[carrier], carried
