"""Runs a model once on lent numbers and takes down what ran."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import mxnet
import numpy as np
from attrs import field, frozen
from mxnet import autograd
from mxnet.gluon import Block

from .._layers import blocks
from ..lending import eager, lent
from .arguments import Arguments
from .attributes import tracked_attributes
from .graph import Graph, Variable
from .scopes import Scopes, followed
from .watching import Watch, recorded_name, seed_again, watching


@frozen(eq=False)
class Marked:
    """An array that was there before the pass, and what it is."""

    variable: Variable
    array: Any


@frozen(eq=False)
class Capture:
    """One forward pass that was recorded, arrays and all."""

    output: Any
    watch: Watch
    scopes: Scopes
    marked: dict[str, Marked] = field(factory=dict)
    """By the name in the recorded graph."""

    def feeds(self, graph: Graph) -> dict[int, Any]:
        """Return the arrays that the pass ran on, for its own graph."""
        return {
            index: self.marked[graph.nodes[index].name].array
            if graph.nodes[index].name in self.marked
            else variable.array
            for index, variable in graph.variables.items()
        }


def capture(
    block: Block,
    arguments: Arguments,
    mode: str,
    *,
    sizes: bool = True,
    call: Callable[..., Any] | None = None,
) -> Capture:
    """
    Run a block once in a mode, "eval" or "train", and return what was recorded.

    `call` runs in place of the block itself: its own forward pass. Where `sizes` is set, the integers in
    the block's own code remember how they came about.

    The block runs on copies of all its parameters; its hooks, hybridization and integers are as before.
    Random numbers: Dropout runs without drawing any; what other operators draw is made up for by
    seeding MXNet's generators with a number drawn just before. Those of Python and of NumPy are put back.
    """
    with ExitStack() as stack:
        stack.enter_context(kept_generators())
        stack.enter_context(autograd.pause())
        marked: dict[str, Marked] = {}
        fresh = arguments.fresh()
        stack.enter_context(lent(block, _lender(marked)))
        for position, array in enumerate(fresh.arrays):
            marked.setdefault(_mark(array), Marked(Variable("input", position=position), array))
        stack.enter_context(eager(block))
        found = blocks(block)
        marker = mxnet.nd.zeros((1,))
        _mark(marker)
        stack.enter_context(autograd.record(train_mode=mode == "train"))
        watch = stack.enter_context(watching())
        stack.callback(seed_again, watch)
        scopes = Scopes(watch, marker, {id(each): name for name, each in reversed(found.items())})
        stack.enter_context(followed(scopes, found))
        if sizes:
            stack.enter_context(tracked_attributes(found, watch))
        output = (call or block)(*fresh.positional, **fresh.named)
    mxnet.nd.waitall()
    return Capture(output, watch, scopes, marked)


@contextmanager
def kept_generators() -> Iterator[None]:
    """Put back the random state of Python and of NumPy."""
    numbers, others = random.getstate(), np.random.get_state()  # noqa: NPY002
    try:
        yield
    finally:
        random.setstate(numbers)
        np.random.set_state(others)  # noqa: NPY002


def _mark(array: Any) -> str:
    """Mark an array as one to be found again in the graph; return its name there."""
    array.attach_grad(grad_req="null")
    return recorded_name(array)


def _lender(marked: dict[str, Marked]) -> Callable[[str, Any], Any]:
    def lend(name: str, array: Any) -> Any:
        copy = array.copy()
        marked[_mark(copy)] = Marked(Variable("parameter", name), copy)
        return copy

    return lend
