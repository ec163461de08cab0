"""Whole networks: every family of Gluon's zoo, and hand-written ones."""

from __future__ import annotations

import mxnet as mx
import numpy as np
import pytest
from mxnet import gluon, nd
from mxnet.gluon import nn
from mxnet.gluon.model_zoo import vision
from pruners_mxnet._layers import weights
from pruners_mxnet.tracing import trace

from pruners.structure.engine import analyse

from .checking import check_outputs, check_shapes, kinds, random
from .models import Calling, made, small

FAMILIES = {
    "alexnet": 64,
    "vgg11": 32,
    "vgg11_bn": 32,
    "resnet18_v1": 32,
    "resnet18_v2": 32,
    "resnet50_v1": 32,
    "densenet121": 224,
    "squeezenet1.1": 224,
    "inceptionv3": 299,
    "mobilenet0.25": 224,
    "mobilenetv2_0.25": 64,
}


def layers(model):
    """Return the weights that can be scored and where their output channels are stored."""
    return {name: 0 for name, weight in weights(model).items() if weight.layer.default}


@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_of_the_zoo(name):
    model = made(vision.get_model(name))
    x = random(1, 3, FAMILIES[name], FAMILIES[name])
    model(x)
    recording = trace(model, x, modes=("eval",))
    program = recording.programs["eval"]
    check_shapes(program)
    check_outputs(model, recording, x)
    assert not {"opaque", "whole"} & set(kinds(program))
    assert not recording.literals
    structure = analyse(recording.programs, weights=layers(model), literals=recording.literals)
    scored = {member.parameter for group in structure.groups for member in group.scored}
    kept = set(layers(model)) - scored
    assert len(kept) == 1, kept  # the classifier
    assert all(np.asarray(group.units).all() for group in structure.groups)


def test_a_hybridized_network_is_recorded_block_by_block():
    model, x = small(), random(2, 3, 8, 8)
    model.hybridize()
    model(x)
    recording = trace(model, x)
    check_outputs(model, recording, x)
    assert {op.place.module for op in recording.programs["eval"].ops} >= {"0", "1", "3"}
    assert [call.module for call in recording.programs["eval"].calls] == ["0", "1", "3", "8"]


class Residual(gluon.Block):
    def __init__(self):
        super().__init__()
        self.first = nn.Conv2D(6, 3, padding=1, in_channels=3)
        self.second = nn.Conv2D(6, 3, padding=1, in_channels=6, groups=6)
        self.norm = nn.BatchNorm(in_channels=6)
        self.last = nn.Dense(3, in_units=6)

    def forward(self, x):
        y = self.first(x).relu()
        for _ in range(2):
            y = y + self.norm(self.second(y))
        return self.last(y.mean(axis=(2, 3)))


def test_control_flow_and_blocks_called_again():
    model, x = made(Residual()), random(2, 3, 6, 6)
    recording = trace(model, x)
    check_outputs(model, recording, x)
    assert [call.module for call in recording.programs["eval"].calls].count("second") == 2
    (group,) = analyse(recording.programs, weights=layers(model)).groups
    assert len(group) == 6
    assert {member.parameter for member in group.members} == {
        "first.weight",
        "first.bias",
        "second.weight",
        "second.bias",
        "norm.gamma",
        "norm.beta",
        "norm.running_mean",
        "norm.running_var",
        "last.weight",
    }


class Attending(gluon.HybridBlock):
    """Attention written out, with its sizes held as integers."""

    def __init__(self, width=12, heads=3):
        super().__init__()
        self.heads, self.each = heads, width // heads
        self.query, self.key, self.value = (
            nn.Dense(width, flatten=False, in_units=8, use_bias=False) for _ in range(3)
        )
        self.out = nn.Dense(8, flatten=False, in_units=width)

    def hybrid_forward(self, F, x):
        def parted(y):
            return F.reshape(
                F.transpose(F.reshape(y, (0, 0, self.heads, -1)), (0, 2, 1, 3)), (-1, 0, 0), reverse=True
            )

        query, key, value = parted(self.query(x)), parted(self.key(x)), parted(self.value(x))
        scores = F.softmax(F.batch_dot(query, key, transpose_b=True) / 2.0)
        mixed = F.reshape(F.batch_dot(scores, value), (-1, self.heads, 0, 0), reverse=True)
        return self.out(F.reshape(F.transpose(mixed, (0, 2, 1, 3)), (0, 0, -1)))


def test_attention_written_out():
    model, x = made(Attending()), random(2, 5, 8)
    recording = trace(model, x)
    check_outputs(model, recording, x)
    structure = analyse(recording.programs, weights=layers(model), literals=recording.literals)
    value = structure.parameter("value.weight")[0]
    assert value is not None and value.astype(bool).any()
    assert len(np.unique(value)) == 4  # one place of all heads at a time


def test_weights_that_are_shared():
    first = nn.Dense(5, in_units=5)
    second = nn.Dense(5, in_units=5, params=first.params)
    model = made(Calling(lambda self, x: self.b(self.a(x)), a=first, b=second))
    recording = trace(model, random(2, 5))
    check_outputs(model, recording, random(2, 5))
    assert list(recording.programs["eval"].parameters) == ["a.weight", "a.bias"]
    assert [node.module for node in recording.graphs["eval"].nodes if node.op] == ["a", "b"]


def test_a_recurrent_cell_unrolled():
    cell = gluon.rnn.LSTMCell(4, input_size=3)
    model = made(Calling(lambda self, x: self.cell.unroll(3, x, merge_outputs=True)[0], cell=cell))
    recording = trace(model, random(2, 3, 3))
    check_outputs(model, recording, random(2, 3, 3))
    assert "opaque" not in kinds(recording.programs["eval"])


def test_a_place_names_the_block_the_operator_and_the_line():
    model = made(
        Calling(
            lambda self, x: nd.khatri_rao(self.inner(x)),
            inner=nn.Dense(3, in_units=3),
        )
    )
    program = trace(model, random(2, 3)).programs["eval"]
    assert (program.ops[0].place.module, program.ops[0].place.operation) == ("inner", "FullyConnected")
    assert all(op.place.line.startswith("test_networks.py:") for op in program.ops)
    mx.nd.waitall()
