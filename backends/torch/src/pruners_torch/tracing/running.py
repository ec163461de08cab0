"""Run a model on its example inputs, and leave everything as it was."""

from __future__ import annotations

import gc
import random
import sys
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

import numpy as np
import torch
from attrs import define, field, frozen
from torch import Tensor, nn
from torch.utils._pytree import tree_map

from .._arrays import bits
from .steps import tensors


@frozen(eq=False)
class Arguments:
    """What a model is called with."""

    positional: tuple[Any, ...]
    named: Mapping[str, Any] = field(factory=dict)

    @classmethod
    def of(cls, example_inputs: Any) -> Arguments:
        """Take a tuple as positional arguments, a mapping as keywords, anything else as one input."""
        if isinstance(example_inputs, tuple):
            return cls(example_inputs)
        if isinstance(example_inputs, Mapping) and all(isinstance(name, str) for name in example_inputs):
            return cls((), example_inputs)
        return cls((example_inputs,))

    def fresh(self) -> Arguments:
        """Return copies that a model may write to."""
        return self._mapped(lambda leaf: leaf.detach().clone())

    def doubled(self) -> Arguments | None:
        """Return a batch of two, each example twice; None unless every tensor is a batch of one."""
        leaves = tensors((self.positional, dict(self.named)))
        if not leaves or any(leaf.ndim == 0 or leaf.shape[0] != 1 for leaf in leaves):
            return None
        return self._mapped(lambda leaf: torch.cat((leaf, leaf)))

    def call(self, model: nn.Module) -> Any:
        """Return what the model gives."""
        return model(*self.positional, **self.named)

    def _mapped(self, function: Any) -> Arguments:
        made: dict[int, Tensor] = {}

        def each(leaf: Any) -> Any:
            if not isinstance(leaf, Tensor):
                return leaf
            if id(leaf) not in made:  # attention asks whether two arguments are the same tensor
                made[id(leaf)] = function(leaf)
            return made[id(leaf)]

        return Arguments(tree_map(each, self.positional), tree_map(each, dict(self.named)))


_CONTAINERS = (dict, list, set)


@define(eq=False)
class Snapshot:
    """A model as it is now: its attributes, what they hold, its buffers."""

    model: nn.Module
    _attributes: list[tuple[dict[str, Any], dict[str, Any]]] = field(factory=list)
    _contents: list[tuple[Any, Any]] = field(factory=list)
    _buffers: list[tuple[Tensor, Tensor]] = field(factory=list)
    _training: list[tuple[nn.Module, bool]] = field(factory=list)
    _memory: dict[int, list[Tensor]] = field(factory=dict)
    _saved: dict[int, tuple[Tensor, Tensor]] = field(factory=dict)
    devices: list[int] = field(factory=list)
    """Graphics cards that parameters are on."""

    def __attrs_post_init__(self) -> None:
        parameters: dict[int, Tensor] = {}
        buffers: dict[int, Tensor] = {}
        for module in self.model.modules():
            held = vars(module)
            self._attributes.append((held, dict(held)))
            for value in held.values():
                if isinstance(value, _CONTAINERS):
                    self._contents.append((value, value.copy() if value else None))
            self._training.append((module, module.training))
            for found, kind in ((parameters, "_parameters"), (buffers, "_buffers")):
                found.update((id(each), each) for each in getattr(module, kind).values() if each is not None)
        for parameter in parameters.values():
            self._memory.setdefault(_memory(parameter), []).append(parameter)
        self._memory.pop(0, None)
        self._buffers = [(buffer, buffer.detach().clone()) for buffer in buffers.values()]
        places = {parameter.device for parameter in parameters.values()}
        self.devices = sorted({place.index for place in places if place.type == "cuda"} - {None})

    def guard(self, targets: Iterable[Tensor]) -> None:
        """Copy the parameters among tensors that are about to be written to."""
        for target in targets:
            for parameter in self._memory.get(_memory(target), ()):
                if id(parameter) not in self._saved:
                    self._saved[id(parameter)] = (parameter, parameter.detach().clone())

    def restore(self) -> None:
        """Put back whatever has changed."""
        for container, contents in self._contents:
            if contents is None:
                if container:
                    container.clear()
            elif not _same(container, contents):
                container.clear()
                (container.extend if isinstance(container, list) else container.update)(contents)
        for held, before in self._attributes:
            if not _same(held, before):
                held.clear()
                held.update(before)
        for module, training in self._training:
            if module.training != training:
                module.training = training
        with torch.no_grad():
            for tensor, value in [*self._buffers, *self._saved.values()]:
                if tensor.device.type != "meta" and not _equal(tensor, value):
                    tensor.copy_(value)
        self._saved.clear()


def _memory(tensor: Tensor) -> int:
    """Return where a tensor's memory lies; 0 where it has none."""
    if tensor.layout != torch.strided or tensor.device.type == "meta":
        return 0
    return tensor.untyped_storage().data_ptr()


def _same(held: Any, before: Any) -> bool:
    """Say whether a container holds the very same things in the same order."""
    if len(held) != len(before):
        return False
    if isinstance(held, dict):
        return all(a is b and held[a] is before[b] for a, b in zip(held, before, strict=True))
    if isinstance(held, set):
        return bool(held == before)
    return all(a is b for a, b in zip(held, before, strict=True))


def _equal(tensor: Tensor, value: Tensor) -> bool:
    """Say whether two tensors have the same bits."""
    if tensor.shape != value.shape or tensor.dtype != value.dtype or tensor.layout != torch.strided:
        return False
    if tensor.is_complex():
        tensor, value = torch.view_as_real(tensor), torch.view_as_real(value)
    return torch.equal(bits(tensor), bits(value))


@contextmanager
def untouched(snapshot: Snapshot) -> Iterator[None]:
    """Run a block; the model's attributes, buffers, flags and the random state are put back."""
    numbers, others = random.getstate(), np.random.get_state()  # noqa: NPY002
    with torch.random.fork_rng(devices=snapshot.devices):
        try:
            yield
        finally:
            random.setstate(numbers)
            np.random.set_state(others)  # noqa: NPY002
            snapshot.restore()


@contextmanager
def plainly() -> Iterator[None]:
    """Run a block without gradients, fused kernels of attention, compilation or cached casts."""
    collecting = gc.isenabled()
    gc.disable()  # thousands of small records: pauses of the collector would take longer than the pass
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    torch.clear_autocast_cache()
    try:
        with ExitStack() as stack:
            stack.enter_context(torch.inference_mode(False))
            stack.enter_context(torch.no_grad())
            stack.enter_context(warnings.catch_warnings())
            warnings.simplefilter("ignore")
            if "torch._dynamo" in sys.modules:
                stack.enter_context(torch.compiler.set_stance("force_eager"))
            yield
    finally:
        if collecting:
            gc.enable()
        torch.backends.mha.set_fastpath_enabled(fast)
        torch.clear_autocast_cache()


def set_mode(model: nn.Module, mode: str) -> None:
    """
    Put a model in evaluation or training mode by its own methods.

    `train` comes first: models empty by it what they keep for evaluation. An exported program has
    one mode only, and is evaluated as it is.
    """
    if mode == "train":
        model.train()
        return
    with suppress(NotImplementedError):
        model.train()
        model.eval()
