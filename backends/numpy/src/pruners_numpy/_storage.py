"""What of a model of arrays goes into a file, and how it is put back: all of it, or nothing."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from typing import Any

import numpy as np

from pruners import StateError
from pruners.storage.tensors import ModelState, Sizes, StoredTensor, from_array, to_array


def state(model: Any, arrays: Mapping[str, np.ndarray]) -> ModelState:
    """Return everything that goes into a file."""
    firsts: dict[Any, str] = {}
    aliases = {
        name: first
        for name, array in arrays.items()
        if (first := firsts.setdefault(_place(array), name)) != name
    }
    tensors = {name: from_array(name, arrays[name]) for name in firsts.values()}
    return ModelState(tensors=tensors, aliases=aliases, sizes={"": _sizes(model)})


def _place(array: np.ndarray) -> Any:
    """Return what arrays have in common that are the same numbers in the same memory."""
    if not array.size:
        return id(array)
    return (array.__array_interface__["data"][0], array.shape, array.strides, array.dtype)


def _sizes(model: Any) -> dict[str, int | tuple[int, ...]]:
    if isinstance(model, Mapping):
        return {}
    found: dict[str, int | tuple[int, ...]] = {}
    for name, value in vars(model).items():
        if type(value) is int:
            found[name] = value
        elif type(value) in (tuple, list) and value and all(type(each) is int for each in value):
            found[name] = tuple(value)
    return found


def restore(
    model: Any, arrays: Mapping[str, np.ndarray], tensors: Mapping[str, StoredTensor], sizes: Sizes
) -> None:
    """Put arrays of any shape and integers in place of the model's own: all of it, or nothing."""
    holder = model if isinstance(model, Mapping) else vars(model)
    firsts = {_place(arrays[name]): to_array(name, tensor) for name, tensor in tensors.items()}
    found = {name: firsts[_place(array)] for name, array in arrays.items() if _place(array) in firsts}
    others = {name: new for name, new in found.items() if not _fits(arrays[name], new)}
    if others and not isinstance(holder, MutableMapping):
        raise StateError(
            f"{next(iter(others))!r} changes its shape or type, and a {type(model).__name__} cannot take "
            "another array; pass a dict"
        )
    _replace(holder, others | {name: _like(holder[name], value) for name, value in sizes.get("", {}).items()})
    for name, new in found.items():
        if name not in others:
            np.copyto(_bits(arrays[name]), _bits(new))


def _replace(holder: Any, values: Mapping[str, Any]) -> None:
    before = {name: holder[name] for name in values}
    try:
        for name, value in values.items():
            holder[name] = value
    except BaseException:
        holder.update(before)
        raise


def _like(now: Any, value: int | tuple[int, ...]) -> Any:
    return value if isinstance(value, int) else type(now)(value)


def _fits(old: np.ndarray, new: np.ndarray) -> bool:
    """Return whether values can be written into the memory that is there."""
    return old.shape == new.shape and old.dtype == new.dtype and old.flags.writeable


def _bits(array: np.ndarray) -> np.ndarray:
    return array.view(f"V{array.itemsize}")
