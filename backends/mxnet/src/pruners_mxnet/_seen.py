"""The arrays that a view hands out."""

from __future__ import annotations

from typing import Any

import mxnet
import numpy as np

from pruners import ReadOnlyError

from ._arrays import shared, to_host


class Seen(mxnet.np.ndarray):  # type: ignore[misc]
    """An array of `mxnet.np` that NumPy reads without a copy, and that nobody can assign to."""

    __slots__ = ()

    def __array__(self, dtype: Any = None) -> np.ndarray:
        array = to_host(self)
        return array if dtype is None else array.astype(dtype)

    def __setitem__(self, key: Any, value: Any) -> None:
        raise ReadOnlyError("a view is read-only, work on a copy: array.copy()")


def seen(array: Any) -> Any:
    """Return an array of MXNet as one that a view hands out, in the same memory."""
    return shared(array.detach(), numpy=True, writable=False, kind=Seen)
