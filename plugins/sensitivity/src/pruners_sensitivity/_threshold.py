"""How many weights lie within a number of deviations of zero, and the number that gives a count."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from attrs import frozen

import pruners


def deviation(weight: Any, ops: Any, *, unbiased: bool) -> float:
    """Return the standard deviation of a weight, computed in float64; 0 for a single number."""
    if math.prod(weight.shape) < 2:
        return 0.0
    return float(ops.std(ops.astype(weight, ops.float64), correction=1.0 if unbiased else 0.0))


@frozen
class Threshold:
    """One layer and its deviation; the layer always keeps one weight at least."""

    view: pruners.View
    name: str
    size: int
    deviation: float

    @property
    def most(self) -> int:
        """How many weights may go."""
        return max(0, self.size - 1)

    def count(self, q: float) -> int:
        """Return how many weights go at `q` deviations."""
        ops: Any = self.view.ops
        below = self._magnitudes() <= q * self.deviation
        return min(int(float(ops.sum(ops.astype(below, ops.float64)))), self.most)

    def reach(self) -> float:
        """Return how many deviations the largest weight is from zero; 0 where there is no deviation."""
        if not self.size or not self.deviation > 0:
            return 0.0
        ops: Any = self.view.ops
        return float(ops.max(self._magnitudes())) / self.deviation

    def _magnitudes(self) -> Any:
        ops: Any = self.view.ops
        return ops.abs(ops.astype(self.view.weights[self.name], ops.float64))


def counts_of_one_q(layers: Mapping[str, Threshold], total: int) -> Mapping[str, int]:
    """
    Return how many weights of each layer go so that `total` go at one number of deviations.

    Bisects that number. Weights that tie at it go in the order of the layers. A layer whose
    weights do not deviate comes last. If the layers cannot lose `total`, all give what they may.
    """
    each = list(layers.values())
    return dict(zip(layers, _bisect(each, min(total, sum(layer.most for layer in each))), strict=True))


def _bisect(each: Sequence[Threshold], total: int) -> list[int]:
    low, high = 0.0, 2 * max((layer.reach() for layer in each), default=0.0)
    below, above = [0] * len(each), [layer.count(0.0) for layer in each]
    if sum(above) >= total:
        return _fill(below, above, total)
    below, above = above, [layer.most for layer in each]
    while low < (middle := (low + high) / 2) < high:
        found = [layer.count(middle) for layer in each]
        if sum(found) == total:
            return found
        if sum(found) < total:
            low, below = middle, found
        else:
            high, above = middle, found
    return _fill(below, above, total)


def _fill(below: Sequence[int], above: Sequence[int], total: int) -> list[int]:
    """Return `below` plus what is missing to `total`, taken layer by layer up to `above`."""
    filled = list(below)
    missing = total - sum(below)
    for index, room in enumerate(map(int.__sub__, above, below)):
        taken = min(room, missing)
        filled[index] += taken
        missing -= taken
    return filled
