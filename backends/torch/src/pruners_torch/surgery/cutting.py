"""Make the tensors of a module smaller, in place: the same objects on smaller memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from pruners.structure.plan import RemovalPlan

from . import attributes
from .tensors import Owner, Piece, place
from .undo import put


def cut(owner: Owner, pieces: Sequence[Piece], plan: RemovalPlan) -> None:
    """
    Cut every tensor and its gradient, and rewrite the attributes that mirror their sizes.

    Parameters keep their identity. Tensors that are different objects on the same memory still share
    it. A module is left in evaluation mode.
    """
    following: list[attributes.Mirror] = []
    if isinstance(owner, nn.Module):
        owner.train()
        owner.eval()  # what models cache for evaluation is emptied by their own train
        following = attributes.mirrors(owner, pieces)
    shared: dict[Any, Tensor] = {}
    for piece in pieces:
        where = place(piece.original)
        if where not in shared:
            shared[where] = piece.cut()
        put(piece.tensor, shared[where], _gradient(piece))
    if isinstance(owner, nn.Module):
        attributes.refresh(owner)
        for mirror in following:
            mirror.update()
        attributes.rewrite(owner, plan.attributes)


def _gradient(piece: Piece) -> Tensor | None:
    """Return the kept part of the gradient, if there is one."""
    gradient = piece.tensor.grad if piece.tensor.is_leaf else None
    return None if gradient is None else piece.smaller(gradient)
