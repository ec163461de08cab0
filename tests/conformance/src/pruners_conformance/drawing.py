"""Inputs that checks draw: few, small and the same in every run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import ml_dtypes
import numpy as np
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

Arrays = dict[str, np.ndarray]
NAMES = ("a.weight", "b.weight", "c.weight")
DTYPES = (np.dtype(np.float16), np.dtype(ml_dtypes.bfloat16), np.dtype(np.float64))
"""What weights may be besides float32."""


def for_every(body: Callable[..., None], *, tries: int = 30, **drawn: st.SearchStrategy[Any]) -> None:
    """Run `body` for every drawn input; the same inputs in every run."""
    quiet = settings(
        max_examples=tries,
        derandomize=True,
        database=None,
        deadline=None,
        report_multiple_bugs=False,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )
    quiet(given(**drawn)(body))()


def shapes(max_side: int = 4, kernel_axes: int = 2) -> st.SearchStrategy[tuple[int, ...]]:
    """Shapes of dense layers, and of convolutions over as many axes."""
    sides = st.integers(1, max_side)
    kernels = st.integers(1, 2)
    return st.one_of(*(st.tuples(sides, sides, *[kernels] * axes) for axes in range(kernel_axes + 1)))


def weights(shape: Any) -> st.SearchStrategy[np.ndarray]:
    """Float32 arrays of eighths, -8 to 8: exact in every dtype, equal values often, never zero."""
    eighths = st.integers(-64, 63).map(lambda whole: whole if whole < 0 else whole + 1)
    return hnp.arrays(np.int16, shape, elements=eighths).map(lambda whole: whole.astype(np.float32) / 8)


def models(least: int = 1, most: int = 3, kernel_axes: int = 2) -> st.SearchStrategy[Arrays]:
    """``{parameter name: array}`` of one to three layers."""
    layers = st.lists(weights(shapes(kernel_axes=kernel_axes)), min_size=least, max_size=most)
    return layers.map(lambda found: dict(zip(NAMES, found, strict=False)))


def fractions() -> st.SearchStrategy[float]:
    """Sparsities, 0 included and 1 not; the tens and hundredths of users before others."""
    return st.one_of(st.integers(0, 99).map(lambda hundredths: hundredths / 100), st.floats(0, 0.999))


def grid(shape: tuple[int, ...]) -> np.ndarray:
    """Return distinct magnitudes in a scrambled order and with mixed signs, the same each time."""
    size = int(np.prod(shape))
    order = np.random.default_rng(size).permutation(size)
    signed = np.where(order % 2, -1, 1) * (order + 1) / 8
    return signed.astype(np.float32).reshape(shape)


def layouts(array: np.ndarray) -> Iterator[np.ndarray]:
    """Yield the same values laid out in memory in other ways: by columns, with gaps, backwards."""
    yield np.asfortranarray(array)
    wide = np.zeros((*array.shape[:-1], array.shape[-1] * 2), array.dtype)
    wide[..., ::2] = array
    yield wide[..., ::2]
    yield array[::-1].copy()[::-1]
