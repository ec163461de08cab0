"""Models for conformance checks."""

from __future__ import annotations

from collections.abc import Mapping

import mxnet
import numpy as np
from mxnet.gluon import Block, Parameter, nn

from ._arrays import BFLOAT16, memory, to_nd
from ._layers import named

_CONVOLUTIONS = {3: nn.Conv1D, 4: nn.Conv2D, 5: nn.Conv3D}


def model_from_arrays(arrays: Mapping[str, np.ndarray]) -> Block:
    """
    Return a block whose parameters are copies of `arrays`, under the same structural names.

    Two-axis arrays become dense layers and longer ones convolutions, where the name ends in
    ``.weight``; anything else becomes a loose parameter.
    """
    model = nn.Block()
    for name, array in arrays.items():
        owner, _, attribute = name.rpartition(".")
        if not owner:
            _hold(model, attribute, array)
            continue
        *ancestors, last = owner.split(".")
        parent = model
        for part in ancestors:
            if part not in parent._children:
                setattr(parent, part, nn.Block())
            parent = parent._children[part]
        setattr(parent, last, _layer(attribute, array))
    return model


def parameters(model: Block) -> dict[str, mxnet.nd.NDArray]:
    """Return the array of every parameter under every name it has in ``save_parameters``."""
    return {name: parameter.list_data()[0] for name, (_, _, parameter) in named(model).items()}


def _layer(attribute: str, array: np.ndarray) -> Block:
    if attribute != "weight" or not 2 <= array.ndim <= 5 or not array.size:
        holder = nn.Block()
        _hold(holder, attribute, array)
        return holder
    out, into, *kernel = array.shape
    if array.ndim == 2:
        layer: Block = nn.Dense(out, in_units=into, use_bias=False, dtype=_dtype(array))
    else:
        layer = _CONVOLUTIONS[array.ndim](out, tuple(kernel), in_channels=into, use_bias=False)
    _fill(layer.weight, array)
    return layer


def _hold(block: Block, attribute: str, array: np.ndarray) -> None:
    parameter = Parameter(attribute, shape=array.shape, dtype=_dtype(array))
    _fill(parameter, array)
    setattr(block, attribute, parameter)


def _fill(parameter: Parameter, array: np.ndarray) -> None:
    parameter.cast(_dtype(array))
    with mxnet.util.np_shape(True):
        parameter.initialize(mxnet.init.Zero(), ctx=mxnet.cpu())
        np.copyto(memory(parameter.data()), memory(to_nd(array)))


def _dtype(array: np.ndarray) -> object:
    return BFLOAT16 if array.dtype.name == "bfloat16" else array.dtype.type
