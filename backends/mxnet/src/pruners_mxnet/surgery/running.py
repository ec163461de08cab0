"""Run a model on its example inputs without leaving a trace: random state, parameters, inputs."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
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
from ..tracing.graph import Graph, Node
from .comparing import results

_RANDOM = ("_random_", "_sample_", "sample_", "_shuffle", "_npi_normal", "_npi_uniform", "_npi_bernoulli")
"""How the names of operators begin that draw random numbers."""
_ERRORS = 16
"""Errors that may be waiting to be read."""


@frozen(eq=False)
class Bench:
    """A model and its example inputs, ready to be run."""

    model: Block
    inputs: Arguments
    seed: int | None = None
    """Seeds MXNet's random numbers in every run; None: the model draws none."""

    @classmethod
    def of(cls, model: Block, example_inputs: Any, graphs: Mapping[str, Graph]) -> Bench:
        """Return a bench; where the model draws random numbers, one more is drawn as a seed."""
        drawn = any(draws(model, graph, mode) for mode, graph in graphs.items())
        return cls(model, Arguments.of(example_inputs), _number() if drawn else None)

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
            stack.enter_context(_same_random_numbers(self.seed))
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


def draws(model: Block, graph: Graph, mode: str) -> bool:
    """Return whether a recorded pass drew random numbers, but for the dropout of Gluon's own layers."""
    found = blocks(model)
    return any(
        node.op.startswith(_RANDOM)
        or (mode == "train" and node.op == "LeakyReLU" and node.attrs.get("act_type") == "rrelu")
        or (node.op == "Dropout" and _drops(found.get(node.module), node, mode))
        for node in graph.nodes
    )


def _drops(block: Block | None, node: Node, mode: str) -> bool:
    always = node.attrs.get("mode") == "always"
    return not isinstance(block, nn.Dropout) and (mode == "train" or always)


def _number() -> int:
    with mxnet.autograd.pause():
        return int(mxnet.nd.random.randint(0, 2**31 - 1, shape=(1,)).asnumpy()[0])


@contextmanager
def _same_random_numbers(seed: int | None) -> Iterator[None]:
    """
    Let a block draw the same random numbers each time.

    Python's and NumPy's are taken back. MXNet cannot tell the state of its own: they go on from the
    seed, so that the same script gives the same numbers again.
    """
    state, numbers = random.getstate(), np.random.get_state()  # noqa: NPY002
    try:
        if seed is not None:
            mxnet.random.seed(seed)
        yield
    finally:
        if seed is not None:
            mxnet.random.seed(seed)
        random.setstate(state)
        np.random.set_state(numbers)  # noqa: NPY002
