"""The r-th smallest of integers that several ranks hold: digit by digit, from summed histograms."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from attrs import define, field, frozen

from ..errors import RankError
from ..protocols.ranks import Peers

_FEW = 8
"""A run of equal digits is listed where it is at most this fraction of what a rank holds."""


@frozen
class Place:
    """An integer, how many are smaller on all ranks, how many are equal, and how many of these are here."""

    value: int
    below: int
    equal: int
    here: int


@define(eq=False)
class Digits:
    """
    Counts the digits of one rank's integers, which it sees run by run.

    ``runs(low, high)`` yields anew at each call arrays of unsigned or non-negative integers, among them
    all from `low` to below `high`. Once few are left they are listed and not looked for again.
    """

    runs: Callable[[int, int], Iterator[np.ndarray]]
    size: int
    _last: np.ndarray = field(factory=lambda: np.zeros(1, np.int64), init=False)
    _listed: np.ndarray | None = field(default=None, init=False)

    def count(self, prefix: int, left: int, width: int) -> np.ndarray:
        """Return how often each digit of `width` bits, `left` bits from the end, follows `prefix`."""
        here = int(self._last[prefix % self._last.size])
        counts = np.zeros(1 << width, np.int64)
        if prefix == 0 and self._last.size == 1:
            for run in self.runs(0, 1 << left + width):
                counts += np.bincount((run >> run.dtype.type(left)).astype(np.intp), minlength=counts.size)
        elif here:
            found = []
            low = prefix << left + width
            for run in self._runs(low, low + (1 << left + width)):
                matching = run[(run >> run.dtype.type(left + width)) == run.dtype.type(prefix)]
                digits = (matching >> run.dtype.type(left)).astype(np.intp) & (counts.size - 1)
                counts += np.bincount(digits, minlength=counts.size)
                if here * _FEW <= self.size:
                    found.append(matching)
            if found:
                self._listed = np.concatenate(found)
        self._last = counts
        return counts

    def _runs(self, low: int, high: int) -> Iterator[np.ndarray]:
        return self.runs(low, high) if self._listed is None else iter([self._listed])

    def here(self, digit: int) -> int:
        """Return how many of the integers counted last have this digit."""
        return int(self._last[digit])


def find(peers: Peers, digits: Digits, bits: int, rank: int) -> Place:
    """Return the `rank`-th smallest, from 1, of all ranks' integers of at most `bits` bits."""
    step = 12 if bits <= 36 else 11
    value = below = equal = digit = 0
    left = max(bits, 1)
    while left:
        width = min(step, left)
        left -= width
        counts = peers.sum(digits.count(value, left, width))
        upto = np.cumsum(counts)
        digit = int(np.searchsorted(upto, rank - below))
        if digit == upto.size:
            raise RankError("ranks look for different places in one order; give all of them the same rules")
        equal = int(counts[digit])
        below += int(upto[digit]) - equal
        value = value << width | digit
    return Place(value, below, equal, digits.here(digit))
