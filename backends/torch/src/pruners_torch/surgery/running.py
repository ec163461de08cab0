"""Run a model on its example inputs without leaving a trace: random state, buffers, flags, inputs."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
import torch
from attrs import define
from torch import Tensor, nn
from torch.nn.modules.dropout import _DropoutNd
from torch.utils._pytree import tree_leaves, tree_map

from ..tracing.running import Arguments, set_mode
from .tensors import FLOATS, distinct, plain

_DROPOUTS = ("DropBlock", "DropBlock2d", "DropBlock3d", "DropPath", "StochasticDepth")
"""Names of modules, in several packages, that leave parts out at random while training."""


@define(eq=False)
class Bench:
    """A model and its example inputs, ready to be run."""

    model: nn.Module
    inputs: Arguments
    drew: bool = False
    """Whether PyTorch drew random numbers in the last run."""

    def run(self, mode: str, dtype: torch.dtype | None = None, steady: bool = False) -> Any:
        """
        Return what the model gives in a mode, without gradients; `steady` turns dropout off.

        Random numbers are the same in each run, and taken back. Training flags are left as they
        are then.
        """
        set_mode(self.model, mode)
        for module in self.model.modules() if steady else ():
            if isinstance(module, _DropoutNd) or type(module).__name__ in _DROPOUTS:
                module.eval()
        fresh = self.inputs.fresh()
        if dtype is not None:
            fresh = Arguments(_cast(fresh.positional, dtype), _cast(dict(fresh.named), dtype))
        with self._same_random_numbers(), _precision(dtype):
            return fresh.call(self.model)

    @contextmanager
    def _same_random_numbers(self) -> Iterator[None]:
        """Let a block draw random numbers, and take them back."""
        state, numbers = random.getstate(), np.random.get_state()  # noqa: NPY002
        devices = self._devices()
        with torch.random.fork_rng(devices=devices):
            before = _generators(devices)
            try:
                yield
                self.drew = not all(map(torch.equal, before, _generators(devices)))
            finally:
                random.setstate(state)
                np.random.set_state(numbers)  # noqa: NPY002

    def _devices(self) -> list[int]:
        given = tree_leaves((self.inputs.positional, dict(self.inputs.named)))
        leaves = [*distinct(self.model).values(), *given]
        places = {leaf.device for leaf in leaves if isinstance(leaf, Tensor)}
        return sorted(place.index for place in places if place.type == "cuda" and place.index is not None)


def _generators(devices: list[int]) -> list[Tensor]:
    return [torch.get_rng_state(), *(torch.cuda.get_rng_state(device) for device in devices)]


def _cast(values: Any, dtype: torch.dtype) -> Any:
    """Return nested arguments with their floats in another dtype."""

    def cast(leaf: Any) -> Any:
        return leaf.to(dtype) if isinstance(leaf, Tensor) and leaf.dtype in FLOATS else leaf

    return tree_map(cast, values)


@contextmanager
def _precision(dtype: torch.dtype | None) -> Iterator[None]:
    """Run a block in one precision throughout: what it makes itself, and no automatic casts."""
    if dtype is None:
        yield
        return
    before = torch.get_default_dtype()
    with torch.autocast("cpu", enabled=False), ExitStack() as stack:
        if torch.cuda.is_available():
            stack.enter_context(torch.autocast("cuda", enabled=False))
        torch.set_default_dtype(dtype)
        try:
            yield
        finally:
            torch.set_default_dtype(before)


@contextmanager
def fast_paths() -> Iterator[None]:
    """Run a block with the fused kernels of attention, as models do by default."""
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(True)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)


@contextmanager
def lent(model: nn.Module, values: Callable[[Tensor], Tensor]) -> Iterator[None]:
    """Give each tensor of a model other values while a block runs, then its own memory back."""
    held = {**distinct(model), **{id(tensor): tensor for _, _, tensor in plain(model)}}
    own = [(tensor, tensor.data) for tensor in held.values()]
    try:
        for tensor in held.values():
            tensor.data = values(tensor)
        yield
    finally:
        for tensor, data in own:
            tensor.data = data


def sheltered(tensor: Tensor) -> Tensor:
    """Return a copy of what a forward pass may write to; weights in training are left alone."""
    return tensor.data if tensor.requires_grad else tensor.data.clone()
