"""A guard that refuses writes to some arrays, whatever operation writes."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from threading import RLock
from types import TracebackType
from typing import Any

import mxnet
import numpy as np
from mxnet.base import _LIB, check_call
from mxnet.ndarray import register

from pruners import ReadOnlyError

from ._layers import Weight
from .lending import ALONE, shaped


class ReadOnly:
    """
    A context in which an operation that would write to one of the given weights raises instead.

    What is refused: ``out=``, and assignment to an array or to a view of one. While it is active,
    arrays may be empty or have no axes (``np_shape``), and nothing is recorded.
    """

    def __init__(self, weights: Mapping[str, Weight]) -> None:
        self._ranges = [
            (name, *_range(array))
            for name, weight in weights.items()
            for array in weight.parameter.list_data()
            if array.size
        ]
        self._scopes = ExitStack()

    def __enter__(self) -> ReadOnly:
        self._scopes.enter_context(ALONE)
        self._scopes.enter_context(shaped())
        self._scopes.enter_context(mxnet.autograd.pause())
        _watch(self._check)
        self._scopes.callback(_unwatch, self._check)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._scopes.close()

    def _check(self, written: Any) -> None:
        for array in _dense(written):
            start = _address(array)
            for name, first, last in self._ranges:
                if first <= start < last:
                    raise ReadOnlyError(
                        f"an operation would write to {name!r}; a view is read-only, work on a copy"
                    )


def _dense(written: Any) -> Iterator[Any]:
    for array in written if isinstance(written, (list, tuple)) else (written,):
        if array.stype == "default":
            yield array


def _address(array: Any) -> int:
    pointer = ctypes.c_void_p()
    check_call(_LIB.MXNDArrayGetData(array.handle, ctypes.byref(pointer)))
    return pointer.value or 0


def _range(array: Any) -> tuple[int, int]:
    start = _address(array)
    return start, start + array.size * np.dtype(array.dtype).itemsize


_LOCK = RLock()
_CHECKS: list[Any] = []
_INVOKE = register._imperative_invoke
_COPY = mxnet.nd.NDArray._sync_copyfrom


def _watch(check: Any) -> None:
    """Have every write checked; MXNet's own functions come back when nothing is watched any more."""
    with _LOCK:
        _CHECKS.append(check)
        register._imperative_invoke = _invoke
        mxnet.nd.NDArray._sync_copyfrom = _copy


def _unwatch(check: Any) -> None:
    with _LOCK:
        _CHECKS.remove(check)
        if not _CHECKS:
            register._imperative_invoke = _INVOKE
            mxnet.nd.NDArray._sync_copyfrom = _COPY


def _invoke(handle: Any, arrays: Any, keys: Any, values: Any, out: Any, *options: Any) -> Any:
    if out is not None:
        _check_all(out)
    return _INVOKE(handle, arrays, keys, values, out, *options)


def _copy(array: Any, source: Any) -> None:
    _check_all(array)
    _COPY(array, source)


def _check_all(written: Any) -> None:
    for check in tuple(_CHECKS):
        check(written)
