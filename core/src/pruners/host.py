"""What backends share about arrays in host memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from .interrupts import checkpoint
from .selection.ranking import FLOATS

_BITS = {2: np.int16, 4: np.int32, 8: np.int64}
_CHUNK = 1 << 16


def zero_pruned(array: np.ndarray, mask: np.ndarray) -> None:
    """
    Set `array` to +0.0 in place where `mask` is False; leave every other bit alone.

    Works on the bits: an integer times 0 is +0.0 whatever stood there (NaN, infinities,
    negative numbers), an integer times 1 is itself. One byte of mask per weight.

    Parameters
    ----------
    array : float array
        16, 32 or 64 bits wide (bfloat16 included), writable, any strides.
    mask : bool array
        The same shape; True where kept.
    """
    bits = array.view(_BITS[array.dtype.itemsize])
    np.multiply(bits, mask.view(np.int8), out=bits)


def is_float(dtype: np.dtype[Any]) -> bool:
    """Return whether weights of this dtype can be pruned: float16, bfloat16, float32 or float64."""
    return dtype.name in FLOATS


def count_zeros(array: np.ndarray) -> int:
    """Return how many elements are zero; -0.0 counts."""
    return int(array.size - np.count_nonzero(array))


class Watched(Mapping[str, Any]):
    """A read-only mapping that remembers which name was read last, to name it when a pruner fails."""

    def __init__(self, items: Mapping[str, Any]) -> None:
        self._items = items
        self.last = ""

    def __getitem__(self, name: str) -> Any:
        checkpoint()
        value = self._items[name]
        self.last = name
        return value

    def __iter__(self) -> Iterator[str]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)
