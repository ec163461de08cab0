"""MXNet's own array functions under the names and arguments of the Python array API standard."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import ml_dtypes
import mxnet
import numpy as np
from mxnet import np as mnp

from ._arrays import BFLOAT16, shared, to_nd

Function = Callable[..., Any]


def mxnet_dtype(dtype: Any) -> Any:
    """Return MXNet's name of a type of numbers."""
    return BFLOAT16 if str(dtype) == "bfloat16" or dtype is ml_dtypes.bfloat16 else dtype


def from_host(array: Any, context: Any = None) -> Any:
    """Return a NumPy array as an `mxnet.np` array, bit for bit."""
    return shared(to_nd(np.asarray(array), context), numpy=True)


def _asarray(values: Any, *, dtype: Any = None, device: Any = None, copy: bool | None = None) -> Any:
    if not isinstance(values, mxnet.nd.NDArray):
        wanted = ml_dtypes.bfloat16 if mxnet_dtype(dtype) is BFLOAT16 else dtype
        return from_host(np.asarray(values, dtype=wanted), device)
    made = shared(values.detach(), numpy=True)
    made = made if dtype is None else _astype(made, dtype, copy=False)
    made = made if device in (None, made.context) else made.as_in_ctx(device)
    return made.copy() if copy else made


def _astype(x: Any, dtype: Any, /, *, copy: bool = True) -> Any:
    wanted = mxnet_dtype(dtype)
    if np.dtype(x.dtype) == np.dtype(wanted):
        return x.copy() if copy else x
    if wanted == BFLOAT16:
        return mxnet.nd.cast(x.as_nd_ndarray(), dtype="bfloat16").as_np_ndarray()
    return x.astype(wanted)


def _filled(value: float) -> Function:
    def like(x: Any, /, *, dtype: Any = None, device: Any = None) -> Any:
        return _full_like(x, value, dtype=dtype, device=device)

    return like


def _full_like(x: Any, value: Any, /, *, dtype: Any = None, device: Any = None) -> Any:
    wanted = mxnet_dtype(x.dtype if dtype is None else dtype)
    host = np.full(x.shape, value, ml_dtypes.bfloat16 if wanted == BFLOAT16 else wanted)
    return from_host(host, device or x.context)


def _reduction(function: Function) -> Function:
    def reduce(x: Any, /, *, axis: Any = None, keepdims: bool = False) -> Any:
        return function(x, axis=axis, keepdims=keepdims)

    return reduce


def _accumulation(function: Function) -> Function:
    def accumulate(x: Any, /, *, axis: Any = None, dtype: Any = None, keepdims: bool = False) -> Any:
        return function(x if dtype is None else _astype(x, dtype), axis=axis, keepdims=keepdims)

    return accumulate


def _deviation(function: Function, power: float) -> Function:
    def measure(x: Any, /, *, axis: Any = None, correction: float = 0.0, keepdims: bool = False) -> Any:
        if correction == int(correction):
            return function(x, axis=axis, ddof=int(correction), keepdims=keepdims)
        found = function(x, axis=axis, keepdims=keepdims)
        count = x.size / found.size
        return found * (count / (count - correction)) ** power

    return measure


def _position(function: Function) -> Function:
    def find(x: Any, /, *, axis: int | None = None, keepdims: bool = False) -> Any:
        found = function(x, axis=axis)
        if not keepdims:
            return found
        return found.reshape((1,) * x.ndim) if axis is None else mnp.expand_dims(found, axis=axis)

    return find


def _clip(x: Any, /, min: Any = None, max: Any = None) -> Any:
    above = x if min is None else mnp.maximum(x, min)
    return above if max is None else mnp.minimum(above, max)


def _sign(x: Any, /) -> Any:
    return mnp.where(mnp.isnan(x), x, mnp.sign(x))


def _take(x: Any, indices: Any, /, *, axis: int | None = None) -> Any:
    return mnp.take(x, indices, axis=axis, mode="wrap")


def _reshape(x: Any, /, shape: tuple[int, ...], *, copy: bool | None = None) -> Any:
    made = mnp.reshape(x, shape)
    return made.copy() if copy else made


def _concat(arrays: Sequence[Any], /, *, axis: int | None = 0) -> Any:
    return mnp.concatenate(list(arrays), axis=axis)


def _stack(arrays: Sequence[Any], /, *, axis: int = 0) -> Any:
    return mnp.stack(list(arrays), axis=axis)


def _flip(x: Any, /, *, axis: Any = None) -> Any:
    return mnp.flip(x, axis=tuple(range(x.ndim)) if axis is None else axis)


def _cumulative_sum(x: Any, /, *, axis: int | None = None, dtype: Any = None) -> Any:
    return mnp.cumsum(x if dtype is None else _astype(x, dtype), axis=axis)


_SAME = (
    *("abs", "ceil", "cos", "cosh", "exp", "expm1", "floor", "isfinite", "isinf", "isnan", "log", "log10"),
    *("log1p", "log2", "logical_not", "negative", "reciprocal", "sin", "sinh", "sqrt", "square", "tan"),
    *("tanh", "trunc", "add", "equal", "greater", "greater_equal", "hypot", "less", "less_equal"),
    *("maximum", "minimum", "multiply", "not_equal", "subtract", "where", "nonzero", "matmul", "tensordot"),
    *("broadcast_to", "moveaxis", "repeat", "roll"),
)
"""Functions that both know by the same name and with the same arguments."""

NATIVE: dict[str, Function] = {
    **{name: getattr(mnp, name) for name in _SAME},
    "divide": mnp.true_divide,
    "pow": mnp.power,
    "round": mnp.around,
    "sign": _sign,
    "clip": _clip,
    "sum": _accumulation(mnp.sum),
    "prod": _accumulation(mnp.prod),
    "mean": _reduction(mnp.mean),
    "max": _reduction(mnp.max),
    "min": _reduction(mnp.min),
    "any": _reduction(mnp.any),
    "all": _reduction(mnp.all),
    "std": _deviation(mnp.std, 0.5),
    "var": _deviation(mnp.var, 1.0),
    "argmax": _position(mnp.argmax),
    "argmin": _position(mnp.argmin),
    "cumulative_sum": _cumulative_sum,
    "take": _take,
    "reshape": _reshape,
    "permute_dims": lambda x, axes: mnp.transpose(x, axes),
    "expand_dims": lambda x, *, axis=0: mnp.expand_dims(x, axis=axis),
    "squeeze": lambda x, axis: mnp.squeeze(x, axis=axis),
    "concat": _concat,
    "stack": _stack,
    "flip": _flip,
    "asarray": _asarray,
    "astype": _astype,
    "zeros_like": _filled(0),
    "ones_like": _filled(1),
    "full_like": _full_like,
}
"""What MXNet calculates itself, on the device of the arrays."""
