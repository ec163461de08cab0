"""How far two arrays are apart, and what a block returned as a list of them."""

from __future__ import annotations

from typing import Any

import numpy as np

from pruners.structure.comparing import Difference

from ..tracing.arguments import arrays_in
from .values import host


def results(output: Any) -> list[np.ndarray]:
    """Return copies of the arrays in whatever a model returned, in a fixed order."""
    return [host(array).copy() for array in arrays_in(output)]


def difference(reference: np.ndarray, other: np.ndarray) -> Difference:
    """Return how far two arrays are apart: not finite in both alike, whole numbers equal."""
    if reference.shape != other.shape:
        return Difference(float("inf"), 0.0, 0, reference.size)
    if not reference.size:
        return Difference(0.0, 0.0, 0, 0)
    exact = reference.dtype.kind in "iub"
    left, right = reference.astype(np.float64), other.astype(np.float64)
    finite = np.isfinite(left)
    numbers = int(finite.sum())
    if not np.array_equal(finite, np.isfinite(right)) or not np.array_equal(
        left[~finite], right[~finite], equal_nan=True
    ):
        return Difference(float("inf"), 0.0, numbers, reference.size)
    if not numbers:
        return Difference(0.0, 0.0, 0, reference.size)
    gap = float(np.abs(left[finite] - right[finite]).max())
    if exact:
        return Difference(float("inf") if gap else 0.0, 0.0, numbers, reference.size)
    return Difference(gap, float(np.abs(left[finite]).max()), numbers, reference.size)
