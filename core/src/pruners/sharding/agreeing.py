"""Ranks that fail together: before any exchange each tells the others whether it is still well."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar

import numpy as np
from attrs import define, field

from ..errors import RankError
from ..protocols.ranks import Box, Peers

_SUM, _GATHER, _EXCHANGE, _END = range(1, 5)
_DIGEST = 8
_AT_WORK: ContextVar[Together | None] = ContextVar("ranks at work together", default=None)
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")


@define(eq=False)
class Together:
    """
    The ranks of `peers`, such that no rank waits for one that has failed.

    A small sum goes before every exchange of data. In it a rank says that it goes on and with what, or that
    it has failed; the others then raise `pruners.RankError` instead of waiting.
    """

    _peers: Peers
    _ended: bool = field(default=False, init=False)

    @property
    def rank(self) -> int:
        """Which of the ranks runs here, from 0."""
        return self._peers.rank

    @property
    def size(self) -> int:
        """How many ranks there are."""
        return self._peers.size

    @property
    def sent(self) -> int:
        """Bytes that this rank has handed to the others so far."""
        return self._peers.sent

    def sum(self, array: np.ndarray) -> np.ndarray:
        """Return the sum over all ranks of an int64 array."""
        self._check(_SUM + 8 * array.size)
        with self._exchanging():
            return self._peers.sum(array)

    def gather(self, array: np.ndarray) -> list[np.ndarray]:
        """Return every rank's array, in the order of ranks."""
        self._check(_GATHER)
        with self._exchanging():
            return self._peers.gather(array)

    def exchange(self, parts: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Send part r to rank r; return what each rank sent here."""
        self._check(_EXCHANGE)
        with self._exchanging():
            return self._peers.exchange(parts)

    def end(self) -> None:
        """Make sure that every rank came to the end."""
        self._check(_END)

    def fail(self) -> None:
        """Tell the others that this rank has failed, unless they know."""
        if not self._ended:
            self._ended = True
            with suppress(Exception):
                self._peers.sum(self._signs(0, failed=True))

    @contextmanager
    def _exchanging(self) -> Iterator[None]:
        """Tell nobody anything more if the exchange itself breaks: there is no way to."""
        self._ended = True
        yield
        self._ended = False

    def _signs(self, what: int, failed: bool = False) -> np.ndarray:
        signs = np.zeros(self.size + 2, np.int64)
        signs[self.rank] = failed
        signs[-2:] = what, what * what
        return signs

    def _check(self, what: int) -> None:
        with self._exchanging():
            told = self._peers.sum(self._signs(what))
        failed = np.flatnonzero(told[: self.size])
        if failed.size:
            self._ended = True
            raise RankError(
                f"rank {', '.join(map(str, failed))} failed, see its own error; this rank, {self.rank}, is "
                "as it was"
            )
        if told[-2] != what * self.size or told[-1] != what * what * self.size:
            self._ended = True
            raise RankError(
                "ranks do different work: give every rank the same rules, the same layers and equally many "
                "steps; all ranks are as they were"
            )


@contextmanager
def agreed(peers: Peers | None) -> Iterator[Together | None]:
    """
    Return a context in which all ranks succeed, or all raise: the one that failed its own error.

    What they do in it changes nothing; it is put in force afterwards.
    """
    if peers is None:
        yield None
        return
    together = Together(peers)
    before = _AT_WORK.set(together)
    try:
        yield together
        together.end()
    except BaseException:
        together.fail()
        raise
    finally:
        _AT_WORK.reset(before)


def at_work(peers: Peers) -> Together:
    """Return the ranks as those know them who agree on what is being done; anew where nobody does."""
    return _AT_WORK.get() or Together(peers)


def check_same_work(peers: Peers, time: int, plans: Mapping[str, str]) -> None:
    """Raise `pruners.RankError` unless all ranks are at the same `time` and prune the same by the same rules.

    `plans` says in words what each layer's rule is; where something lies in memory is no matter.
    """
    words = _ADDRESS.sub("", json.dumps(list(plans.items())))
    mine = [time.to_bytes(_DIGEST, "little"), _digest(words.encode())]
    told = peers.gather(np.frombuffer(b"".join(mine), np.uint8).copy())
    times = [int.from_bytes(each[:_DIGEST].tobytes(), "little") for each in told]
    if len(set(times)) > 1:
        shown = ", ".join(map(str, times))
        raise RankError(f"ranks are at different times: {shown}; call step() or epoch() on all of them alike")
    if any(not np.array_equal(each, told[0]) for each in told):
        raise RankError("ranks prune by different rules, or different layers; give all of them the same")


def check_same_masks(
    peers: Peers, masks: Mapping[str, np.ndarray], boxes: Mapping[str, Sequence[Box]]
) -> None:
    """Raise `pruners.RankError` unless ranks that hold copies of a piece have the same mask for it."""
    mine = [_digest(f"{mask.shape}".encode(), np.packbits(mask).tobytes()) for mask in masks.values()]
    digests = np.stack(peers.gather(np.frombuffer(b"".join(mine), np.uint8).copy()))
    rows = digests.reshape(peers.size, len(masks), _DIGEST)
    for index, name in enumerate(masks):
        told = [row.tobytes() for row in rows[:, index]]
        if name not in boxes and len(set(told)) == 1:
            continue
        holders: dict[Box | None, int] = {}
        for rank, box in enumerate(boxes.get(name, [None] * peers.size)):
            first = holders.setdefault(box, rank)
            if told[rank] != told[first]:
                raise RankError(
                    f"ranks computed different masks; the first layer that differs is {name!r}, on ranks "
                    f"{first} and {rank}. Weights, rules and seeds must be the same on all ranks; give "
                    "distributed=False where each rank prunes a model of its own"
                )


def _digest(*parts: bytes) -> bytes:
    digest = hashlib.blake2b(digest_size=_DIGEST)
    for part in parts:
        digest.update(part)
    return digest.digest()
