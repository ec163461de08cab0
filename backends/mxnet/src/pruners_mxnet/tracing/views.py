"""Indexing that MXNet records as views: an array laid flat, a stretch of it, and its new shape."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from attrs import define, field

from .graph import Entry, Graph
from .indexing import cut
from .steps import Shape, Step, UnusualError


@define(eq=False)
class Views:
    """The views in a graph: their last node, and where each begins; what lies between is not written."""

    inner: set[int] = field(factory=set)
    """Nodes that only lay an array flat, or take a stretch of one laid flat."""
    starts: dict[int, tuple[Entry, int]] = field(factory=dict)
    """Last node -> the array that was indexed, and the first number of the stretch."""


def views(graph: Graph, shapes: Mapping[Entry, Shape], settings: Mapping[int, Mapping[str, Any]]) -> Views:
    """Find ``x[2:4]`` and its like, where nobody called a reshape by name."""
    found = Views()
    readers: dict[int, int] = {}
    for node in graph.nodes:
        for maker, _ in node.inputs:
            readers[maker] = readers.get(maker, 0) + 1
    for last, node in enumerate(graph.nodes):
        if node.op != "Reshape" or last in settings:
            continue
        middle = node.inputs[0][0]
        if graph.nodes[middle].op != "slice" or middle in settings or readers[middle] != 1:
            continue
        flat = graph.nodes[middle].inputs[0][0]
        laid = graph.nodes[flat].op == "Reshape" and flat not in settings and readers[flat] == 1
        if laid and len(shapes[flat, 0]) == 1 and len(shapes[middle, 0]) == 1:
            begin = int(graph.nodes[middle].attrs["begin"].strip("()[], "))
            found.inner.update((flat, middle))
            found.starts[last] = graph.nodes[flat].inputs[0], begin
    return found


def write_view(step: Step, begin: int) -> None:
    """Write down a stretch of an array as slices of its axes."""
    shape, out = step.shape, step.out
    if len(shape) != len(out) or any(n > full for n, full in zip(out, shape, strict=True)):
        raise UnusualError("view")
    starts = [int(start) for start in np.unravel_index(begin, shape)] if begin else [0] * len(shape)
    value = step.inputs[0]
    for axis, (start, length) in enumerate(zip(starts, out, strict=True)):
        value = cut(step, value, axis, start, start + length)
    if value in step.inputs:
        step.write("elementwise", [value], function="copy")
    else:
        step.give(value)
