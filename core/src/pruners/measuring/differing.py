"""How far the outputs of a runtime are from those of the live model."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ..errors import ExportError
from ..structure.comparing import Comparison, Difference


def error(expected: Sequence[np.ndarray], found: Sequence[np.ndarray]) -> float:
    """
    Return the largest difference, over the largest output of the same array; infinite for a NaN of one.

    Raises
    ------
    ExportError
        If the outputs do not correspond: another number of them, or other shapes.
    """
    return compared(expected, found).error


def compared(expected: Sequence[np.ndarray], found: Sequence[np.ndarray]) -> Comparison:
    """Return how far outputs are apart one by one, named by number and shape; raises as `error` does."""
    if len(expected) != len(found):
        raise ExportError(f"it gives {_outputs(found)} and the live model {_outputs(expected)}")
    comparison = Comparison()
    for number, (mine, other) in enumerate(zip(expected, found, strict=True)):
        if mine.shape != other.shape:
            raise ExportError(f"its output {number} is {other.shape}, and the live model's {mine.shape}")
        comparison.add(_difference(mine, other), f"output {number} of {len(expected)}, {mine.shape}")
    return comparison


def _outputs(arrays: Sequence[np.ndarray]) -> str:
    return f"{len(arrays)} output{'s' if len(arrays) != 1 else ''}"


def _difference(expected: np.ndarray, found: np.ndarray) -> Difference:
    kind = np.complex128 if "c" in (expected.dtype.kind, found.dtype.kind) else np.float64
    mine, other = expected.astype(kind), found.astype(kind)
    finite = np.isfinite(mine)
    if (
        not np.array_equal(mine[~finite], other[~finite], equal_nan=True)
        or not np.isfinite(other[finite]).all()
    ):
        return Difference(math.inf, 0.0, 0, mine.size)
    largest = float(np.abs(mine[finite] - other[finite]).max(initial=0.0))
    scale = float(np.abs(mine[finite]).max(initial=0.0))
    return Difference(largest, scale, int(finite.sum()), mine.size)
