"""Everything a removal may change, remembered by reference and put back bit for bit."""

from __future__ import annotations

from collections import OrderedDict, defaultdict, deque
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from .tensors import Owner, distinct, place, plain

_CONTAINERS = (dict, OrderedDict, defaultdict, list, set, deque)


class Snapshot:
    """
    What some modules and optimizers hold now: objects, not copies.

    `restore` brings back the same tensors with the same memory, gradients, attributes, hooks, flags
    and optimizer state. Values written into that memory meanwhile are not seen; `Shelter` keeps
    forward passes from doing so.
    """

    def __init__(self, owners: Iterable[Owner], optimizers: Iterable[torch.optim.Optimizer] = ()) -> None:
        owners = list(owners)
        modules = [module for owner in owners if isinstance(owner, nn.Module) for module in owner.modules()]
        self._tensors = [_Held(tensor) for owner in owners for tensor in _all(owner).values()]
        self._modules = [_Contents(vars(module)) for module in modules if _ordinary(module)]
        self._flags = [(module, module.training) for module in modules]
        self._optimizers = [_OptimizerContents(optimizer) for optimizer in optimizers]

    def restore(self) -> None:
        """Put everything back; an interrupt meanwhile is raised when that is done."""
        interrupt: KeyboardInterrupt | None = None
        while True:
            try:
                self._restore()
                break
            except KeyboardInterrupt as error:
                interrupt = error
        if interrupt is not None:
            raise interrupt

    def restore_flags(self) -> None:
        """Put back which modules were in training, nothing else."""
        for module, training in self._flags:
            if module.training != training:
                module.training = training

    def _restore(self) -> None:
        for contents in self._modules:
            contents.restore()
        self.restore_flags()
        for held in self._tensors:
            held.restore()
        for optimizer in self._optimizers:
            optimizer.restore()


class _Held:
    """One tensor: its memory and its gradient."""

    def __init__(self, tensor: Tensor) -> None:
        self._tensor, self._data, self._place = tensor, tensor.data, place(tensor)
        self._gradient = tensor.grad if tensor.is_leaf else None

    def restore(self) -> None:
        gradient = self._tensor.grad if self._tensor.is_leaf else None
        if place(self._tensor) == self._place and gradient is self._gradient:
            return
        put(self._tensor, self._data, self._gradient)


class _Contents:
    """What a namespace holds, and what the containers in it hold."""

    def __init__(self, namespace: dict[str, Any]) -> None:
        self._namespace, self._saved = namespace, dict(namespace)
        self._inner = [
            (value, type(value)(value) if not isinstance(value, defaultdict) else dict(value))
            for value in namespace.values()
            if type(value) in _CONTAINERS
        ]

    def restore(self) -> None:
        refill(self._namespace, self._saved)
        for container, saved in self._inner:
            refill(container, saved)


class _OptimizerContents:
    """An optimizer's state and groups."""

    def __init__(self, optimizer: torch.optim.Optimizer) -> None:
        inner = [state for state in optimizer.state.values() if isinstance(state, dict)]
        self._states = [(state, dict(state)) for state in (optimizer.state, *inner)]

    def restore(self) -> None:
        for state, saved in self._states:
            refill(state, saved)


def refill(container: Any, saved: Any) -> None:
    """Make a container hold again what it held, without replacing it; untouched ones are left alone."""
    if isinstance(container, dict):
        if len(container) == len(saved) and all(
            left is right and container[left] is saved[right]
            for left, right in zip(container, saved, strict=True)
        ):
            return
        container.clear()
        container.update(saved)
    elif isinstance(container, set):
        if container != saved:
            container.clear()
            container.update(saved)
    elif len(container) != len(saved) or any(
        left is not right for left, right in zip(container, saved, strict=True)
    ):
        container.clear()
        container.extend(saved)


def put(tensor: Tensor, data: Tensor, gradient: Tensor | None = None) -> None:
    """
    Give a tensor other memory and another gradient; it stays the same object.

    A graph of an earlier backward pass that the user still holds remembers the old shape where
    gradients arrive; only a change of dtype makes autograd forget it.
    """
    if tensor.is_leaf and tensor.grad is not gradient:
        tensor.grad = None
    if tensor.shape != data.shape and tensor.dtype == data.dtype:
        other = torch.float32 if data.dtype != torch.float32 else torch.float64
        tensor.data = torch.empty(0, dtype=other, device=data.device)
    tensor.data = data
    if gradient is not None and tensor.grad is not gradient:
        tensor.grad = gradient


def _all(owner: Owner) -> Mapping[int, Tensor]:
    found = distinct(owner)
    if isinstance(owner, nn.Module):
        found.update((id(tensor), tensor) for _, _, tensor in plain(owner))
    return found


def _ordinary(module: nn.Module) -> bool:
    return not isinstance(module, torch.jit.ScriptModule)
