"""A block as a pruner sees it: read-only weights, activations and gradients streamed."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import mxnet
import numpy as np
from attrs import field, frozen
from mxnet.gluon import Block

from pruners import Loss, NeedsData

from ._arrays import shared, to_host
from ._guarding import ReadOnly
from ._layers import Weight
from ._ops import OPS
from ._pooling import differentiable
from ._seen import seen
from ._tapping import Tapped, channels_second, tapped
from .lending import eager, lent, parameters, undisturbed

__all__ = ["MXNetView", "ReadOnly"]


@frozen(eq=False)
class Weights(Mapping[str, Any]):
    """
    Weights ``(out, in, *kernel)`` by name, as `mxnet.np` arrays that refuse to be written to.

    They share the parameters' memory where the layout allows it.
    """

    parameters: Mapping[str, Weight]
    names: tuple[str, ...]

    def __getitem__(self, name: str) -> Any:
        if name not in self.names:
            raise KeyError(name)
        weight = self.parameters[name]
        data = weight.parameter.list_data()[0].detach()
        return seen(weight.layout.canonical(shared(data, numpy=True)))

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)


@frozen(eq=False)
class MXNetView:
    """One open block as a pruner sees it."""

    model: Block
    parameters: Mapping[str, Weight]
    names: tuple[str, ...]
    prepared: Mapping[str, float]
    data: Iterable[Any] | None
    loss: Loss | None
    ops: Any = field(default=OPS)

    @property
    def weights(self) -> Mapping[str, Any]:
        """``{parameter name: (out, in, *kernel) mxnet.np.ndarray}``."""
        return Weights(self.parameters, self.names)

    def host(self, array: Any) -> np.ndarray:
        """Return an array of MXNet as NumPy, without a copy where memory allows."""
        return to_host(array)

    def activations(self, gradients: bool = False) -> Generator[tuple[Any, ...], None, None]:
        """
        Yield each layer's output ``(batch, channel, ...)`` batch by batch, in prediction mode.

        With ``gradients=True`` the gradient of the loss with respect to it comes third. A layer
        called twice in one forward pass is yielded twice. The output of a layer with an activation
        of its own, ``Conv2D(..., activation="relu")``, is what it hands to that activation. Between
        batches the block is as it was: statistics, gradients, hybridization. MXNet does not tell
        the state of its random numbers; in prediction mode its layers draw none.
        """
        if gradients and self.loss is None:
            raise NeedsData("activations(gradients=True) needs loss=function(model, batch) -> scalar")
        for batch in self._batches():
            for tap in self._tapped(batch, gradients):
                channels = self._channels_second(tap.name, tap.output)
                if not gradients:
                    yield tap.name, channels
                else:
                    yield tap.name, channels, self._channels_second(tap.name, tap.slope())

    def gradients(self) -> dict[str, Any]:
        """Return the mean gradient of the loss per weight, ``(out, in, *kernel)``, over all batches."""
        if self.loss is None:
            raise NeedsData("gradients() needs loss=function(model, batch) -> scalar")
        total: dict[str, Any] = {}
        count = 0
        for batch in self._batches():
            for name, gradient in self._gradients(batch).items():
                total[name] = total[name] + gradient if name in total else gradient
            count += 1
        return {
            name: seen(self.parameters[name].layout.canonical(shared(each / count, numpy=True)))
            for name, each in total.items()
        }

    def _batches(self) -> Iterator[Any]:
        if self.data is None:
            raise NeedsData("this pruner looks at data: pass data=batches")
        count = 0
        for count, batch in enumerate(self.data, start=1):  # noqa: B007
            yield batch
        if not count:
            raise NeedsData("data gave no batch; pass a list or a loader that can be read again")

    def _run(self, batch: Any) -> Any:
        if self.loss is not None:
            return self.loss(self.model, batch)
        if isinstance(batch, Mapping):
            return self.model(**batch)
        return self.model(batch[0] if isinstance(batch, (list, tuple)) else batch)

    def _tapped(self, batch: Any, gradients: bool) -> list[Tapped]:
        """Run the block on one batch and return what its layers gave."""
        owners = [(name, self.parameters[name].owner) for name in self.names]
        with self._working(()), tapped(owners, gradients) as taps, ExitStack() as scopes:
            if gradients:
                scopes.enter_context(mxnet.autograd.record(train_mode=False))
                scopes.enter_context(differentiable())
            value = self._run(batch)
            scopes.close()
            if gradients:
                _backward(value)
        return taps

    def _gradients(self, batch: Any) -> dict[str, Any]:
        with self._working(self.names) as marked:
            with mxnet.autograd.record(train_mode=False), differentiable():
                value = self._run(batch)
            _backward(value)
        return {name: _gradient(name, arrays) for name, arrays in marked.items()}

    @contextmanager
    def _working(self, marked: Iterable[str]) -> Iterator[dict[str, list[Any]]]:
        """Run a block of code on the model's own numbers, without its gradients, and mark some of them."""
        wanted = {id(self.parameters[name].parameter): name for name in marked}
        all_of_them = parameters(self.model)
        found: dict[str, list[Any]] = {}

        def stand_in(first_name: str, array: Any) -> Any:
            parameter = all_of_them[first_name]
            own = array.detach()
            if id(parameter) in wanted:
                own.attach_grad("write")
                found.setdefault(wanted[id(parameter)], []).append(own)
            elif parameter.grad_req == "null":
                return own.copy()  # running statistics, which a user's code may write to
            return own

        with undisturbed(), eager(self.model), lent(self.model, stand_in):
            yield found

    def _channels_second(self, name: str, output: Any) -> Any:
        return seen(channels_second(self.parameters[name], output))


def _gradient(name: str, arrays: list[Any]) -> Any:
    """Return the gradient that a weight has got on all devices together, on the first of them."""
    reached = [array.grad for array in arrays if array._fresh_grad]
    if not reached:
        raise NeedsData(f"no gradient of the loss reaches layer {name!r}; leave it out of the rule")
    first, *others = (gradient.as_in_context(arrays[0].context) for gradient in reached)
    for other in others:
        first = first + other
    return first


def _backward(value: Any) -> None:
    """Find the gradients of a loss, if it is one."""
    if not isinstance(value, mxnet.nd.NDArray) or value.size != 1:
        shape = tuple(value.shape) if isinstance(value, mxnet.nd.NDArray) else type(value).__name__
        raise NeedsData(f"loss must return one number as an array, got {shape}")
    try:
        value.backward(train_mode=False)  # else batch norms differentiate their batch statistics
    except mxnet.MXNetError as error:
        if "computational graph" not in str(error):
            raise
        raise NeedsData("the loss does not depend on any weight: it has no gradient") from error
