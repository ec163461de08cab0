"""A block that runs on other numbers for a while: its own arrays are neither read nor written."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from threading import RLock
from typing import Any

import mxnet
from mxnet.gluon import Block, HybridBlock, Parameter

from ._layers import blocks

ALONE = RLock()
"""Held while MXNet's own functions are replaced: threads would put back each other's."""


def parameters(model: Block) -> dict[str, Parameter]:
    """Return every parameter that has values, running statistics included, by its first name."""
    from ._layers import named

    seen: set[int] = set()
    found = {}
    for name, (_, _, parameter) in named(model).items():
        if id(parameter) not in seen and parameter._data is not None:
            found[name] = parameter
        seen.add(id(parameter))
    return found


@contextmanager
def lent(model: Block, values: Callable[[str, Any], Any]) -> Iterator[None]:
    """
    Run a block of code while a model's parameters hold other arrays.

    ``values(name, array)`` is asked for every array of every parameter and device, and returns what
    stands in for it: of any shape and type. Afterwards the parameters hold their own arrays again, the
    very objects, gradients included, whatever was done to those that were lent.
    """
    kept = [(parameter, parameter._data, parameter._grad) for parameter in parameters(model).values()]
    lent_ = {
        parameter: [values(name, array) for array in parameter._data]
        for name, parameter in parameters(model).items()
    }
    try:
        for parameter, arrays in lent_.items():
            parameter._data, parameter._grad = arrays, None
        yield
    finally:
        for parameter, data, gradient in kept:
            parameter._data, parameter._grad = data, gradient


@contextmanager
def eager(model: Block) -> Iterator[None]:
    """Run a block of code while no part of a model is hybridized: every block's own code runs."""
    active = [(block, block._active) for block in blocks(model).values() if isinstance(block, HybridBlock)]
    try:
        for block, _ in active:
            block._active = False
        yield
    finally:
        for block, before in active:
            block._active = before


_USERS_SHAPES: ContextVar[bool | None] = ContextVar("users_shapes", default=None)


@contextmanager
def shaped() -> Iterator[None]:
    """Run a block of code in which arrays may be empty or have no axes, whatever the user has set."""
    outer = _USERS_SHAPES.get()
    token = _USERS_SHAPES.set(mxnet.util.is_np_shape() if outer is None else outer)
    try:
        with mxnet.util.np_shape(True):
            yield
    finally:
        _USERS_SHAPES.reset(token)


@contextmanager
def undisturbed() -> Iterator[None]:
    """Run a user's code outside recording and training scopes, shapes understood as the user has set."""
    users = _USERS_SHAPES.get()
    shapes = mxnet.util.np_shape(mxnet.util.is_np_shape() if users is None else users)
    with shapes, mxnet.autograd.pause(train_mode=False):
        yield
