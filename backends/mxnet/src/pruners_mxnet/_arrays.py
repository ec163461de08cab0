"""MXNet's arrays as NumPy arrays and back, without a copy where both lie in host memory."""

from __future__ import annotations

import ctypes
from typing import Any

import ml_dtypes
import mxnet
import numpy as np
from mxnet.base import _LIB, NDArrayHandle, check_call

BFLOAT16 = np.dtype([("bfloat16", np.uint16)])
"""MXNet's name for bfloat16; `ml_dtypes.bfloat16` is what core calculates with."""


def to_host(array: Any) -> np.ndarray:
    """Return an array of MXNet as NumPy, read-only: the same memory, or a copy from another device."""
    seen = memory(array) if on_host(array) else array.asnumpy()
    seen = seen.view(ml_dtypes.bfloat16) if seen.dtype == BFLOAT16 else seen
    seen.flags.writeable = False
    return seen


def on_host(array: Any) -> bool:
    """Return whether an array is dense and in host memory."""
    return bool(array.context.device_type.startswith("cpu") and array.stype == "default")


def memory(array: Any) -> np.ndarray:
    """
    Return the memory of a dense host array as NumPy, writable, once nothing else reads or writes it.

    MXNet does not see what is written there: call this anew before each use. The array is kept alive.
    """
    check_call(_LIB.MXNDArrayWaitToWrite(array.handle))
    pointer = ctypes.c_void_p()
    check_call(_LIB.MXNDArrayGetData(array.handle, ctypes.byref(pointer)))
    dtype = np.dtype(array.dtype)
    if not array.size or not pointer.value:
        return np.empty(array.shape, dtype)
    place = (ctypes.c_byte * (array.size * dtype.itemsize)).from_address(pointer.value)
    place.owner = array  # lives as long as any view of this memory
    return np.frombuffer(place, dtype).reshape(array.shape)


def to_nd(array: np.ndarray, context: Any = None) -> Any:
    """Return a NumPy array as an `mxnet.nd.NDArray` of its own memory, bit for bit."""
    array = np.ascontiguousarray(array).reshape(np.shape(array))
    bfloat = array.dtype.name == "bfloat16"
    stored = array.view(BFLOAT16) if bfloat else array
    with mxnet.util.np_shape(True):
        made = mxnet.nd.empty(array.shape, dtype=stored.dtype, ctx=mxnet.cpu())
    np.copyto(memory(made), stored)
    return made if context is None or context == made.context else made.as_in_context(context)


def shared(array: Any, *, numpy: bool, writable: bool = True, kind: type | None = None) -> Any:
    """Return another array object on the same memory: of `mxnet.np`, or of `mxnet.nd`."""
    handle = NDArrayHandle()
    check_call(_LIB.MXShallowCopyNDArray(array.handle, ctypes.byref(handle)))
    made = kind or (mxnet.np.ndarray if numpy else mxnet.nd.NDArray)
    return made(handle=handle, writable=writable)
