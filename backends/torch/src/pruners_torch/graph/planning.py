"""What a plan does to the tensors of a graph, and how the masked reference treats them."""

from __future__ import annotations

import torch
from attrs import frozen
from torch import fx

from pruners.structure.plan import RemovalPlan

from ..surgery.tensors import Piece, pieces
from .model import GraphModel, routines_of
from .nodes import base_name, bound

_NORMS = ("_weight_norm", "_weight_norm_interface")


@frozen(eq=False)
class Direction(Piece):
    """The direction of a weight norm: its rows are divided by their length and so never zero."""

    own: int = 0
    """The axis of the rows."""

    def masked(self, dtype: torch.dtype, but: int | None = None) -> torch.Tensor:
        """Return a full-size copy in which what leaves is zero, except whole rows."""
        return super().masked(dtype, self.own)


def planned_pieces(plan: RemovalPlan, model: GraphModel) -> list[Piece]:
    """Return what a plan does to the tensors of a full-size graph, each once."""
    rows = _rows(model)
    found = pieces(plan, model)
    return [
        Direction(each.name, each.tensor, each.kept, each.factors, rows[each.name])
        if each.name in rows
        else each
        for each in found
    ]


def _rows(model: GraphModel) -> dict[str, int]:
    """Return {tensor: axis of its rows} of those whose rows a weight norm divides by their length."""
    found: dict[str, int] = {}
    for routine in routines_of(model).values():
        for node in routine.graph.nodes:
            if node.op == "call_function" and base_name(node) in _NORMS:
                given = bound(node)
                if isinstance(given["v"], fx.Node) and given["v"].op == "get_attr":
                    found[str(given["v"].target)] = int(given["dim"])
    return found
