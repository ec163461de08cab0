"""Zeros put into MXNet's arrays: one byte of mask per weight, +0.0 whatever stood there."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import mxnet
import numpy as np
from mxnet.ndarray.numpy import _internal

from pruners.host import zero_pruned

from ._arrays import BFLOAT16, memory, on_host, shared, to_nd


class Mask:
    """
    One mask, laid out as its parameter, on every device that asks for it.

    In host memory the bits are changed where they are, which waits for the array: MXNet's own
    selection takes a hundred times as long there as NumPy's multiplication. On other devices
    MXNet's selection is queued, and nothing waits.
    """

    def __init__(self, stored: np.ndarray) -> None:
        self._host = np.ascontiguousarray(stored)
        self._devices: dict[Any, Any] = {}

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the parameter it was made for."""
        return self._host.shape

    def zero(self, array: Any) -> None:
        """Set a dense float array to +0.0 in place where this mask is False."""
        if on_host(array):
            values = memory(array)
            zero_pruned(values.view(np.int16) if values.dtype == BFLOAT16 else values, self._host)
        else:
            zero_on_device(array, self._beside(array))

    def rows(self, array: Any, index: np.ndarray) -> None:
        """Do so in an array that holds only some rows of the parameter, in host memory."""
        Mask(self._host[index]).zero(array)

    def _beside(self, array: Any) -> Any:
        if array.context not in self._devices:
            self._devices[array.context] = to_nd(self._host, array.context)
        return self._devices[array.context]


def zero_on_device(array: Any, mask: Any) -> None:
    """Do the same with the device's own selection, in the order of its work."""
    with mxnet.autograd.pause(), mxnet.util.np_shape(True):
        written = shared(array, numpy=True)
        _internal.where_rscalar(shared(mask, numpy=True), written, scalar=0.0, out=written)


def arrays_in(state: Any) -> Iterator[Any]:
    """Yield the arrays in an optimizer's state: one, none, or tuples of them inside each other."""
    if isinstance(state, mxnet.nd.NDArray):
        yield state
    elif isinstance(state, (tuple, list)):
        for each in state:
            yield from arrays_in(each)
