"""Ranks in one process: threads that meet at a barrier, for tests of models on several ranks."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np
from attrs import define, field

Result = TypeVar("Result")


@define(eq=False)
class _Room:
    """What the ranks of one group share: a barrier, and what each has laid down."""

    size: int
    timeout: float
    barrier: threading.Barrier = field(init=False)
    table: list[Any] = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.barrier = threading.Barrier(self.size, timeout=self.timeout)
        self.table = [None] * self.size


@define(eq=False)
class ThreadPeers:
    """
    One of several ranks that are threads of one process, as `pruners.protocols.Peers`.

    Every method waits for all ranks to call the same one; a rank that stays away breaks the barrier
    after the timeout of the room, and all raise `threading.BrokenBarrierError`.
    """

    room: _Room
    rank: int
    sent: int = 0

    @property
    def size(self) -> int:
        """How many ranks there are."""
        return self.room.size

    def sum(self, array: np.ndarray) -> np.ndarray:
        """Return the sum over all ranks of an int64 array of one axis."""
        if array.dtype != np.int64 or array.ndim != 1:
            raise TypeError(f"sum takes an int64 array of one axis, got {array.dtype} {array.shape}")
        laid = self._meet("sum", array)
        if any(each.shape != array.shape for each in laid):
            raise ValueError(f"ranks sum arrays of different lengths: {[each.size for each in laid]}")
        return np.asarray(np.sum(laid, axis=0, dtype=np.int64))

    def gather(self, array: np.ndarray) -> list[np.ndarray]:
        """Return every rank's array of one axis, in the order of ranks."""
        _check(array)
        return self._meet("gather", array)

    def exchange(self, parts: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Send part r to rank r; return what each rank sent here."""
        if len(parts) != self.size:
            raise ValueError(f"exchange takes a part for each of {self.size} ranks, got {len(parts)}")
        for part in parts:
            _check(part)
        return [laid[self.rank] for laid in self._meet("exchange", list(parts))]

    def _meet(self, what: str, laid: Any) -> list[Any]:
        arrays = laid if isinstance(laid, list) else [laid]
        self.sent += sum(int(array.nbytes) for array in arrays)
        self.room.table[self.rank] = (what, [array.copy() for array in arrays])
        self.room.barrier.wait()
        table = list(self.room.table)
        self.room.barrier.wait()
        if any(other != what for other, _ in table):
            raise ValueError(f"ranks do different things: {[other for other, _ in table]}")
        found = [each for _, each in table]
        return found if isinstance(laid, list) else [each for (each,) in found]


def _check(array: np.ndarray) -> None:
    if array.dtype.name not in ("int64", "float64", "uint8") or array.ndim != 1:
        raise TypeError(f"give int64, float64 or uint8 of one axis, got {array.dtype} {array.shape}")


def on_ranks(
    size: int, work: Callable[[ThreadPeers], Result], timeout: float = 20.0
) -> list[Result | BaseException]:
    """
    Return what `work` returned or raised on each of `size` ranks, each a thread with its own peers.

    A rank that waits longer than `timeout` seconds for the others raises `threading.BrokenBarrierError`.
    """
    room = _Room(size, timeout)
    results: list[Any] = [None] * size

    def run(rank: int) -> None:
        try:
            results[rank] = work(ThreadPeers(room, rank))
        except BaseException as error:
            results[rank] = error

    threads = [threading.Thread(target=run, args=(rank,)) for rank in range(size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results
