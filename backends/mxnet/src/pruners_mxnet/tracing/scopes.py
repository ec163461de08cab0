"""Which block of a model ran each operator, and what the blocks that own parameters read and gave."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import mxnet
from attrs import define, field, frozen
from mxnet.gluon import Block

from .arguments import arrays_in
from .watching import Watch, recorded_name


@frozen(eq=False)
class BlockCall:
    """One call of a block: what it read first, and what it gave."""

    module: str
    read: Any
    gave: list[Any]


@define(eq=False)
class Scopes:
    """
    Follows which block is running.

    Every operator that is recorded has a number; a marker operator on a number of our own tells how far
    the numbers are whenever a block begins or ends.
    """

    watch: Watch
    marker: Any
    names: Mapping[int, str]
    calls: list[BlockCall] = field(factory=list)
    _running: list[str] = field(factory=list)
    _begins: list[tuple[int, str]] = field(factory=list)
    _reads: list[Any] = field(factory=list)

    def enter(self, block: Block, args: Any) -> None:
        """Note that a block begins."""
        self._running.append(self.names.get(id(block), ""))
        self._reads.append(next(iter(arrays_in(args)), None))
        self._mark()

    def leave(self, block: Block, args: Any, output: Any) -> None:
        """Note that a block ends."""
        name, read = self._running.pop(), self._reads.pop()
        self.calls.append(BlockCall(name, read, arrays_in(output)))
        self._mark()

    def _mark(self) -> None:
        with self.watch.silent():
            number = int(recorded_name(mxnet.nd.identity(self.marker)).split("_")[1])
        self._begins.append((number, self._running[-1] if self._running else ""))

    def of(self, number: int) -> str:
        """Return the block that was running when an operator was recorded."""
        from bisect import bisect

        at = bisect(self._begins, (number,)) - 1
        return self._begins[at][1] if at >= 0 else ""


@contextmanager
def followed(scopes: Scopes, blocks: Mapping[str, Block]) -> Iterator[None]:
    """Follow every call of a model's blocks, before any hook of the user's and after all of them."""
    hooks = []
    try:
        for block in {id(each): each for each in blocks.values()}.values():
            for held, hook, first in (
                (block._forward_pre_hooks, scopes.enter, True),
                (block._forward_hooks, scopes.leave, False),
            ):
                key = object()
                held[key] = hook
                held.move_to_end(key, last=not first)
                hooks.append((held, key))
        yield
    finally:
        for held, key in hooks:
            held.pop(key, None)
