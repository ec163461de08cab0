"""The nodes of a graph: their arguments by name, their place in the user's model, copies of a graph."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import fx
from torch._ops import OpOverload

from pruners.structure.program import Place

_LIBRARY = str(Path(torch.__file__).parent)
_LINE = re.compile(r'File "([^"]+)", line (\d+)')
PLACE = "place"
"""Where a node's `pruners.structure.program.Place` is in its `meta`."""


def base_name(node: fx.Node) -> str:
    """Return an operation's name without its overload and without a trailing underscore."""
    if not isinstance(node.target, OpOverload):
        return getattr(node.target, "__name__", str(node.target))
    name = node.target._schema.name.partition("::")[2]
    return name[:-1] if name.endswith("_") and not name.endswith("__") else name


def bound(node: fx.Node) -> dict[str, Any]:
    """Return the arguments of an operation by name, defaults filled in."""
    if not isinstance(node.target, OpOverload):
        return dict(node.kwargs)
    arguments = node.target._schema.arguments
    given = {argument.name: argument.default_value for argument in arguments}
    given.update(zip(given, node.args, strict=False))
    given.update(node.kwargs)
    return given


def give(node: fx.Node, changed: Mapping[str, Any]) -> None:
    """Give arguments of an operation other values, by name."""
    assert_overload(node)
    names = [argument.name for argument in node.target._schema.arguments]  # type: ignore[union-attr]
    args, kwargs = list(node.args), dict(node.kwargs)
    for name, value in changed.items():
        position = names.index(name)
        if position < len(args):
            args[position] = value
        else:
            kwargs[name] = value
    node.args, node.kwargs = tuple(args), kwargs


def assert_overload(node: fx.Node) -> None:
    """Raise unless a node calls an operation with a schema."""
    if not isinstance(node.target, OpOverload):
        raise TypeError(f"node {node.name} calls {node.target}, which has no schema")


def place_of(node: fx.Node) -> Place:
    """Return where in the user's model a node comes from."""
    known = node.meta.get(PLACE)
    if isinstance(known, Place):
        return known
    stack = node.meta.get("nn_module_stack") or {}
    module = str(next(reversed(stack.values()))[0]) if stack else ""
    target = node.target
    operation = (
        str(target._schema.name).replace("::", ".") if isinstance(target, OpOverload) else base_name(node)
    )
    return Place(module, operation, _line(str(node.meta.get("stack_trace") or "")))


def _line(trace: str) -> str:
    """Return the innermost line of a stack that is not PyTorch's own."""
    found = [(path, line) for path, line in _LINE.findall(trace) if not path.startswith(_LIBRARY)]
    return f"{Path(found[-1][0]).name}:{found[-1][1]}" if found else ""


def shown(node: fx.Node) -> str:
    """Return a node in words, for messages."""
    return f"node {node.name!r} ({place_of(node)})"


def copied(
    graph: fx.Graph, values: Callable[[Any], Any] | None = None
) -> tuple[fx.Graph, dict[fx.Node, fx.Node]]:
    """Return a copy of a graph and each node's copy; `values` maps every argument that is no node."""
    copy = fx.Graph()
    known: dict[fx.Node, fx.Node] = {}

    def each(argument: Any) -> Any:
        if isinstance(argument, fx.Node):
            return known[argument]
        return argument if values is None else values(argument)

    for node in graph.nodes:
        args, kwargs = (fx.node.map_aggregate(given, each) for given in (node.args, node.kwargs))
        twin = copy.create_node(node.op, node.target, args, kwargs, node.name, node.type)
        twin.meta = dict(node.meta)
        known[node] = twin
    return copy, known


def on_device(graph: fx.Graph, old: torch.device, new: torch.device) -> fx.Graph:
    """Return a copy of a graph that makes its new arrays on another device."""
    return copied(graph, lambda value: new if isinstance(value, torch.device) and value == old else value)[0]
