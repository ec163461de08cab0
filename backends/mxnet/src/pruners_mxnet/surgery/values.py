"""Arrays of MXNet that are made from others: parts of them, and other precisions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import ml_dtypes
import mxnet
import numpy as np

from .._arrays import shared, to_host, to_nd

FLOATS = ("bfloat16", "float16", "float32", "float64")
"""What is run in double precision for a proof."""


def name_of(array: Any) -> str:
    """Return the name of an array's type; MXNet's own bfloat16 is called so, too."""
    dtype = np.dtype(array.dtype)
    return "bfloat16" if dtype.names == ("bfloat16",) else dtype.name


def is_float(array: Any) -> bool:
    """Return whether an array holds floating point numbers."""
    return name_of(array) in FLOATS


def host(array: Any) -> np.ndarray:
    """Return an array's values as NumPy; do not write to them."""
    return to_host(array.tostype("default") if array.stype != "default" else array)


def like(values: np.ndarray, array: Any, dtype: str | None = None) -> Any:
    """Return NumPy values as an array of the same kind, on the same device; in its type or in another."""
    wanted = dtype or name_of(array)
    target = np.dtype(ml_dtypes.bfloat16) if wanted == "bfloat16" else np.dtype(wanted)
    made = to_nd(np.asarray(values).astype(target, copy=False), array.context)
    if isinstance(array, mxnet.np.ndarray):
        return shared(made, numpy=True)
    return made if array.stype == "default" else made.tostype(array.stype)


def select(values: np.ndarray, kept: Mapping[int, np.ndarray]) -> np.ndarray:
    """Return the kept coordinates of each axis."""
    for axis, indices in sorted(kept.items(), key=lambda item: len(item[1])):
        values = values.take(indices, axis)
    return values
