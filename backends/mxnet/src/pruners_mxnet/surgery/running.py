"""Run a model on its example inputs without leaving a trace: random state, parameters, inputs."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import mxnet
import numpy as np
from attrs import frozen
from mxnet.gluon import Block, nn
from mxnet.gluon.rnn.rnn_layer import _RNNLayer

from .._layers import blocks
from ..lending import eager
from ..tracing.arguments import Arguments
from .comparing import results

_ERRORS = 16
"""Errors that may be waiting to be read."""


@frozen(eq=False)
class Bench:
    """A model and its example inputs, ready to be run."""

    model: Block
    inputs: Arguments

    def run(self, mode: str, dtype: str | None = None, hybrid: bool = False) -> list[np.ndarray]:
        """
        Return what the model gives in a mode, without gradients and dropout.

        With `hybrid`, hybridized parts run as such; otherwise every block's own code runs.
        """
        inputs = self.given(dtype)
        with ExitStack() as stack:
            if not hybrid:
                stack.enter_context(eager(self.model))
            stack.enter_context(mxnet.autograd.pause(train_mode=mode == "train"))
            stack.enter_context(_no_dropout(self.model))
            stack.enter_context(_same_random_numbers())
            return results(inputs.call(self.model))

    def given(self, dtype: str | None) -> Arguments:
        """Return copies of the inputs, floats in another precision where one is asked for."""
        fresh = self.inputs.fresh()
        return fresh if dtype is None else fresh.cast(dtype)


def settle() -> None:
    """Wait for all that runs; an error of an earlier run that nobody read would come up in a later one."""
    for _ in range(_ERRORS):
        try:
            mxnet.nd.waitall()
            return
        except mxnet.base.MXNetError:
            continue


@contextmanager
def _no_dropout(model: Block) -> Iterator[None]:
    """Turn dropout off: it would draw other numbers for other shapes."""
    kept: list[tuple[dict[str, Any], str, Any]] = []
    for block in blocks(model).values():
        name = (
            "_rate" if isinstance(block, nn.Dropout) else "_dropout" if isinstance(block, _RNNLayer) else ""
        )
        if name:
            kept.append((vars(block), name, vars(block)[name]))
    try:
        for namespace, name, _ in kept:
            namespace[name] = 0
        yield
    finally:
        for namespace, name, value in kept:
            namespace[name] = value


@contextmanager
def _same_random_numbers() -> Iterator[None]:
    """Let a block draw from Python's and NumPy's random numbers, and take them back."""
    state, numbers = random.getstate(), np.random.get_state()  # noqa: NPY002
    try:
        yield
    finally:
        random.setstate(state)
        np.random.set_state(numbers)  # noqa: NPY002
