"""What a pruner is shown of a model, and the recording of its operations where one is asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from attrs import define, field, frozen

from .errors import NeedsData, TraceError
from .host import Watched
from .progress import Counted
from .protocols import Array, Loss, OpenModel, Ops, Peers, Stream, Traceable, Traced, View
from .sharding.ranks import boxes_of
from .sharding.showing import assembled_gradients, assembled_weights
from .structure.engine import Structure
from .structure.reading import Reading

RECORDED = frozenset({"activated", "consumers", "inputs", "scales"})
"""What is read off a recorded forward pass."""


@frozen(eq=False)
class WatchedView:
    """A backend's view whose weights remember which layer was read last."""

    weights: Watched
    ops: Ops
    prepared: Mapping[str, float]
    host: Callable[[Array], np.ndarray]
    activations: Callable[..., Stream]
    gradients: Callable[[], Mapping[str, Array]]
    inputs: Callable[[], Stream]
    activated: Callable[[], Stream]
    consumers: Callable[..., Stream]
    reads: Callable[[str], Mapping[str, tuple[np.ndarray, Sequence[np.ndarray]]]]
    scales: Callable[[], Mapping[str, Array]]


@define(eq=False)
class Watching:
    """One pruner looking at one open model: hands out its view, ends what it left open."""

    opened: OpenModel
    who: str
    needs: frozenset[str]
    names: Sequence[str]
    data: Iterable[Any] | None
    loss: Loss | None
    prepared: Mapping[str, float]
    example_inputs: Any
    traced: Traced | None
    structure: Structure | None
    peers: Peers | None = None
    """The ranks that hold layers in pieces, where the pruner is to see these layers whole."""
    looked: bool = field(default=False, init=False)
    """Whether the pruner has looked at data."""
    _reading: Reading | None = field(default=None, init=False)
    _streams: list[Stream] = field(factory=list, init=False)

    def view(self) -> WatchedView:
        """Return what the pruner sees; what its spec needs is there, or an error says what to pass."""
        self._check_needs()
        inner = self.opened.view(self.names, data=self._counted(), loss=self.loss, prepared=self.prepared)
        if self.needs & RECORDED:
            self._read()  # before the guard: recording runs the model
        return WatchedView(
            weights=Watched(self._weights(inner)),
            ops=inner.ops,
            prepared=inner.prepared,
            host=self.opened.host,
            activations=self._closed(inner.activations),
            gradients=lambda: self._gradients(inner),
            inputs=self._closed(self._recorded(Reading.inputs)),
            activated=self._closed(self._recorded(Reading.activated)),
            consumers=self._closed(self._recorded(_consumers)),
            reads=lambda layer: self._read().reads(layer),
            scales=lambda: self._read().scales(),
        )

    def close(self) -> None:
        """End every stream that was left open."""
        for stream in self._streams:
            stream.close()

    def _weights(self, inner: View) -> Mapping[str, Array]:
        if self.peers is None:
            return inner.weights
        return assembled_weights(self.opened, self.peers, inner.weights)

    def _gradients(self, inner: View) -> Mapping[str, Array]:
        self.looked = True
        found = inner.gradients()
        return found if self.peers is None else assembled_gradients(self.opened, self.peers, found)

    def _closed(self, make: Callable[..., Stream]) -> Callable[..., Stream]:
        def open_(*arguments: Any, **options: Any) -> Stream:
            self.looked = True
            self._streams.append(make(*arguments, **options))
            return self._streams[-1]

        return open_

    def _recorded(self, ask: Callable[..., Stream]) -> Callable[..., Stream]:
        def asked(*arguments: Any, **options: Any) -> Stream:
            data = self._batches()  # before the recording: what is missing is told first
            return ask(self._read(), data, *arguments, **options)

        return asked

    def _check_needs(self) -> None:
        lacking = self.needs - {"scales"} if self.data is None else frozenset()
        gradients = "gradients" in self.needs and self.loss is None
        if lacking or gradients:
            wants = "data=batches" + (" and loss=function(model, batch)" if "gradients" in self.needs else "")
            raise NeedsData(f"{self.who} needs {' and '.join(sorted(self.needs))}: pass {wants}")

    def _batches(self) -> Iterable[Any]:
        if self.data is None:
            raise NeedsData(f"{self.who} looks at data: pass data=batches")
        return Counted(self.data, f"batches for {self.who}")

    def _counted(self) -> Iterable[Any] | None:
        return None if self.data is None else self._batches()

    def _read(self) -> Reading:
        if self._reading is None:
            traced = self._trace() if self.traced is None else self.traced
            self._reading = Reading(self.opened, traced, self.names, self.loss, self.structure)
        return self._reading

    def _trace(self) -> Traced:
        what = ", ".join(sorted(self.needs & RECORDED)) or "how layers hang together"
        if boxes := boxes_of(self.opened):
            raise NeedsData(
                f"{self.who} needs {what}, read off a recorded forward pass; {next(iter(boxes))!r} lies in "
                "pieces on several ranks, and such a model cannot be recorded: score before it is sharded"
            )
        if not isinstance(self.opened, Traceable):
            raise NeedsData(
                f"{self.who} needs {what}, read off a recorded forward pass; a model of this kind cannot be "
                "recorded"
            )
        if self.example_inputs is not None:
            return self.opened.trace(self.example_inputs, modes=("eval",))
        inputs = first_inputs(self.data)
        if inputs is None:
            raise NeedsData(
                f"{self.who} needs {what}, for which the model is run once: pass example_inputs=, the inputs "
                "of one forward pass"
            )
        try:
            return self.opened.trace(inputs, modes=("eval",))
        except TraceError as error:
            raise NeedsData(
                f"{self.who} needs {what}, and the model does not run on the first batch of data alone: pass "
                f"example_inputs=. {error}"
            ) from error


def _consumers(
    reading: Reading, data: Iterable[Any], layer: str, locations: int = 10, seed: int = 0
) -> Stream:
    return reading.consumers(layer, data, locations, seed)


def first_inputs(data: Iterable[Any] | None) -> Any:
    """Return the first batch's inputs, as backends read batches; None where there is none to spare."""
    if data is None or isinstance(data, Iterator):
        return None
    for batch in data:
        if isinstance(batch, Mapping):
            return batch
        return (batch[0],) if isinstance(batch, (list, tuple)) else (batch,)
    return None
