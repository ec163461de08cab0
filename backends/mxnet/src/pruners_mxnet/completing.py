"""Blocks whose parameters get their shapes when they first run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import mxnet
from mxnet.gluon import Block, Parameter

from pruners import TraceError

from ._layers import named
from .lending import eager, undisturbed
from .tracing.arguments import Arguments


def unshaped(block: Block) -> dict[str, Parameter]:
    """Return the parameters that are initialised as soon as the block runs, by every name."""
    return {name: each for name, (_, _, each) in named(block).items() if each._deferred_init}


def complete(block: Block, example_inputs: Any) -> frozenset[str]:
    """
    Run a block once, in prediction mode, if any of its parameters has no shape yet.

    Returns the names of those that have none afterwards: of layers that do not take part. On any error
    the parameters are as they were.
    """
    waiting = unshaped(block)
    if not waiting:
        return frozenset()
    with _all_or_none(waiting), undisturbed(), eager(block):
        try:
            Arguments.of(example_inputs).call(block)
            mxnet.nd.waitall()
        except Exception as error:
            raise TraceError(
                f"parameter {next(iter(waiting))!r} has no shape before the model runs, and the model does "
                f"not run on example_inputs: {type(error).__name__}: {error}"
            ) from error
    return frozenset(unshaped(block))


@contextmanager
def _all_or_none(parameters: dict[str, Parameter]) -> Iterator[None]:
    before = [(parameter, dict(vars(parameter))) for parameter in parameters.values()]
    try:
        yield
    except BaseException:
        for parameter, attributes in before:
            vars(parameter).clear()
            vars(parameter).update(attributes)
        raise
