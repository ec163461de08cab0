"""What the layers of a block give while it runs, and the loss's gradient with respect to it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import mxnet
from attrs import frozen
from mxnet.gluon import Block, nn
from mxnet.gluon.nn.conv_layers import _Conv

from pruners import NeedsData

from ._layers import Weight
from .tracing.arguments import arrays_in, replaced


@frozen(eq=False)
class Tapped:
    """What one layer gave in one call."""

    name: str
    output: Any
    probe: Any
    """Zeros that were added to the output: what the loss's gradient is asked of. None without."""

    def slope(self) -> Any:
        """Return the gradient of the loss with respect to the output."""
        if not self.probe._fresh_grad:
            raise NeedsData(
                f"no gradient of the loss reaches the output of {self.name!r}; leave it out of the rule"
            )
        return self.probe.grad


@contextmanager
def tapped(owners: Iterable[tuple[str, Block]], gradients: bool) -> Iterator[list[Tapped]]:
    """Note what blocks give while a block of code runs, in the order of the calls."""
    seen: list[Tapped] = []
    names: dict[Block, list[str]] = {}
    for name, owner in owners:
        names.setdefault(owner, []).append(name)
    taps = []
    try:
        for owner, own in names.items():
            taps.append(_Tap(owner, own, seen, gradients))
        yield seen
    finally:
        for tap in taps:
            tap.remove()


class _Tap:
    """
    Stands for the forward of one block, and notes its first output.

    MXNet finds no gradients of what lies in the middle of a graph, only of marked variables: to ask
    for one, a variable full of zeros is added to the output, and its gradient is that of the output.
    """

    def __init__(self, owner: Block, names: list[str], seen: list[Tapped], gradients: bool) -> None:
        activated = isinstance(owner, (nn.Dense, _Conv)) and owner.act is not None
        self._place: dict[str, Any] = vars(owner.act if activated else owner)
        self._inner: Callable[..., Any] = (owner.act if activated else owner).forward
        self._known = "forward" in self._place
        self._names, self._seen, self._gradients = names, seen, gradients
        self._place["forward"] = self._before if activated else self._after

    def remove(self) -> None:
        """Give the block its own forward back."""
        if self._known:
            self._place["forward"] = self._inner
        else:
            del self._place["forward"]

    def _before(self, *arguments: Any) -> Any:
        return self._inner(*self._noted(arguments))

    def _after(self, *arguments: Any) -> Any:
        return self._noted(self._inner(*arguments))

    def _noted(self, given: Any) -> Any:
        """Note the first of some arrays, and return them with what stands for it."""
        first = arrays_in(given)[0]
        probe, passed = None, first
        with mxnet.autograd.pause():
            if self._gradients:
                probe = first.zeros_like() if type(first) is mxnet.nd.NDArray else mxnet.np.zeros_like(first)
                probe.attach_grad("write")
        if probe is not None:
            passed = first + probe
        output = first.detach()
        self._seen += [Tapped(name, output, probe) for name in self._names]
        return replaced(given, lambda array: passed if array is first else array)


def channels_second(weight: Weight, output: Any) -> Any:
    """Return an output as ``(batch, channel, ...)``: dense and recurrent layers hold channels last."""
    if output.ndim <= 2:
        return output
    convolution = isinstance(weight.owner, _Conv)
    axis = weight.owner._kwargs["layout"].index("C") if convolution else output.ndim - 1
    axes = [each for each in range(output.ndim) if each != axis]
    return output if axis == 1 else output.transpose((axes[0], axis, *axes[1:]))
