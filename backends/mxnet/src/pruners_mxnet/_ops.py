"""The array functions a pruner may call: the device's own, or NumPy's where MXNet has none that is right."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import SimpleNamespace
from typing import Any

import array_api_compat.numpy as reference
import ml_dtypes
import mxnet
import numpy as np
from attrs import frozen

from ._arrays import BFLOAT16, to_host
from ._native import NATIVE, from_host
from .lending import shaped


@frozen
class Host:
    """Why a function is calculated by NumPy, on a copy in host memory."""

    reason: str
    only: tuple[str, ...] = ()
    """Types of numbers it is true of; empty: all."""


HOST: Mapping[str, Host] = {
    "argsort": Host("MXNet's is not stable, puts NaN first, and has no float16"),
    "logical_and": Host("MXNet has none"),
    "logical_or": Host("MXNet has none"),
    "matmul": Host("MXNet's has no float16 in host memory", ("float16",)),
    "remainder": Host("MXNet's gives 0, not NaN, for a division by zero"),
    "round": Host("MXNet's has no float16", ("float16",)),
    "searchsorted": Host("MXNet's hands over to NumPy, too"),
    "sort": Host("MXNet's puts NaN first, and has no float16"),
    "tensordot": Host("MXNet's has no float16 in host memory", ("float16",)),
    "tile": Host("MXNet's fails for three axes or more"),
    "triu": Host("MXNet has none"),
    "unique_values": Host("MXNet's takes NaN for equal to everything"),
}
"""
Functions that MXNet 1.9.1 lacks or gets wrong.

Arrays without elements or without axes go to NumPy in every function that calculates, for MXNet's
fail on them in one way or another, some by ending the process; so does bfloat16, which few know: it
is calculated in float32 and rounded. Sums that hold an infinity are NaN on MXNet.
"""

PLAIN = frozenset(["asarray", "astype", "full_like", "ones_like", "zeros_like"])
"""Functions that are right for every array."""

DTYPES = {
    **{
        name: getattr(np, name)
        for name in ("float16", "float32", "float64", "int8", "int32", "int64", "uint8")
    },
    "bool": np.bool_,
    "bfloat16": BFLOAT16,
}


def _arrays(given: Any) -> Iterator[Any]:
    if isinstance(given, mxnet.nd.NDArray):
        yield given
    elif isinstance(given, (tuple, list)):
        for each in given:
            yield from _arrays(each)


def _to_host(given: Any) -> Any:
    if isinstance(given, mxnet.nd.NDArray):
        return to_host(given).astype(np.float32) if given.dtype == BFLOAT16 else to_host(given)
    return type(given)(map(_to_host, given)) if isinstance(given, (tuple, list)) else given


def on_host(name: str, arrays: list[Any]) -> bool:
    """Return whether a function of these arrays is calculated by NumPy."""
    if name in HOST and (not HOST[name].only or any(_name(each) in HOST[name].only for each in arrays)):
        return True
    odd = (not each.size or not each.ndim or each.dtype == BFLOAT16 for each in arrays)
    return name not in PLAIN and any(odd)


def _name(array: Any) -> str:
    return str(np.dtype(array.dtype).name)


def _function(name: str) -> Callable[..., Any]:
    def call(*arguments: Any, **options: Any) -> Any:
        if "out" in options:
            raise TypeError(f"{name} takes no out=: what a view gives is read-only")
        arrays = list(_arrays(arguments))
        with shaped(), mxnet.autograd.pause():
            if not on_host(name, arrays):
                return NATIVE[name](*arguments, **options)
            context = arrays[0].context if arrays else None
            found = getattr(reference, name)(*_to_host(arguments), **options)
            if isinstance(found, (tuple, list)):
                return tuple(from_host(each, context) for each in found)
            narrow = found.dtype == np.float32 and any(each.dtype == BFLOAT16 for each in arrays)
            return from_host(found.astype(ml_dtypes.bfloat16) if narrow else found, context)

    call.__name__ = name
    return call


OPS = SimpleNamespace(
    **{name: _function(name) for name in sorted({*NATIVE, *HOST})},
    **DTYPES,
    pi=np.pi,
    e=np.e,
    inf=np.inf,
    nan=np.nan,
)
"""What a view hands out as `ops`."""
