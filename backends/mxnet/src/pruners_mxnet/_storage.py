"""What of a block goes into a file, and how it is put back: all of it, or nothing."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import mxnet
import numpy as np
from attrs import define
from mxnet.gluon import Block, HybridBlock, Parameter, SymbolBlock

from pruners import StateError
from pruners.storage.tensors import NUMPY, ModelState, Sizes, StoredTensor, from_array, to_array

from ._arrays import BFLOAT16, to_host
from ._layers import blocks, named
from .resizing import Snapshot, clear_caches, fits, holds_numpy, put

_TYPES = frozenset(["BOOL", "U8", "I8", "I32", "I64", "F16", "BF16", "F32", "F64"])
"""Names in safetensors of the types that MXNet has."""
_OPTIONS = "_kwargs"
"""Where Gluon's layers keep what they pass to their operator: sizes are there, too."""
_NO_SIZES = frozenset(["_in_format", "_out_format", "_init_counter", "_counter"])
"""Integers that blocks hold about their last call."""


@define(eq=False)
class Stored:
    """One parameter, with all its names and the blocks that hold it."""

    parameter: Parameter
    names: list[str]
    owners: list[Block]


def state(block: Block) -> ModelState:
    """Return everything of a block that goes into a file."""
    found = pieces(block)
    return ModelState(
        tensors={each.names[0]: _described(each.names[0], each.parameter) for each in found},
        aliases={alias: each.names[0] for each in found for alias in each.names[1:]},
        sizes={name: sizes_of(each) for name, each in blocks(block).items()},
    )


def pieces(block: Block) -> list[Stored]:
    """Return every parameter once: weights, running statistics and constants, with all their names."""
    found: dict[int, Stored] = {}
    for name, (owner, _, parameter) in named(block).items():
        each = found.setdefault(id(parameter), Stored(parameter, [], []))
        each.names.append(name)
        each.owners.append(owner)
    return list(found.values())


def _described(name: str, parameter: Parameter) -> StoredTensor:
    """Return a parameter as a tensor to store; one without values has a shape, and no bytes to read."""
    if parameter._stype != "default":
        raise StateError(f"{name!r} is {parameter._stype}; only dense parameters can be stored")
    known = parameter._data[0] if parameter._data is not None else parameter
    if known.shape is None:
        raise StateError(f"parameter {name!r} has no shape: initialise the model and run it once on a batch")
    dtype = np.dtype(known.dtype)
    stored = NUMPY.get("bfloat16" if dtype == BFLOAT16 else dtype.name)
    if stored is None:
        raise StateError(f"{name!r} is of type {dtype}, for which safetensors has no name")
    shape = tuple(max(length, 0) for length in known.shape)
    return StoredTensor(stored, shape, lambda: _bytes(name, parameter))


def _bytes(name: str, parameter: Parameter) -> np.ndarray:
    if parameter._data is None:
        raise StateError(
            f"parameter {name!r} has no values yet: call model.initialize() and run it once on a batch"
        )
    return from_array(name, to_host(_value(parameter))).read()


def _value(parameter: Parameter) -> Any:
    """Return what a parameter holds: where devices differ, as running statistics do, their mean."""
    arrays = parameter.list_data()
    first = to_host(arrays[0]).tobytes()
    same = all(to_host(array).tobytes() == first for array in arrays[1:])
    return arrays[0] if same else parameter._reduce()


def sizes_of(block: Block) -> dict[str, int | tuple[int, ...]]:
    """
    Return the integers, and tuples and lists of integers, that a block or its class holds by name.

    Those in a layer's ``_kwargs`` are named after it: ``"_kwargs.num_filter"``.
    """
    own = {name: value for name, value in _plain(vars(block)).items() if name not in _NO_SIZES}
    options = vars(block).get(_OPTIONS)
    inner = _plain(options) if isinstance(options, dict) else {}
    kind: Any = type(block)
    return {**_sizes_of_class(kind), **own, **{f"{_OPTIONS}.{key}": inner[key] for key in inner}}


@cache
def _sizes_of_class(kind: type) -> dict[str, int | tuple[int, ...]]:
    base = HybridBlock if issubclass(kind, HybridBlock) else Block
    classes = kind.__mro__[: kind.__mro__.index(base)]
    found = {name: value for each in reversed(classes) for name, value in vars(each).items()}
    return {name: value for name, value in _plain(found).items() if not name.startswith("_")}


def _plain(namespace: Mapping[str, Any]) -> dict[str, int | tuple[int, ...]]:
    found: dict[str, int | tuple[int, ...]] = {}
    for name, value in namespace.items():
        if _is_integer(value):
            found[name] = int(value)
        elif isinstance(value, (tuple, list)) and value and all(map(_is_integer, value)):
            found[name] = tuple(map(int, value))
    return found


def _is_integer(value: Any) -> bool:
    return type(value) is int or isinstance(value, np.integer)


def restore(block: Block, tensors: Mapping[str, StoredTensor], sizes: Sizes) -> None:
    """
    Put tensors and integers in place of a block's own; on any error it is as it was.

    Parameters stay the same objects on their devices. Where type and shape stay, values are written
    into the arrays that are there. A block that was never initialised or run has values afterwards.
    """
    found = {each.names[0]: each for each in pieces(block)}
    values = {name: _loaded(name, tensor) for name, tensor in tensors.items()}
    for name, array in values.items():
        _check_kind(name, found[name].parameter, array)
        _check_resizable(name, found[name], array)
    snapshot, attributes = Snapshot(), [(each, vars(each).copy()) for each in blocks(block).values()]
    options = [(each[_OPTIONS], each[_OPTIONS].copy()) for _, each in attributes if _has_options(each)]
    try:
        for name, array in values.items():
            snapshot.add(found[name].parameter)
            put(found[name].parameter, array)
        named_blocks = blocks(block)
        for name, integers in sizes.items():
            set_sizes(named_blocks[name], integers)
        clear_caches(block)
        mxnet.nd.waitall()
    except BaseException:
        snapshot.restore()
        for each, before in attributes:
            vars(each).clear()
            vars(each).update(before)
        for holder, before in options:
            holder.update(before)
        raise


def _has_options(attributes: Mapping[str, Any]) -> bool:
    return isinstance(attributes.get(_OPTIONS), dict)


def _loaded(name: str, stored: StoredTensor) -> np.ndarray:
    if stored.dtype not in _TYPES:
        raise StateError(f"tensor {name!r} is of type {stored.dtype}, which MXNet {mxnet.__version__} lacks")
    return to_array(name, stored)


def _check_kind(name: str, parameter: Parameter, values: np.ndarray) -> None:
    if values.dtype.name == "bfloat16" and holds_numpy(parameter):
        raise StateError(f"tensor {name!r} is of type BF16, which arrays of mxnet.np cannot have")


def _check_resizable(name: str, each: Stored, values: np.ndarray) -> None:
    """Raise where sizes would change that are written in a graph and not in a layer's attributes."""
    graph = any(isinstance(owner, SymbolBlock) for owner in each.owners)
    known = each.parameter._data is not None
    if graph and known and not fits(each.parameter, values):
        raise StateError(
            f"{name!r} is {each.parameter.shape} in a SymbolBlock, whose graph has its sizes written in it, "
            f"and {values.shape} in the file; build the model from its code, or import the smaller graph"
        )


def set_sizes(block: Block, values: Mapping[str, int | tuple[int, ...]]) -> None:
    """Give a block other integers by the names of `sizes_of`; each stays of the type it is."""
    for name, value in values.items():
        inner = name.startswith(f"{_OPTIONS}.")
        holder = vars(block)[_OPTIONS] if inner else vars(block)
        key = name.removeprefix(f"{_OPTIONS}.") if inner else name
        now = holder[key] if key in holder else getattr(block, key)
        holder[key] = _like(now, value)


def _like(now: Any, value: int | tuple[int, ...]) -> Any:
    if isinstance(value, int) or type(now) in (tuple, list):
        return type(now)(value)
    return type(now)(*value)  # a named tuple
