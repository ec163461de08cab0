"""A graph for training derived from one for evaluation, where only that was exported."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import fx
from torch._ops import OpOverload

from .nodes import base_name, bound, copied, give
from .routines import Routine

_FLAGS = {
    "batch_norm": "training",
    "native_batch_norm": "training",
    "instance_norm": "use_input_stats",
    "dropout": "train",
    "feature_dropout": "train",
    "alpha_dropout": "train",
    "feature_alpha_dropout": "train",
    "native_dropout": "train",
    "rrelu": "training",
    "lstm": "train",
    "gru": "train",
    "rnn_tanh": "train",
    "rnn_relu": "train",
}
"""Operations that do something else in training, and the argument that says so."""


def completed(routines: Mapping[str, Routine]) -> dict[str, Routine]:
    """Return a routine for both modes; one that is missing is the other with its flags turned."""
    found = dict(routines)
    for mode, other in (("eval", "train"), ("train", "eval")):
        if mode not in found:
            found[mode] = found[other].with_graph(turned(found[other].graph, training=mode == "train"))
    return found


def turned(graph: fx.Graph, training: bool) -> fx.Graph:
    """Return a copy of a graph whose dropout and batch norms do what they do in training, or do not."""
    copy, _ = copied(graph)
    for node in copy.nodes:
        flag = _FLAGS.get(base_name(node)) if node.op == "call_function" else None
        if flag is not None and flag in bound(node) and not (flag == "training" and _keeps_none(node)):
            give(node, {flag: training})
    return copy


def _keeps_none(node: fx.Node) -> bool:
    """Say whether a batch norm keeps no running statistics: it takes those of the batch in both modes."""
    given = bound(node)
    return "running_mean" in given and given["running_mean"] is None


_CHANCES = {
    "dropout": "p",
    "feature_dropout": "p",
    "alpha_dropout": "p",
    "feature_alpha_dropout": "p",
    "native_dropout": "p",
    "scaled_dot_product_attention": "dropout_p",
    "lstm": "dropout",
    "gru": "dropout",
    "rnn_tanh": "dropout",
    "rnn_relu": "dropout",
}
"""Operations that set numbers to zero at random, and the argument that says how often."""


def certain(routine: Routine) -> Routine | None:
    """Return the same without chance, so that it can be compared; None where that cannot be had."""
    if not any(node.op == "call_function" and _draws(node) for node in routine.graph.nodes):
        return routine
    copy, _ = copied(routine.graph)
    for node in copy.nodes:
        if node.op == "call_function" and _draws(node) and not _settled(node):
            return None
    return routine.with_graph(copy)


def _draws(node: fx.Node) -> bool:
    name = base_name(node)
    if name in _CHANCES:
        return bool(bound(node).get(_CHANCES[name]))
    return isinstance(node.target, OpOverload) and torch.Tag.nondeterministic_seeded in node.target.tags


def _settled(node: fx.Node) -> bool:
    """Let a node give numbers that do not depend on chance; return whether it can."""
    name, given = base_name(node), bound(node)
    if name in _CHANCES:
        give(node, {_CHANCES[name]: 0.0})
        return True
    if name == "bernoulli" and isinstance(node.args[0], fx.Node):
        in_place = node.target in (torch.ops.aten.bernoulli_.float, torch.ops.aten.bernoulli_.Tensor)
        target = torch.ops.aten.fill_.Scalar if in_place else torch.ops.aten.full_like.default
        node.target, node.args, node.kwargs = target, (node.args[0], 1.0), {}
        return True
    if name in ("rand_like", "randn_like"):
        node.target, node.args = torch.ops.aten.ones_like.default, (given["self"],)
        return True
    if name in ("rand", "randn"):
        node.target, node.args = torch.ops.aten.ones.default, (given["size"],)
        return True
    return False
