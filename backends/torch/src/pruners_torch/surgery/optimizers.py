"""What an optimizer remembers of each parameter, cut as the parameter is."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from pruners import OptionError, RemovalError

from .tensors import Piece, select

_WHOLE = {
    "LBFGS": "its history is about all parameters at once",
    "ZeroRedundancyOptimizer": "each rank holds another part of its state",
}
"""Optimizers whose state cannot be taken apart by parameter."""


def check(optimizers: Sequence[torch.optim.Optimizer], model: nn.Module) -> None:
    """Raise, before anything is changed, where an optimizer cannot go on with a smaller model."""
    own = {id(parameter) for parameter in model.parameters()}
    for optimizer in optimizers:
        kind = next((kind.__name__ for kind in type(optimizer).__mro__ if kind.__name__ in _WHOLE), None)
        if kind is not None:
            raise RemovalError(
                f"{kind} cannot go on after a removal: {_WHOLE[kind]}; "
                "remove channels without optimizer=, then make a new one"
            )
        if not any(id(parameter) in own for parameter in _parameters(optimizer)):
            raise OptionError("the optimizer holds none of the model's parameters; pass the one training it")


def cut(optimizers: Sequence[torch.optim.Optimizer], pieces: Sequence[Piece]) -> list[str]:
    """Keep the state of what stays; return the names of parameters whose state had to be cleared."""
    cleared = []
    for optimizer in optimizers:
        for piece in pieces:
            state = optimizer.state.get(piece.tensor)
            if not state or not piece.kept:
                continue
            if all(_fits(value, piece) for value in state.values()):
                for key, value in list(state.items()):
                    state[key] = _smaller(value, piece)
            else:
                del optimizer.state[piece.tensor]
                cleared.append(f"{piece.name} ({type(optimizer).__name__})")
    return cleared


def tell(cleared: Sequence[str]) -> None:
    """Warn of state that was cleared."""
    if cleared:
        listed = ", ".join(cleared[:3]) + (", ..." if len(cleared) > 3 else "")
        warnings.warn(
            f"the optimizer's state of {len(cleared)} parameters has another form than the parameters "
            f"and starts afresh: {listed}",
            UserWarning,
            stacklevel=2,
        )


def _fits(value: Any, piece: Piece) -> bool:
    """Return whether a part of the state can be cut: it spans each axis of the parameter, or does not."""
    if not isinstance(value, Tensor):
        return not any(tensor.numel() > 1 for tensor in _inner(value))
    if value.ndim == 0 or (value.numel() == 1 and value.shape != piece.shape):
        return True
    return value.ndim == len(piece.shape) and all(
        own in (1, full) for own, full in zip(value.shape, piece.shape, strict=True)
    )


def _inner(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from _inner(each)
    elif isinstance(value, (list, tuple)):
        for each in value:
            yield from _inner(each)


def _smaller(value: Any, piece: Piece) -> Any:
    if not isinstance(value, Tensor) or value.ndim != len(piece.shape):
        return value
    kept = {axis: indices for axis, indices in piece.kept.items() if value.shape[axis] == piece.shape[axis]}
    return select(value, kept) if kept else value


def _parameters(optimizer: torch.optim.Optimizer) -> Iterator[Tensor]:
    return (parameter for group in optimizer.param_groups for parameter in group["params"])
