"""A graph with every size in it rewritten for tensors that have become smaller."""

from __future__ import annotations

from torch import fx

from . import sizes  # noqa: F401  (it fills the table)
from .lengths import Lengths
from .nodes import copied
from .work import Rewriting


def rewritten(graph: fx.Graph, lengths: Lengths) -> fx.Graph:
    """
    Return a copy of a recorded graph for the smaller tensors.

    Raises
    ------
    pruners.RemovalError
        If a node mentions a size that changes and cannot be rewritten; the node is named.
    """
    rewriting = Rewriting(lengths, *copied(graph))
    for node in graph.nodes:
        rewriting.take(node)
    rewriting.graph.lint()
    return rewriting.graph
