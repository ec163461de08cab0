"""A module as a pruner sees it: read-only weights, activations and gradients streamed."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import array_api_compat.torch as ops
import torch
from attrs import frozen
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from pruners import Loss, NeedsData, ReadOnlyError

from ._layers import Weight
from ._peers import TorchPeers
from ._pieces import alike, local, whole
from ._together import in_step, reduced_gradients


class ReadOnly(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """While active, an operation that would write to one of the given tensors raises instead."""

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._names = {tensor.untyped_storage().data_ptr(): name for name, tensor in tensors.items()}
        self._names.pop(0, None)  # tensors without memory

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # what keeps torch._dynamo away loads it first, which takes seconds

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Refuse writes to what is guarded, pass everything else on."""
        if func._schema.is_mutable:
            for written in _written(func._schema, args, kwargs or {}):
                name = self._names.get(local(written).untyped_storage().data_ptr())
                if name is not None:
                    raise ReadOnlyError(
                        f"{func} would write to {name!r}; a view is read-only, work on a copy"
                    )
        return func(*args, **(kwargs or {}))


def _written(schema: Any, args: Any, kwargs: Any) -> Iterator[Tensor]:
    for index, argument in enumerate(schema.arguments):
        if argument.alias_info is not None and argument.alias_info.is_write:
            value = args[index] if index < len(args) else kwargs.get(argument.name)
            yield from (leaf for leaf in tree_leaves(value) if isinstance(leaf, Tensor))


@frozen(eq=False)
class TorchView:
    """One open module as a pruner sees it."""

    model: nn.Module
    parameters: Mapping[str, Weight]
    weights: Mapping[str, Tensor]
    prepared: Mapping[str, float]
    data: Iterable[Any] | None
    loss: Loss | None
    peers: TorchPeers | None = None
    ops: Any = ops

    @property
    def _in_pieces(self) -> bool:
        return any(weight.layout is not None for weight in self.parameters.values())

    def activations(self, gradients: bool = False) -> Generator[tuple[Any, ...], None, None]:
        """
        Yield each layer's output ``(batch, channel, ...)`` batch by batch, in evaluation mode.

        With ``gradients=True`` the gradient of the loss with respect to it comes third. A layer
        called twice in one forward pass is yielded twice. Buffers, training flags and random
        state are as before once the iteration ends.
        """
        if gradients and self.loss is None:
            raise NeedsData("activations(gradients=True) needs loss=function(model, batch) -> scalar")
        with evaluating(self.model), self._recording() as seen:
            for batch in self._batches():
                seen.clear()
                with torch.set_grad_enabled(gradients):
                    value = self._run(batch)
                    slopes = _slopes(value, seen) if gradients else []
                for index, (name, output) in enumerate(seen):
                    channels = self._channels_first(name, output.detach())
                    if gradients:
                        yield name, channels, self._channels_first(name, slopes[index])
                    else:
                        yield name, channels

    def gradients(self) -> dict[str, Tensor]:
        """
        Return the mean gradient of the loss per weight, ``(out, in, *kernel)``, over all batches.

        Of a layer in pieces, this rank's piece of the mean over all ranks; their own gradients and
        optimizers are left alone.
        """
        if self.loss is None:
            raise NeedsData("gradients() needs loss=function(model, batch) -> scalar")
        tensors = {name: self.parameters[name].parameter for name in self.weights}
        total = {name: torch.zeros_like(local(tensor)) for name, tensor in tensors.items()}
        count = 0
        with evaluating(self.model), requiring_grad(tensors.values()):
            for batch in self._batches():
                with torch.enable_grad():
                    value = _scalar(self.loss(self.model, batch))
                    found = self._slopes_of(value, list(tensors.values()))
                for name, gradient in zip(tensors, found, strict=True):
                    if gradient is None:
                        raise NeedsData(
                            f"no gradient of the loss reaches layer {name!r}; leave it out of the rule"
                        )
                    here = local(alike(gradient, tensors[name]))
                    total[name] += here.to_dense() if here.is_sparse else here
                count += 1
        return {name: self.parameters[name].canonical(tensor / count) for name, tensor in total.items()}

    def _slopes_of(self, value: Tensor, tensors: list[Tensor]) -> Sequence[Tensor | None]:
        if self._in_pieces:
            return reduced_gradients(self.model, value, tensors)
        return torch.autograd.grad(value, tensors, allow_unused=True)

    def _batches(self) -> Iterator[Any]:
        if self.data is None:
            raise NeedsData("this pruner looks at data: pass data=batches")
        data = in_step(self.data, self.peers) if self.peers and self._in_pieces else self.data
        count = 0
        for count, batch in enumerate(data, start=1):  # noqa: B007
            yield batch
        if not count:
            raise NeedsData("data gave no batch; pass a list or a loader that can be read again")

    def _run(self, batch: Any) -> Any:
        if self.loss is not None:
            return self.loss(self.model, batch)
        if isinstance(batch, Mapping):
            return self.model(**batch)
        return self.model(batch[0] if isinstance(batch, (list, tuple)) else batch)

    @contextmanager
    def _recording(self) -> Iterator[list[tuple[str, Tensor]]]:
        seen: list[tuple[str, Tensor]] = []
        hooks = [
            self.parameters[name].module.register_forward_hook(_recorder(seen, name)) for name in self.weights
        ]
        try:
            yield seen
        finally:
            for hook in hooks:
                hook.remove()

    def _channels_first(self, name: str, output: Tensor) -> Tensor:
        """Return an output as ``(batch, channel, ...)``: dense layers and attention hold channels last."""
        layer = self.parameters[name].layer
        convolutional = layer.type.startswith("Conv") or "_ConvNd" in layer.bases
        if convolutional:
            channels = output.unsqueeze(0) if output.ndim < len(layer.shape) else output
        else:
            channels = output.movedim(-1, 1) if output.ndim > 2 else output
        if self._in_pieces and "Linear" in layer.bases and channels.shape[1] != layer.shape[0]:
            raise NeedsData(
                f"a rank computes {channels.shape[1]} of the {layer.shape[0]} outputs of {name!r}: it is "
                "split by tensor parallelism; score before sharding, or leave it out of the rule"
            )
        return channels


def _recorder(seen: list[tuple[str, Tensor]], name: str) -> Any:
    def record(module: nn.Module, args: Any, output: Any) -> Any:
        first = whole(next(leaf for leaf in tree_leaves(output) if isinstance(leaf, Tensor)))
        if torch.is_grad_enabled() and not first.requires_grad:
            first.requires_grad_()
        seen.append((name, first))

    return record


def _slopes(value: Any, seen: list[tuple[str, Tensor]]) -> list[Tensor]:
    outputs = [output for _, output in seen]
    found = torch.autograd.grad(_scalar(value), outputs, allow_unused=True)
    for (name, _), slope in zip(seen, found, strict=True):
        if slope is None:
            raise NeedsData(
                f"no gradient of the loss reaches the output of {name!r}; leave it out of the rule"
            )
    return list(found)


def _scalar(value: Any) -> Tensor:
    if not isinstance(value, Tensor) or value.numel() != 1:
        shape = tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
        raise NeedsData(f"loss must return one number as a tensor, got {shape}")
    if not value.requires_grad:
        raise NeedsData("the loss does not depend on any weight: it has no gradient")
    return value


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Run a block in evaluation mode; training flags, buffers and random state are put back."""
    flags = {module: module.training for module in model.modules()}
    buffers = [(buffer, buffer.detach().clone()) for buffer in model.buffers()]
    devices = sorted({p.device.index for p in model.parameters() if p.device.type == "cuda"} - {None})
    with torch.random.fork_rng(devices=devices):
        model.eval()
        try:
            yield
        finally:
            for module, training in flags.items():
                module.training = training
            with torch.no_grad():
                for buffer, value in buffers:
                    if not torch.equal(buffer, value):
                        buffer.copy_(value)


@contextmanager
def requiring_grad(parameters: Iterable[Tensor]) -> Iterator[None]:
    """Let frozen parameters have gradients for a while."""
    frozen_ones = [parameter for parameter in parameters if not parameter.requires_grad]
    for parameter in frozen_ones:
        parameter.requires_grad_(True)
    try:
        yield
    finally:
        for parameter in frozen_ones:
            parameter.requires_grad_(False)
