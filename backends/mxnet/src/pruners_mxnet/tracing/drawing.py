"""Makes the graph of a pass that was recorded."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import mxnet
import numpy as np
from attrs import define, field, frozen
from mxnet import autograd
from mxnet.base import MXNetError

from .arguments import arrays_in
from .capture import Capture
from .graph import Entry, Graph, Node, Variable
from .watching import Handed, recorded_name

Shape = tuple[int, ...]


@frozen(eq=False)
class Drawn:
    """A graph, and what is known of its nodes and arrays."""

    graph: Graph
    shapes: Mapping[Entry, Shape]
    settings: Mapping[int, Mapping[str, Any]]
    """Settings of nodes as the code handed them over, where that is known."""
    entries: Mapping[str, Entry]
    """Name of a recorded array -> where it is."""

    def entry(self, array: Any) -> Entry | None:
        """Return where an array is; None where it was not recorded."""
        return None if array is None else self.entries.get(recorded_name(array))


def draw(seen: Capture) -> Drawn:
    """Return the graph of everything that the model returned, passed between blocks, or looked at."""
    heads = arrays_in(seen.output)
    if not heads:
        raise TypeError(f"the model returned {type(seen.output).__name__}, which holds no array")
    gave = [array for call in seen.scopes.calls for array in call.gave]
    names = {name: array for array in [*heads, *gave, *seen.watch.read] if (name := recorded_name(array))}
    sketch = _Sketch(seen)
    if names:
        sketch.read(mxnet.sym.Group([autograd.get_symbol(array) for array in names.values()]))
    entries = [sketch.head(array) for array in heads]
    return Drawn(
        Graph(tuple(sketch.nodes), tuple(entries), sketch.variables, numpy=mxnet.util.is_np_shape()),
        sketch.shapes,
        sketch.settings,
        sketch.entries,
    )


@define(eq=False)
class _Sketch:
    seen: Capture
    nodes: list[Node] = field(factory=list)
    variables: dict[int, Variable] = field(factory=dict)
    shapes: dict[Entry, Shape] = field(factory=dict)
    settings: dict[int, Mapping[str, Any]] = field(factory=dict)
    entries: dict[str, Entry] = field(factory=dict)

    def head(self, array: Any) -> Entry:
        """Return where an array that the model returned is; one nobody recorded is a constant."""
        known = self.entries.get(recorded_name(array))
        if known is not None:
            return known
        name = recorded_name(array)
        marked = self.seen.marked.get(name)
        variable = Variable("constant", array=array) if marked is None else marked.variable
        self._variable(name or f"returned{len(self.nodes)}", variable, array)
        return len(self.nodes) - 1, 0

    def read(self, symbol: Any) -> None:
        """Take the nodes of a symbol, in the order in which they ran."""
        listed = json.loads(symbol.tojson())["nodes"]
        arrays = {recorded_name(array): array for array in self.seen.watch.used}
        order = sorted(range(len(listed)), key=lambda index: _turn(listed[index], index))
        moved = {old: new for new, old in enumerate(order)}
        handed = {_node_name(recorded_name(each.array)): each for each in self.seen.watch.handed}
        for old in order:
            node = listed[old]
            name = node["name"]
            if node["op"] == "null":
                marked = self.seen.marked.get(name)
                array = arrays.get(name) if marked is None else marked.array
                if array is None:
                    raise TypeError("an operator read an array that MXNet does not show")
                variable = Variable("constant", array=array) if marked is None else marked.variable
                self._variable(name, variable, array)
            else:
                self._operator(node, handed.get(name), moved)
        self._measure(symbol)

    def _variable(self, name: str, variable: Variable, array: Any) -> None:
        index = len(self.nodes)
        self.variables[index] = variable
        self.shapes[index, 0] = tuple(array.shape)
        self.entries[name] = (index, 0)
        self.nodes.append(Node("", name, {}, ()))

    def _operator(self, node: Mapping[str, Any], handed: Handed | None, moved: Mapping[int, int]) -> None:
        attrs = dict(node.get("attrs", {}))
        line = ""
        if handed is not None:
            attrs |= {key: str(value) for key, value in handed.chances.items()}
            self.settings[len(self.nodes)] = handed.settings
            line = handed.line
        op = node["op"]
        if op == "_copyto" and handed is not None:  # it runs only with an array to copy to
            op, attrs = "Cast", {"dtype": _dtype_name(handed.array)}
        inputs = tuple((moved[maker], number) for maker, number, *_ in node["inputs"])
        module = self.seen.scopes.of(_number(node["name"]))
        self.nodes.append(Node(op, node["name"], attrs, inputs, module, line))

    def _measure(self, symbol: Any) -> None:
        """Take down the outputs of every node and their shapes."""
        internals = symbol.get_internals()
        nodes = {node.name: index for index, node in enumerate(self.nodes)}
        counts: dict[int, int] = {}
        order: list[Entry] = []
        for name in internals.list_outputs():
            index = nodes[_node_name(name)]
            order.append((index, counts.get(index, 0)))
            counts[index] = counts.get(index, 0) + 1
            self.entries[name] = order[-1]
        known = {self.nodes[index].name: self.shapes[index, 0] for index in self.variables}
        found = _inferred(internals, known) or self._measured(order)
        self.shapes.update(zip(order, found, strict=True))

    def _measured(self, order: Sequence[Entry]) -> list[Shape]:
        """Return the shapes of arrays by running the graph again: some depend on the numbers."""
        graph = Graph(tuple(self.nodes), (), self.variables, numpy=mxnet.util.is_np_shape())
        return [tuple(array.shape) for array in graph.run(self.seen.feeds(graph), wanted=order)]


def _inferred(internals: Any, known: Mapping[str, Shape]) -> list[Shape] | None:
    """Return the shapes of all outputs; None where they depend on the numbers."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = internals.infer_shape_partial(**known)[1]
    except MXNetError:
        return None
    unknown = -1 if mxnet.util.is_np_shape() else 0
    if any(shape is None or not _is_known(tuple(shape), unknown) for shape in found):
        return None
    return [tuple(shape) for shape in found]


def _is_known(shape: Shape, unknown: int) -> bool:
    return unknown not in shape and (bool(shape) or unknown == -1)


def _dtype_name(array: Any) -> str:
    """Return MXNet's name of an array's type."""
    dtype = np.dtype(array.dtype)
    return str(dtype.names[0] if dtype.names else dtype.name)


def _node_name(name: str) -> str:
    """Return the name of the node that gave an output: ``"node_3_output1"`` is of ``"node_3"``."""
    return "_".join(name.split("_")[:2])


def _number(name: str) -> int:
    return int(name.split("_")[1])


def _turn(node: Mapping[str, Any], index: int) -> tuple[int, int]:
    """Return what sorts nodes as they ran: what was there before, then operators by their numbers."""
    return (-1, index) if node["op"] == "null" else (_number(node["name"]), index)
