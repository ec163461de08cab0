"""Random chains of operators: shapes, numbers and the graph run again agree, whatever the order."""

from __future__ import annotations

import mxnet as mx
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from mxnet import nd

from pruners.structure.engine import analyse

from .checking import check, kinds
from .models import Calling


def reshaped(draw, x):
    """Return a reshape with codes that fit; MXNet infers a -1 behind a split wrongly."""
    codes = []
    for length in x.shape:
        choices = [0, length]
        if length % 2 == 0 and length > 2:
            choices.append("split")
        code = draw(st.sampled_from(choices))
        codes += [-4, 2, length // 2] if code == "split" else [code]
    if -4 not in codes and draw(st.booleans()):
        codes[-1] = -1
    return lambda y: nd.reshape(y, shape=tuple(codes))


def permuted(draw, x):
    axes = draw(st.permutations(range(x.ndim)))
    return lambda y: y.transpose(axes)


def sliced(draw, x):
    axis = draw(st.integers(0, x.ndim - 1))
    begin = draw(st.integers(0, x.shape[axis] - 1))
    end = draw(st.one_of(st.none(), st.integers(begin + 1, x.shape[axis])))
    return lambda y: y.slice_axis(axis=axis, begin=begin, end=end)


def indexed(draw, x):
    axis = draw(st.integers(0, x.ndim - 1))
    start = draw(st.integers(0, x.shape[axis] - 1))
    stop = draw(st.integers(start + 1, x.shape[axis]))
    step = draw(st.integers(1, 2))
    key = (*[slice(None)] * axis, slice(start, stop, step))
    return lambda y: y[key]


def merged(draw, x):
    if x.ndim < 2:
        return lambda y: y * 1
    axis = draw(st.integers(0, x.ndim - 2))
    return lambda y: nd.reshape(y, shape=(*[0] * axis, -3, -2))


def reduced(draw, x):
    axis = draw(st.integers(0, x.ndim - 1))
    keepdims = x.ndim == 1 or draw(st.booleans())
    return lambda y: y.mean(axis=axis, keepdims=keepdims)


def joined(draw, x):
    axis = draw(st.integers(0, x.ndim - 1))
    return lambda y: nd.concat(y, y * 2, dim=axis)


def parted(draw, x):
    axis = draw(st.integers(0, x.ndim - 1))
    if x.shape[axis] % 2:
        return lambda y: y.flip(axis=axis)
    return lambda y: y.split(num_outputs=2, axis=axis)[1]


def repeated(draw, x):
    axis = draw(st.integers(0, x.ndim - 1))
    return lambda y: y.repeat(repeats=2, axis=axis)


def widened(draw, x):
    axis = draw(st.integers(0, x.ndim))
    return lambda y: y.expand_dims(axis)


def computed(draw, x):
    return draw(st.sampled_from([nd.relu, lambda y: y + 1, lambda y: y * y, nd.identity]))


STEPS = (reshaped, permuted, sliced, indexed, merged, reduced, joined, parted, repeated, widened, computed)


@st.composite
def chains(draw):
    """Return functions to run one after another on an array of shape (2, 4, 6)."""
    x, chain = nd.ones((2, 4, 6)), []
    for _ in range(draw(st.integers(1, 5))):
        choose = draw(st.sampled_from(STEPS))
        step = choose(draw, x)
        y = step(x)
        if y.size <= 2000 and y.ndim <= 6:
            x = y
            chain.append(step)
    return chain


@given(chains())
@settings(max_examples=150, deadline=None)
def test_any_chain(chain):
    def forward(self, x):
        for step in chain:
            x = step(x)
        return x + 0

    x = mx.nd.array(np.random.default_rng(1).normal(size=(2, 4, 6)))
    recording = check(Calling(forward), x)
    assert "opaque" not in kinds(recording.programs["eval"])
    analyse(recording.programs, weights={}, literals=recording.literals)
