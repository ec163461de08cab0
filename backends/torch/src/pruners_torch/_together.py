"""Running a model in pieces: all ranks take a batch at the same time, gradients are reduced and put away."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from torch import Tensor, nn

from pruners import NeedsData, RankError
from pruners.sharding.agreeing import Together, at_work

from ._peers import TorchPeers
from ._pieces import sharded_modules

_HAS, _ENDED, _FAILED = 0, 1, 2


def in_step(data: Iterable[Any], peers: TorchPeers) -> Iterator[Any]:
    """Yield batches while every rank has one; a model in pieces hangs where one rank runs it alone."""
    batches, ranks = iter(data), at_work(peers)
    for number in range(1 << 62):
        batch, state, error = None, _HAS, None
        try:
            batch = next(batches)
        except StopIteration:
            state = _ENDED
        except Exception as found:
            state, error = _FAILED, found
        states = _everyones(state, ranks)
        if error is not None:
            raise error
        if _FAILED in states:
            raise RankError(f"rank {states.index(_FAILED)} could not read batch {number} of its data")
        if _ENDED in states:
            if _HAS in states:
                raise RankError(
                    f"rank {states.index(_ENDED)} has {number} batches of data and rank "
                    f"{states.index(_HAS)} more; give every rank equally many"
                )
            return
        yield batch


def _everyones(state: int, peers: Together) -> list[int]:
    mine = np.zeros(peers.size, np.int64)
    mine[peers.rank] = state
    found: list[int] = peers.sum(mine).tolist()
    return found


def reduced_gradients(model: nn.Module, value: Tensor, tensors: Sequence[Tensor]) -> list[Tensor | None]:
    """Return the gradients of a number, averaged over the ranks that each have their own, by parameter."""
    _check_synchronised(model)
    with _without_gradients(model):
        value.backward()  # type: ignore[no-untyped-call]
        return [tensor.grad for tensor in tensors]


@contextmanager
def _without_gradients(model: nn.Module) -> Iterator[None]:
    """Take every gradient and every hook that waits for one away; put them back."""
    for module in sharded_modules(model):
        module.reshard()
    parameters: list[Any] = list(model.parameters())
    before = [(parameter.grad, dict(parameter._post_accumulate_grad_hooks or {})) for parameter in parameters]
    for parameter in parameters:
        parameter.grad = None
        if parameter._post_accumulate_grad_hooks:
            parameter._post_accumulate_grad_hooks.clear()
    try:
        yield
    finally:
        for parameter, (gradient, hooks) in zip(parameters, before, strict=True):
            parameter.grad = gradient
            if hooks:
                parameter._post_accumulate_grad_hooks.update(hooks)


def _check_synchronised(model: nn.Module) -> None:
    for module in sharded_modules(model):
        state = module._get_fsdp_state()
        groups = getattr(state, "_fsdp_param_groups", None) or filter(None, [state._fsdp_param_group])
        for each in groups:
            waiting = any(param.unsharded_accumulated_grad is not None for param in each.fsdp_params)
            if waiting or not each.reduce_grads:
                raise NeedsData(
                    "gradients are being added up without synchronisation; "
                    "let masks be computed after an optimizer step, with set_requires_gradient_sync(True)"
                )
