"""Nodes of an exported program as nodes of a flat graph."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, fx
from torch._ops import HigherOrderOperator, OpOverload

from pruners import TraceError

from .nodes import base_name, shown
from .regions import enter_autocast, leave_autocast

_ASKING = """_assert_tensor_metadata _assert_scalar _assert_async sym_constrain_range
    sym_constrain_range_for_size _functional_sym_constrain_range"""
"""Operations that only check shapes and types."""
_GRADIENTS = "wrap_with_set_grad_enabled"
_AUTOCAST = "wrap_with_autocast"
_NORM = torch.ops.aten.rms_norm.default


def take(node: fx.Node, owner: fx.GraphModule, graph: fx.Graph, known: dict[fx.Node, Any]) -> None:
    """Append a node, or the nodes of the part of the program that it calls, to a graph."""
    if node.op == "get_attr":
        return  # a part of the program, taken where it is called
    if node.op != "call_function":
        raise TraceError(f"{shown(node)} calls {node.target}, which no graph of tensors holds")
    if isinstance(node.target, HigherOrderOperator):
        known[node] = _part(node, owner, graph, known)
        return
    if base_name(node) in _ASKING.split():
        return
    if node.target is operator.getitem and isinstance(known.get(node.args[0]), tuple):  # type: ignore[arg-type]
        known[node] = known[node.args[0]][node.args[1]]  # type: ignore[index]
        return
    made = graph.node_copy(node, known.__getitem__)
    if made.target is _NORM:
        made.target = torch.rms_norm  # seen by those who watch PyTorch's functions
    known[node] = made


def _part(
    node: fx.Node, owner: fx.GraphModule, graph: fx.Graph, known: dict[fx.Node, Any]
) -> tuple[Any, ...]:
    """
    Append a part that runs with gradients on or off, or under other rules for automatic casts.

    Without gradients, what it reads is detached: the same memory, which it may write to.
    """
    name = node.target.name()  # type: ignore[union-attr]
    if name == _GRADIENTS:
        enabled, part, *given = node.args
        inside = dict(known)
        for each in () if enabled else given:
            if isinstance(each, fx.Node) and isinstance(each.meta.get("val"), Tensor):
                inside[each] = graph.call_function(torch.ops.aten.detach.default, (known[each],))
        return _inner(node, _owned(owner, part), given, graph, inside)
    if name == _AUTOCAST:
        *rules, part = node.args[:5]
        region = graph.call_function(enter_autocast, tuple(rules))
        results = _inner(node, _owned(owner, part), node.args[5:], graph, known)
        graph.call_function(leave_autocast, (region,))
        return results
    raise TraceError(f"{shown(node)} runs a part of the model under {name}, which cannot be rewritten")


def _owned(owner: fx.GraphModule, part: Any) -> fx.GraphModule:
    inner: fx.GraphModule = getattr(owner, str(part.target))
    return inner


def _inner(
    node: fx.Node, part: fx.GraphModule, given: Sequence[Any], graph: fx.Graph, known: dict[fx.Node, Any]
) -> tuple[Any, ...]:
    """Append the nodes of a part; return what it gives."""
    values = iter([fx.map_arg(each, known.__getitem__) for each in given])
    seen: dict[fx.Node, Any] = {}
    for each in part.graph.nodes:
        if each.op == "placeholder":
            seen[each] = next(values)
        elif each.op == "output":
            return tuple(fx.map_arg(value, seen.__getitem__) for value in each.args[0])
        else:
            take(each, part, graph, seen)
    raise TraceError(f"{shown(node)} runs a part without an output")


def tidy(graph: fx.Graph) -> None:
    """Erase what nothing reads: sizes that were only compared, tensors that are only named."""
    for node in reversed(list(graph.nodes)):
        if not node.users and (node.op == "get_attr" or (node.op == "call_function" and _asks(node))):
            graph.erase_node(node)


def _asks(node: fx.Node) -> bool:
    """Say whether a node only computes with sizes."""
    if isinstance(node.target, OpOverload):
        return base_name(node).startswith("sym_")
    return getattr(node.target, "__module__", "") in (
        "_operator",
        "operator",
        "math",
        "torch",
        "torch.fx",
    ) or (getattr(node.target, "__name__", "").startswith("sym_"))
