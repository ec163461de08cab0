"""Milliseconds of one run: the median, its spread, and whether two of them can be told apart."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import quantiles
from time import perf_counter

from attrs import frozen

NOISE = 0.03
"""A difference of median latencies below this fraction counts as none."""
FEWEST = 10
"""With fewer rounds nothing is called faster: the middle halves of five lie apart by chance too often."""
WIDE = 0.5
"""A spread wider than this part of the median says that something else was running."""


@frozen
class Latency:
    """Milliseconds of one forward pass: the median, and the middle half of the rounds."""

    median: float
    low: float
    high: float
    rounds: int

    @classmethod
    def of(cls, times: Sequence[float]) -> Latency:
        """Return the median and the middle half of times in milliseconds."""
        low, median, high = quantiles(times, n=4, method="inclusive") if len(times) > 1 else [times[0]] * 3
        return cls(median, low, high, len(times))

    def __str__(self) -> str:
        digits = 2 if self.median >= 1 else 3 if self.median >= 0.1 else 4
        return f"{self.median:.{digits}f} ms ({self.low:.{digits}f} to {self.high:.{digits}f})"

    def gain(self, other: Latency) -> float:
        """Return how much faster `other` is, as a fraction; 0 where the two cannot be told apart."""
        if min(self.rounds, other.rounds) < FEWEST:
            return 0.0
        gain = self.median / other.median - 1
        apart = other.high < self.low if gain > 0 else other.low > self.high
        return gain if apart and abs(gain) > NOISE else 0.0

    @property
    def wide(self) -> bool:
        """Whether the spread is so wide that something else was running."""
        return self.high - self.low > WIDE * self.median

    def untold(self, other: Latency) -> str:
        """Return why nobody can tell which is faster; empty where it can be told, or no difference seen."""
        rounds = min(self.rounds, other.rounds)
        if rounds < FEWEST:
            return f"{rounds} round{'s are' if rounds != 1 else ' is'} too few, {FEWEST} would do"
        if not self.gain(other) and (self.wide or other.wide):
            return "something else was running here, measure again or with more rounds"
        return ""


def in_a_word(before: Latency, after: Latency) -> str:
    """Return how many times as fast `after` is, for a table."""
    gain = before.gain(after)
    return f"{1 + gain:.2f}" if gain else "cannot be told" if before.untold(after) else "no faster"


def milliseconds(run: Callable[[], object]) -> float:
    """Return how long `run` takes, which returns when its work is done."""
    start = perf_counter()
    run()
    return 1000 * (perf_counter() - start)


def measure_latency(run: Callable[[], object], rounds: int) -> Latency:
    """Time `run`, which returns when its work is done; one more round warms up."""
    return Latency.of([milliseconds(run) for _ in range(rounds + 1)][1:])
