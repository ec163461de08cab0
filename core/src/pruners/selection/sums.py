"""Sums of floats that come out the same however their terms are cut and ordered."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
from attrs import define, field

BLOCK = 1 << 15
"""Terms that are added at a time, at most: few enough to stay in a core's own cache."""
_BITS = 47
"""Bits of a term that count: sums of 64 are exact in float64, sums of a block in int64."""
_LANES = 64


@define
class Anchored:
    """
    The sum of terms between 0 and `bound`, as a whole number of units of about ``bound * 2**-47``.

    Each term is rounded to units by itself, and whole numbers add up exactly.
    """

    bound: float
    units: int = field(default=0, init=False)

    @property
    def _shift(self) -> int:
        return _BITS - math.frexp(self.bound)[1]

    def add(self, blocks: Iterable[np.ndarray]) -> None:
        """Add the terms of float64 arrays of at most `BLOCK` elements each; these are overwritten."""
        if self.bound == 0 or not math.isfinite(self.bound):
            return
        shift = self._shift
        for block in blocks:
            terms = block.reshape(-1)
            if abs(shift) < 900:
                np.multiply(terms, 2.0**shift, out=terms)
            else:
                np.ldexp(terms, shift, out=terms)
            np.rint(terms, out=terms)
            full = terms.size // _LANES * _LANES
            sums = terms[:full].reshape(_LANES, -1).sum(axis=0)
            self.units += int(sums.astype(np.int64).sum()) + int(terms[full:].sum())

    def value(self) -> float:
        """Return the sum, correctly rounded from units; infinity where it is too large."""
        if self.bound == 0 or not math.isfinite(self.bound):
            return self.bound
        try:
            return math.ldexp(float(self.units), -self._shift)
        except OverflowError:
            return math.inf
