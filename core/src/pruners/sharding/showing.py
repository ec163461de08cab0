"""Layers in pieces as a pruner sees them: put together when they are read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from attrs import define, field

from ..protocols import OpenModel, Peers, Sharded
from .moving import whole
from .ranks import among


@define(eq=False)
class Assembled(Mapping[str, Any]):
    """
    A mapping of arrays in which a layer in pieces is whole: put together each time it is read.

    All ranks read in the same order. The array read last is kept, no other.
    """

    opened: OpenModel
    peers: Peers
    inner: Mapping[str, Any]
    read: Callable[[str], np.ndarray]
    """This rank's piece of a layer, on the host."""
    _last: tuple[str, Any] = field(default=("", None), init=False)

    def __getitem__(self, name: str) -> Any:
        lying = among(self.opened, self.peers, name) if name in self.inner else None
        if lying is None:
            return self.inner[name]
        if self._last[0] != name:
            self._last = ("", None)
            self._last = (name, native(self.opened, name, whole(self.read(name), lying)))
        return self._last[1]

    def __iter__(self) -> Iterator[str]:
        return iter(self.inner)

    def __len__(self) -> int:
        return len(self.inner)


def native(opened: OpenModel, name: str, array: np.ndarray) -> Any:
    """Return an array, whole rows of a layer or all of it, as the model's framework shows weights."""
    if not isinstance(opened, Sharded):
        return array
    with opened.showing({name: array}):
        return opened.view([name]).weights[name]


def assembled_weights(opened: OpenModel, peers: Peers, inner: Mapping[str, Any]) -> Assembled:
    """Return a view's weights, whole."""
    return Assembled(opened, peers, inner, opened.read)


def assembled_gradients(opened: OpenModel, peers: Peers, inner: Mapping[str, Any]) -> Assembled:
    """Return a view's gradients, whole."""
    return Assembled(opened, peers, inner, lambda name: opened.host(inner[name]))
