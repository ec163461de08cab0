"""Sizes in the user's code: what is written, what is computed, what follows an array."""

from __future__ import annotations

import math

import mxnet as mx
import numpy as np
import pytest
from mxnet import nd
from mxnet.gluon import nn
from pruners_mxnet.tracing import trace

from pruners.structure.engine import analyse
from pruners.structure.program import Arithmetic, Attribute, Constant, Dimension

from .checking import random
from .models import Calling, made


def block(function, **held):
    layers = {"first": nn.Conv2D(8, 1, in_channels=3), "last": nn.Dense(2)}
    return made(Calling(function, **layers, **held), random(2, 3, 4, 4))


def recorded(function, **held):
    return trace(block(function, **held), random(2, 3, 4, 4))


def group(recording):
    """Return the channels of the first layer that can leave."""
    structure = analyse(
        recording.programs,
        weights={"first.weight": 0, "last.weight": 0},
        literals=recording.literals,
    )
    roots = structure.parameter("first.weight")[0]
    return np.zeros(8, bool) if roots is None else roots.astype(bool)


def expressions(recording, mode="eval"):
    return [each.expression for each in recording.literals if each.mode == mode]


FREE = {
    "zero and minus one": lambda self, x: self.last(self.first(x).reshape((0, -1))),
    "method": lambda self, x: self.last(self.first(x).reshape((x.shape[0], -1))),
    "split and merge": lambda self, x: self.last(nd.reshape(self.first(x), shape=(0, 0, -4, 2, 2, 0))),
    "rest": lambda self, x: self.last(nd.reshape(self.first(x), shape=(-2, 1))),
    "halves": lambda self, x: self.last(nd.concat(*self.first(x).split(num_outputs=2, axis=1)[::-1])),
    "equal parts": lambda self, x: self.last(nd.split_v2(self.first(x).abs(), 2, axis=1)[1]),
    "a batch": lambda self, x: self.last(self.first(x).abs()[0:1]),
    "pixels": lambda self, x: self.last(self.first(x).abs()[:, :, 1:3]),
    "one by one": lambda self, x: self.last(nd.stack(*[self.first(x).abs()[i] for i in range(2)])),
}


@pytest.mark.parametrize("name", FREE)
def test_sizes_that_follow_the_array_are_free(name):
    recording = recorded(FREE[name])
    assert group(recording).all()


KEPT = {
    "a number": lambda self, x: self.last(self.first(x).reshape((0, 8, -1))),
    "a flat number": lambda self, x: self.last(nd.reshape(self.first(x), shape=(0, 8, 16))),
    "split": lambda self, x: self.last(nd.reshape(self.first(x), shape=(0, -4, 8, 1, 0, 0))),
    "broadcast": lambda self, x: self.last(self.first(x).broadcast_to((2, 8, 4, 4))),
    "a slice": lambda self, x: self.last(self.first(x).abs()[:, 2:]),
    "from the end": lambda self, x: self.last(self.first(x).abs()[:, -3:]),
    "one": lambda self, x: self.last(self.first(x).abs()[:, 1]),
    "an operator's slice": lambda self, x: self.last(
        nd.slice_axis(self.first(x).abs(), axis=1, begin=0, end=5)
    ),
    "parts": lambda self, x: self.last(nd.split_v2(self.first(x).abs(), (2,), axis=1)[0]),
}


@pytest.mark.parametrize("name", KEPT)
def test_sizes_in_the_code_keep_the_channels(name):
    recording = recorded(KEPT[name])
    assert not group(recording).any()
    assert all(literal.place.line.startswith("test_literals.py:") for literal in recording.literals)


def test_numbers_that_the_code_looks_at_stay():
    recording = recorded(
        lambda self, x: self.last(self.first(x)) * float(self.first(x).abs()[0, 0, 0, 0].asscalar())
    )
    assert not group(recording).any()


def test_a_length_is_remembered():
    def forward(self, x):
        y = self.first(x)
        batch, channels, height, width = y.shape
        return self.last(y.reshape((batch, 2, channels // 2, height * width)).reshape((batch, -1)))

    recording = recorded(forward)
    mixed = [each for each in expressions(recording) if isinstance(each, Arithmetic)]
    assert [(each.operator, each.right) for each in mixed if each.operator == "//"] == [("//", Constant(2))]
    assert isinstance(mixed[0].left, Dimension)
    assert group(recording).any()


def test_an_attribute_is_remembered():
    model = block(
        lambda self, x: self.last(self.first(x).reshape((0, self.heads, -1, self.sizes[0]))),
        heads=2,
        sizes=(16, 3),
    )
    recording = trace(model, random(2, 3, 4, 4))
    assert Attribute("", "heads") in expressions(recording)
    assert recording.attributes == {Attribute("", "heads"): 2, Attribute("", "sizes", 0): 16}
    assert type(model.heads) is int and type(model.sizes[0]) is int


def test_a_root_of_a_length_keeps_it():
    recording = recorded(lambda self, x: self.last(self.first(x)) / math.sqrt(self.first(x).shape[1]))
    assert any(isinstance(each, Dimension) for each in expressions(recording))


def test_a_slice_up_to_a_remembered_size():
    recording = recorded(lambda self, x: self.last(self.first(x).abs()[:, : self.half]), half=3)
    assert Attribute("", "half") in expressions(recording)


def test_a_comparison_with_an_attribute_ties_it():
    def forward(self, x):
        y = self.first(x)
        if y.shape[1] != self.channels:
            raise ValueError("channels")
        return self.last(y)

    recording = recorded(forward, channels=8)
    (literal,) = recording.literals
    assert literal.expression == Attribute("", "channels")
    assert literal.place.operation == "comparison" and group(recording).all()


def test_a_comparison_with_a_number_keeps_the_channels():
    def forward(self, x):
        y = self.first(x)
        return self.last(y) if y.shape[1] == 8 else y

    assert not group(recorded(forward)).any()


def test_a_recurrent_cell_keeps_its_width():
    cell = mx.gluon.rnn.GRUCell(4, input_size=3)
    model = made(
        Calling(
            lambda self, x: self.cell(x, [x[:, :1].tile((1, 4))])[0],
            cell=cell,
        )
    )
    recording = trace(model, random(2, 3))
    assert {each.place.module for each in recording.literals} >= {"cell"}
    structure = analyse(recording.programs, weights={"cell.h2h_weight": 0}, literals=recording.literals)
    assert not structure.groups
