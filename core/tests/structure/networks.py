"""Random networks: chains and graphs of every kind of operation, small enough to run in no time."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
from attrs import evolve
from hypothesis import strategies as st

from pruners.structure.program import Op, Program

from . import pictures, tokens  # noqa: F401  (they enter their steps in the table)
from .builder import Builder
from .drawing import STEPS, Draw, flag, pick, step, whole
from .interpreter import Network, Run, Whole

STARTS = {"picture": 4, "indices": 3, "vector": 2, "bare": 4}
"""What a network starts from, and its number of axes."""
UNARY = ["relu", "tanh", "gelu", "abs", "neg", "sigmoid", "exp"]
MOST = 400
"""Numbers a value may have."""
LARGEST = 1e3
"""Where a value is larger, nothing goes on from it."""


def function(draw: Draw, x: int) -> list[int]:
    name = pick(draw, [*UNARY, "plus", "times", "log"])
    if name == "plus":
        return [draw.net.unary(x, "add", scalar=1.0)]
    if name == "times":
        return [draw.net.unary(x, "mul", scalar=0.5)]
    if name == "log":
        if not draw.net.run.values[x].all():
            return []
        return [draw.net.unary(draw.net.unary(x, "abs"), "log")]
    return [draw.net.unary(x, name)]


def pair(draw: Draw, x: int) -> list[int]:
    """Two values of equal shape."""
    net = draw.net
    others = [value for value in draw.pool if net.shape(value) == net.shape(x)]
    return [net.binary(x, pick(draw, others), pick(draw, ["add", "mul", "sub", "maximum"]))]


for rank in (2, 3, 4):
    step(rank)(function)
    step(rank)(pair)


def build(draw: Any, least: int, most: int, only: Collection[str] = ()) -> Draw:
    """Draw a network up to its heads; of steps whose names are in `only`, where that says any."""
    net = Builder(draw(st.integers(0, 999)))
    state = Draw(draw, net, [])
    steps = {
        rank: [each for each in known if not only or each.__name__ in only] for rank, known in STEPS.items()
    }
    state.pool.append(_start(state, [kind for kind, rank in STARTS.items() if steps[rank]]))
    for _ in range(whole(state, least, most)):
        x = state.pool[-1 - min(whole(state, 0, 3), len(state.pool) - 1)]
        fitting = steps[len(net.shape(x))]
        found = pick(state, fitting)(state, x) if fitting else []
        state.pool.extend(value for value in found if _fits(net, value))
    return state


def _start(state: Draw, kinds: Sequence[str]) -> int:
    net = state.net
    kind = pick(state, kinds)
    if kind == "picture":
        return net.conv(net.picture(whole(state, 1, 3), pick(state, [2, 4])), whole(state, 2, 8))
    if kind == "indices":
        return net.embedding(net.indices(5, 2, pick(state, [1, 3, 4])), 5, whole(state, 2, 6))
    if kind == "vector":
        return net.linear(net.vector(3, 4), whole(state, 2, 8))
    return net.picture(whole(state, 1, 4), 2)


def _fits(net: Builder, value: int) -> bool:
    numbers = net.run.values[value]
    return numbers.size <= MOST and 2 <= numbers.ndim <= 4 and bool(np.abs(numbers).max(initial=0) < LARGEST)


def head(net: Builder, x: int) -> int:
    """Add a layer that sums over the channels of any value."""
    if len(net.shape(x)) == 4:
        return net.conv(x, 2)
    return net.linear(x, 2)


@st.composite
def networks(draw: Any, least: int = 1, most: int = 8, only: Collection[str] = ()) -> Network:
    """Networks with one recorded pass."""
    state = build(draw, least, most, only)
    return state.net.network(*_results(state))


def _results(state: Draw) -> list[int]:
    net = state.net
    results = [head(net, state.pool[-1])]
    if flag(state):
        other = pick(state, state.pool)
        results.append(other if whole(state, 0, 3) == 3 else head(net, other))
    return results


def trained(draw: Any) -> Network:
    """Draw a network with a second pass: another head, statistics of the batch."""
    state = build(draw, 1, 5)
    net = state.net
    branch = pick(state, state.pool)
    results = _results(state)
    evaluated = net.program
    train = Program(list(evaluated.shapes), dict(evaluated.parameters), list(evaluated.constants))
    train.ops = [_training(op) for op in evaluated.ops]
    train.results = list(results)
    net.program, net.run = train, Run(train, Whole(train), values=net.run.values)
    train.results.append(head(net, net.unary(branch, "relu")))
    net.program = evaluated
    return net.network(*results, train=train)


trained_networks = st.composite(trained)


def _training(op: Op) -> Op:
    if op.kind != "batch_norm":
        return op
    return evolve(op, options={**op.options, "batch_statistics": True})
