"""Make the parameters of a block smaller, in place: the same objects, other arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import mxnet
from mxnet.gluon import Block, Constant, Parameter

from pruners.structure.plan import RemovalPlan

from ..resizing import clear_caches
from . import attributes
from .pieces import Piece
from .undo import Owner


def cut(owner: Owner, pieces: Sequence[Piece], plan: RemovalPlan) -> None:
    """
    Cut every parameter and its gradient, and rewrite the attributes that mirror their sizes.

    Parameters stay the same objects; hybridized parts stay so and build their graphs anew.
    """
    if not isinstance(owner, Block):
        for piece in pieces:
            owner[piece.name] = piece.cut(piece.held)
        return
    following = attributes.changes(owner, pieces)
    for piece in pieces:
        _cut(piece)
    for change in following:
        change.make()
    attributes.rewrite(owner, plan.attributes)
    clear_caches(owner)


def _cut(piece: Piece) -> None:
    parameter: Parameter = piece.held
    data = [piece.cut(array) for array in piece.originals]
    gradients = None if parameter._grad is None else [piece.smaller(each) for each in parameter._grad]
    parameter._data, parameter._grad = data, gradients
    parameter._shape, parameter._var = piece.after, None
    if isinstance(parameter, Constant):
        parameter.value = data[0]
    if gradients is not None:
        mxnet.autograd.mark_variables(data, gradients, parameter.grad_req)
    for smaller, original in zip(data, piece.originals, strict=True):
        _carry_over(smaller, original)


def _carry_over(smaller: Any, original: Any) -> None:
    """Let a trainer know of the smaller array what it knew: whether its gradient is new."""
    if original._fresh_grad:
        smaller._fresh_grad = True
