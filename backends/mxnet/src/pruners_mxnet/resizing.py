"""Parameters that take values of other shapes and types and stay the same objects; and the way back."""

from __future__ import annotations

from typing import Any

import mxnet
import numpy as np
from attrs import field, frozen
from mxnet.gluon import Block, Constant, HybridBlock, Parameter
from mxnet.gluon.contrib.nn import SyncBatchNorm

from ._arrays import BFLOAT16, memory, on_host, shared, to_host, to_nd
from ._layers import blocks

_FIELDS = ("_data", "_grad", "_shape", "_dtype", "_var", "_deferred_init", "_ctx_list", "_ctx_map")


def put(parameter: Parameter, values: np.ndarray) -> None:
    """
    Give a parameter other values, of any shape and type, on the devices it is on or was to be on.

    Where shape and type stay, they are written into the arrays that are there; otherwise it gets other
    arrays, and gradients of zeros. One that was never initialised is.
    """
    if fits(parameter, values):
        for array in parameter._data:
            _write(array, values)
    else:
        _exchange(parameter, values)
    if isinstance(parameter, Constant):
        parameter.value = shared(to_nd(values), numpy=holds_numpy(parameter))
    _forget_stored(parameter)


def fits(parameter: Parameter, values: np.ndarray) -> bool:
    """Return whether values can be written into the arrays that are there."""
    return parameter._data is not None and all(
        array.shape == values.shape and _is_type(array.dtype, values) for array in parameter._data
    )


def _is_type(dtype: Any, values: np.ndarray) -> bool:
    wanted = BFLOAT16 if values.dtype.name == "bfloat16" else values.dtype
    return bool(np.dtype(dtype) == wanted)


def _write(array: Any, values: np.ndarray) -> None:
    if on_host(array):
        place = memory(array)
        np.copyto(place, values.view(place.dtype))
    else:
        to_nd(values).copyto(array)


def _exchange(parameter: Parameter, values: np.ndarray) -> None:
    numpy = holds_numpy(parameter)
    contexts = _contexts(parameter)
    made = [to_nd(values, context) for context in contexts]
    parameter._shape = values.shape
    parameter._dtype = made[0].dtype
    parameter._var = None
    parameter._deferred_init = ()
    with mxnet.util.np_shape(True), mxnet.util.np_array(numpy), mxnet.autograd.pause():
        parameter._init_impl(shared(made[0], numpy=numpy), contexts)


def holds_numpy(parameter: Parameter) -> bool:
    """Return whether a parameter holds, or would come to hold, arrays of `mxnet.np`."""
    known = parameter._data
    return isinstance(known[0], mxnet.np.ndarray) if known else bool(mxnet.util.is_np_array())


def _contexts(parameter: Parameter) -> list[Any]:
    """Return where a parameter is, where it was to be, or where a new one would come."""
    if parameter._data is not None:
        return list(parameter._ctx_list)
    if parameter._deferred_init:
        return list(parameter._deferred_init[1])
    return [mxnet.current_context()]


def _forget_stored(parameter: Parameter) -> None:
    """Have a trainer that updates its own copy of a parameter take it anew."""
    trainer = parameter._trainer
    if trainer and trainer._kv_initialized and trainer._update_on_kvstore:
        trainer._reset_kvstore()


def clear_caches(model: Block) -> None:
    """Have every hybridized part of a model build its graph anew when it is next called."""
    for block in blocks(model).values():
        if isinstance(block, HybridBlock):
            block._clear_cached_op()
        if isinstance(block, SyncBatchNorm) and block.gamma.shape:
            # MXNet keeps what devices share under this key, in the size that it first had.
            block._kwargs["key"] = f"{block.prefix}{block.gamma.shape[0]}_"


@frozen(eq=False)
class Snapshot:
    """What some parameters hold: their arrays, and what is in these."""

    parameters: list[tuple[Parameter, dict[str, Any], list[np.ndarray]]] = field(factory=list)

    def add(self, parameter: Parameter) -> None:
        """Remember one more parameter before it is changed."""
        fields = {name: vars(parameter)[name] for name in _FIELDS}
        if isinstance(parameter, Constant):
            fields["value"] = parameter.value
        self.parameters.append(
            (parameter, fields, [to_host(array).copy() for array in parameter._data or ()])
        )

    def restore(self) -> None:
        """Put everything back as it was: the same arrays with the same values."""
        for parameter, fields, copies in self.parameters:
            vars(parameter).update(fields)
            for array, copy in zip(parameter._data or (), copies, strict=True):
                _write(array, copy)
