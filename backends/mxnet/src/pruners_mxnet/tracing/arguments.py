"""What a block is called with, and the arrays in it and in what the block returns."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import mxnet
import numpy as np
from attrs import field, frozen
from mxnet.gluon import Block

from .._arrays import BFLOAT16


@frozen(eq=False)
class Arguments:
    """What a block is called with."""

    positional: tuple[Any, ...]
    named: Mapping[str, Any] = field(factory=dict)

    @classmethod
    def of(cls, example_inputs: Any) -> Arguments:
        """Take a tuple as positional arguments, a mapping as keywords, anything else as one input."""
        if isinstance(example_inputs, tuple):
            return cls(example_inputs)
        if isinstance(example_inputs, Mapping) and all(isinstance(name, str) for name in example_inputs):
            return cls((), example_inputs)
        return cls((example_inputs,))

    @property
    def arrays(self) -> list[Any]:
        """Every array in it, from the first argument on; one that is given twice is there twice."""
        return arrays_in((self.positional, dict(self.named)))

    def fresh(self) -> Arguments:
        """Return copies that nothing else reads or writes."""
        return self.mapped(lambda array: array.copy())

    def cast(self, dtype: Any) -> Arguments:
        """Return it with every array of floating point numbers in another precision."""
        return self.mapped(lambda array: array.astype(dtype) if is_float(array) else array)

    def doubled(self) -> Arguments | None:
        """Return a batch of two, each example twice; None unless every array is a batch of one."""
        if not self.arrays or any(array.ndim == 0 or array.shape[0] != 1 for array in self.arrays):
            return None
        return self.mapped(_twice)

    def mapped(self, function: Callable[[Any], Any]) -> Arguments:
        """Return it with something else for each array; one that is given twice is asked for once."""
        made: dict[int, Any] = {}

        def each(array: Any) -> Any:
            if id(array) not in made:
                made[id(array)] = function(array)
            return made[id(array)]

        return Arguments(replaced(self.positional, each), replaced(dict(self.named), each))

    def call(self, block: Block) -> Any:
        """Return what the block gives."""
        return block(*self.positional, **self.named)


def is_float(array: Any) -> bool:
    """Return whether an array holds floating point numbers."""
    dtype = np.dtype(array.dtype)
    return bool(dtype.kind == "f" or dtype == BFLOAT16)


def arrays_in(held: Any) -> list[Any]:
    """Return every array in nested tuples, lists and mappings, in order."""
    if isinstance(held, mxnet.nd.NDArray):
        return [held]
    if isinstance(held, Mapping):
        held = list(held.values())
    return [array for each in held for array in arrays_in(each)] if isinstance(held, (tuple, list)) else []


def replaced(held: Any, function: Callable[[Any], Any]) -> Any:
    """Return nested tuples, lists and mappings with something else for each array."""
    if isinstance(held, mxnet.nd.NDArray):
        return function(held)
    if isinstance(held, Mapping):
        return {key: replaced(each, function) for key, each in held.items()}
    if isinstance(held, (tuple, list)):
        made = [replaced(each, function) for each in held]
        return made if isinstance(held, list) else _tuple(held, made)
    return held


def _tuple(held: tuple[Any, ...], made: list[Any]) -> tuple[Any, ...]:
    """Return a tuple of the same kind; a named one takes its fields one by one."""
    return tuple(made) if type(held) is tuple else type(held)(*made)


def _twice(array: Any) -> Any:
    concatenate = (
        mxnet.np.concatenate
        if isinstance(array, mxnet.np.ndarray)
        else lambda both: mxnet.nd.concat(*both, dim=0)
    )
    return concatenate([array, array])
