"""Everything a removal may change, remembered by reference and put back bit for bit."""

from __future__ import annotations

from collections import OrderedDict, defaultdict, deque
from collections.abc import Iterable, Iterator, MutableMapping
from typing import Any, TypeAlias

from mxnet.gluon import Block, Trainer

from .._layers import blocks
from .pieces import parameters_of

_CONTAINERS = (dict, OrderedDict, defaultdict, list, set, deque)

Owner: TypeAlias = "Block | MutableMapping[str, Any]"
"""A block, or its arrays by name as a user keeps them."""


class Snapshot:
    """
    What some blocks and trainers hold now: objects, not copies.

    `restore` brings back the same arrays, gradients, attributes, caches and states. Nothing of it is
    written to meanwhile: what is smaller is in arrays of its own, and passes run on lent ones.
    """

    def __init__(self, owners: Iterable[Owner], trainers: Iterable[Trainer] = ()) -> None:
        self._contents: list[_Contents] = []
        self._mappings: list[tuple[MutableMapping[str, Any], dict[str, Any]]] = []
        for owner in owners:
            if isinstance(owner, Block):
                found = [*blocks(owner).values(), *parameters_of(owner).values()]
                self._contents += [_Contents(vars(each)) for each in _distinct(found)]
            else:
                self._mappings.append((owner, dict(owner)))
        for trainer in trainers:
            self._contents += [_Contents(vars(each)) for each in parts(trainer)]

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

    def _restore(self) -> None:
        for contents in self._contents:
            contents.restore()
        for mapping, saved in self._mappings:
            for name, array in saved.items():
                if mapping[name] is not array:
                    mapping[name] = array


def parts(trainer: Trainer) -> Iterator[Any]:
    """Yield a trainer and the objects in it that hold state: its optimizer and its updaters."""
    yield trainer
    yield trainer._optimizer
    yield from updaters(trainer)


def updaters(trainer: Trainer) -> list[Any]:
    """Return what holds a trainer's states: one per device, and that of its kvstore."""
    stored = vars(trainer._kvstore).get("_updater") if trainer._kvstore else None
    return [*trainer._updaters, *([stored] if stored is not None else [])]


class _Contents:
    """What a namespace holds, and what the containers in it hold."""

    def __init__(self, namespace: dict[str, Any]) -> None:
        self._namespace, self._saved = namespace, dict(namespace)
        self._inner = list(_inside(namespace.values(), {}))

    def restore(self) -> None:
        refill(self._namespace, self._saved)
        for container, saved in self._inner:
            refill(container, saved)


def _inside(values: Iterable[Any], met: dict[int, Any]) -> Iterator[tuple[Any, Any]]:
    """Yield every container, those in others included, once, with a copy of what it holds."""
    for value in values:
        if type(value) in _CONTAINERS and id(value) not in met:
            met[id(value)] = value
            yield value, dict(value) if isinstance(value, dict) else type(value)(value)
            yield from _inside(value.values() if isinstance(value, dict) else list(value), met)


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


def _distinct(found: Iterable[Any]) -> Iterable[Any]:
    return {id(each): each for each in found}.values()
