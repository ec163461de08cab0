"""Sums of floats that come out the same however their terms are cut and ordered."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
from attrs import define, field

_BITS = 34
"""Bits of one level: so many that the sum of a chunk of `keys.CHUNK` terms is exact in float64."""


@define
class Anchored:
    """
    The sum of terms between 0 and `bound`, as a whole number of units of ``bound * 2**-68``.

    Each term is rounded to units by itself, and whole numbers add up exactly.
    """

    bound: float
    units: int = field(default=0, init=False)

    @property
    def _exponent(self) -> int:
        return math.frexp(self.bound)[1]

    def add(self, blocks: Iterable[np.ndarray]) -> None:
        """Add the terms of float64 arrays of at most `keys.CHUNK` elements each; these are overwritten."""
        if self.bound == 0 or not math.isfinite(self.bound):
            return
        shift = _BITS - self._exponent
        for block in blocks:
            scaled = np.multiply(block, 2.0**shift, out=block) if abs(shift) < 900 else np.ldexp(block, shift)
            high = np.rint(scaled)
            self.units += int(np.sum(high)) << _BITS
            np.subtract(scaled, high, out=scaled)
            np.multiply(scaled, 2.0**_BITS, out=scaled)
            self.units += int(np.sum(np.rint(scaled, out=scaled)))

    def value(self) -> float:
        """Return the sum, correctly rounded; infinity where it is too large."""
        if not math.isfinite(self.bound):
            return self.bound
        try:
            return math.ldexp(float(self.units), self._exponent - 2 * _BITS)
        except OverflowError:
            return math.inf
