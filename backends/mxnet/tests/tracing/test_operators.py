"""Every family of operators: the shapes, the numbers, the graph run again, bit for bit."""

from __future__ import annotations

import mxnet as mx
import pytest
from mxnet import nd
from mxnet.gluon import nn

from pruners.structure.engine import analyse

from .checking import check, kinds, random
from .models import Calling, Weighted, made

PICTURE = (2, 4, 6, 6)


def given(*shape):
    return lambda: random(*shape)


FUNCTIONS = {
    "sums": lambda x: (x + x * 2 - x / 3 + 1) * (1 - x) / (2 + x.abs()),
    "powers": lambda x: x**2 + 2**x + nd.sqrt(x.abs()) + (x > 0) * x,
    "numbers": lambda x: nd.maximum(x, 0) + nd.minimum(x, 0.5) + x.clip(-1, 1) + x % 2,
    "curves": lambda x: x.sigmoid() + x.tanh() + x.relu() + x.exp() + nd.softsign(x) + nd.erf(x) + (-x),
    "activations": lambda x: nd.Activation(x, act_type="softrelu") + nd.LeakyReLU(x, act_type="elu"),
    "gelu selu": lambda x: nd.LeakyReLU(x, act_type="gelu") + nd.LeakyReLU(x, act_type="selu"),
    "logic": lambda x: (x > 0) + (x == 0) + nd.logical_not(x) + nd.broadcast_lesser(x, x),
    "broadcast": lambda x: nd.broadcast_add(x, x.sum(axis=(2, 3), keepdims=True)),
    "add_n": lambda x: nd.add_n(x, x, x),
    "like": lambda x: x + nd.zeros_like(x) + nd.ones_like(x),
    "copies": lambda x: nd.identity(x) + x.copy() + nd.BlockGrad(x) + x.astype("float64").astype("float32"),
    "reshape codes": lambda x: nd.reshape(nd.reshape(x, shape=(0, -4, 2, -1, -2)), shape=(0, -3, -3)),
    "reshape reverse": lambda x: nd.reshape(x, shape=(-1, 0), reverse=True),
    "reshape method": lambda x: x.reshape((0, -1)).reshape((2, 4, 36)),
    "reshape_like": lambda x: nd.reshape_like(x, x * 2),
    "flatten": lambda x: x.flatten(),
    "transpose": lambda x: x.transpose((0, 2, 3, 1)),
    "turned": lambda x: x.T,
    "swapped": lambda x: x.swapaxes(1, 2),
    "expand squeeze": lambda x: x.expand_dims(1).squeeze(axis=1),
    "squeeze all": lambda x: x.sum(axis=1, keepdims=True).squeeze(),
    "tile": lambda x: x.tile((2, 1, 1, 3)),
    "repeat": lambda x: x.repeat(repeats=2, axis=1),
    "repeat all": lambda x: x.repeat(repeats=2),
    "flip": lambda x: x.flip(axis=1),
    "pad": lambda x: nd.pad(x, mode="constant", pad_width=(0, 0, 0, 0, 1, 2, 3, 0)),
    "pad edge": lambda x: nd.pad(x, mode="edge", pad_width=(0, 0, 0, 0, 1, 1, 1, 1)),
    "concat": lambda x: nd.concat(x, x * 2, dim=1),
    "stack": lambda x: nd.stack(x, x, axis=1),
    "split": lambda x: list(x.split(num_outputs=2, axis=1)),
    "split squeeze": lambda x: list(x.split(num_outputs=4, axis=1, squeeze_axis=True)),
    "split_v2": lambda x: list(nd.split_v2(x, (1, 3), axis=1)),
    "slice": lambda x: nd.slice(x, begin=(0, 1), end=(None, 3)),
    "slice step": lambda x: nd.slice(x, begin=(None, None), end=(None, None), step=(None, 2)),
    "slice back": lambda x: nd.slice(x, begin=(None, None), end=(None, None), step=(None, -1)),
    "slice_axis": lambda x: x.slice_axis(axis=1, begin=1, end=None),
    "slice_axis negative": lambda x: x.slice_axis(axis=1, begin=-3, end=-1),
    "slice_like": lambda x: nd.slice_like(x, nd.ones((2, 4, 3, 6)) * x.slice_axis(axis=2, begin=0, end=3)),
    "index": lambda x: x[0] + x[1],
    "index axis": lambda x: x[:, 1],
    "index range": lambda x: x[:, 1:3, ::2],
    "index all": lambda x: x[:] + x[0:2],
    "index stretch": lambda x: x[1, 2, 1:3],
    "index last": lambda x: x[1, 2, 5],
    "index new": lambda x: x.expand_dims(2)[:, :, 0],
    "index by array": lambda x: x[:, nd.array([0, 2], dtype="int32")],
    "sum": lambda x: x.sum(),
    "sum axes": lambda x: x.sum(axis=(2, 3)) + x.mean(axis=(2, 3)),
    "sum exclude": lambda x: nd.sum(x, axis=1, exclude=True),
    "max min": lambda x: x.max(axis=1, keepdims=True) - x.min(axis=1, keepdims=True),
    "norm": lambda x: x.norm(axis=1),
    "prod": lambda x: x.prod(axis=2),
    "argmax": lambda x: x.argmax(axis=1),
    "argmax all": lambda x: x.argmax(),
    "softmax": lambda x: nd.softmax(x, axis=1) + x.log_softmax(axis=-1) + nd.SoftmaxActivation(x),
    "sort": lambda x: x.sort(axis=1) + x.argsort(axis=2),
    "topk": lambda x: nd.topk(x, k=2, axis=1, ret_typ="both"),
    "pick": lambda x: nd.pick(x, nd.zeros((2, 6, 6)), axis=1),
    "broadcast_to": lambda x: nd.broadcast_to(x.sum(axis=1, keepdims=True), shape=(0, 3, 0, 0)),
    "broadcast_axis": lambda x: x.sum(axis=1, keepdims=True).broadcast_axes(axis=1, size=3),
    "broadcast_like": lambda x: x.sum(axis=1, keepdims=True).broadcast_like(x),
    "where": lambda x: nd.where(x > 0, x, -x),
    "where rows": lambda x: nd.where(x.sum(axis=(1, 2, 3)) > 0, x, -x),
    "take": lambda x: nd.take(x, nd.array([[0, 1], [1, 1]]), axis=1),
    "gather_nd": lambda x: nd.gather_nd(x, nd.array([[0, 1], [1, 0]])),
    "upsampling": lambda x: nd.UpSampling(x, scale=2, sample_type="nearest"),
    "bilinear": lambda x: nd.contrib.BilinearResize2D(x, height=3, width=9),
    "adaptive": lambda x: nd.contrib.AdaptiveAvgPooling2D(x, output_size=2),
    "pooling": lambda x: nd.Pooling(x, kernel=(2, 2), pool_type="avg", stride=(2, 2)),
    "pooling global": lambda x: nd.Pooling(x, global_pool=True, pool_type="max", kernel=(1, 1)),
    "depth to space": lambda x: nd.depth_to_space(x, 2),
    "space to depth": lambda x: nd.space_to_depth(x, 2),
    "normalised": lambda x: nd.L2Normalization(x, mode="channel") + nd.L2Normalization(x, mode="spatial"),
    "dot": lambda x: nd.dot(x[0, 0], x[0, 1], transpose_b=True) + nd.dot(x[0, 0], x[0, 1], transpose_a=True),
    "dot vectors": lambda x: nd.dot(x[0, 0, 0], x[0, 0, 1]),
    "dot deep": lambda x: nd.dot(x, nd.ones((6, 3))),
    "batch_dot": lambda x: nd.batch_dot(x[0], x[1], transpose_b=True) + nd.batch_dot(x[0], x[1]),
    "gemm2": lambda x: nd.linalg.gemm2(x, x, transpose_a=True) + nd.linalg.syrk(x, transpose=True),
    "gemm": lambda x: nd.linalg.gemm(x, x, x, transpose_b=True),
    "sequence": lambda x: nd.SequenceMask(x, nd.array([1, 2, 2, 1]), use_sequence_length=True),
    "im2col": lambda x: nd.im2col(x, kernel=(3, 3)),
    "scaled": lambda x: nd.contrib.div_sqrt_dim(x),
    "dropout": lambda x: nd.Dropout(x, p=0.5),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_of_one_array(name):
    model = Calling(lambda self, x: FUNCTIONS[name](x))
    recording = check(model, random(*PICTURE))
    assert "opaque" not in kinds(recording.programs["eval"])
    analyse(recording.programs, weights={}, literals=recording.literals)


@pytest.mark.parametrize(
    "function",
    [
        lambda x: nd.one_hot(x[:, 0, 0, 0], 5),
        lambda x: nd.contrib.interleaved_matmul_selfatt_qk(x.reshape((12, 4, 6)), heads=2),
        lambda x: x * nd.contrib.arange_like(x, axis=-1),
    ],
    ids=["one_hot", "interleaved", "arange_like"],
)
def test_what_is_kept_whole_says_why(function):
    recording = check(Calling(lambda self, x: function(x)), random(*PICTURE))
    assert all(op.options["reason"] for op in recording.programs["eval"].ops if op.kind == "whole")
    assert "whole" in kinds(recording.programs["eval"])


def test_an_operator_without_a_rule_is_opaque_and_named():
    recording = check(Calling(lambda self, x: nd.khatri_rao(x[0, 0], x[0, 1])), random(*PICTURE))
    (op,) = [op for op in recording.programs["eval"].ops if op.kind == "opaque"]
    assert op.place.operation == "khatri_rao"


LAYERS = {
    "conv": (lambda: nn.Conv2D(6, 3, strides=(2, 1), padding=1, dilation=1, in_channels=4), PICTURE),
    "conv1d": (lambda: nn.Conv1D(6, 3, in_channels=4), (2, 4, 9)),
    "conv3d": (lambda: nn.Conv3D(6, 2, in_channels=4), (2, 4, 3, 3, 3)),
    "depthwise": (lambda: nn.Conv2D(8, 3, groups=4, in_channels=4), PICTURE),
    "no bias": (lambda: nn.Conv2D(8, 3, use_bias=False, in_channels=4), PICTURE),
    "transposed": (lambda: nn.Conv2DTranspose(6, 3, strides=2, in_channels=4), PICTURE),
    "dense": (lambda: nn.Dense(3, in_units=144), PICTURE),
    "dense flat": (lambda: nn.Dense(3, in_units=6, flatten=False, activation="relu"), PICTURE),
    "batch norm": (lambda: nn.BatchNorm(in_channels=4), PICTURE),
    "batch norm last": (lambda: nn.BatchNorm(axis=-1, in_channels=6), PICTURE),
    "batch norm fixed": (lambda: nn.BatchNorm(scale=False, center=False, in_channels=4), PICTURE),
    "batch norm of rows": (lambda: nn.BatchNorm(in_channels=4), (3, 4)),
    "layer norm": (lambda: nn.LayerNorm(in_channels=6), PICTURE),
    "layer norm axis": (lambda: nn.LayerNorm(axis=1, in_channels=4), PICTURE),
    "group norm": (lambda: nn.GroupNorm(2), PICTURE),
    "instance norm": (lambda: nn.InstanceNorm(in_channels=4), PICTURE),
    "prelu": (lambda: nn.PReLU(), PICTURE),
    "prelu channels": (lambda: nn.PReLU(in_channels=4), PICTURE),
    "swish": (lambda: nn.Swish(), PICTURE),
    "global": (lambda: nn.GlobalAvgPool2D(), PICTURE),
    "average": (lambda: nn.AvgPool2D(3, padding=1), PICTURE),
    "reflection": (lambda: nn.ReflectionPad2D(1), PICTURE),
}


@pytest.mark.parametrize("name", LAYERS)
def test_layers(name):
    make, shape = LAYERS[name]
    x = random(*shape)
    recording = check(made(make(), x), x)
    assert "opaque" not in kinds(recording.programs["eval"])
    assert not recording.literals
    assert [call.module for call in recording.programs["eval"].calls] == (
        [""] if recording.programs["eval"].parameters else []
    )
    analyse(recording.programs, weights={}, literals=recording.literals)


def test_an_embedding_reads_indices():
    recording = check(made(nn.Embedding(7, 3)), mx.nd.array([[1, 2], [0, 6]], dtype="int32"))
    assert kinds(recording.programs["eval"]) == ["embedding"]


@pytest.mark.parametrize("last", [False, True])
def test_a_recurrent_layer_is_kept_whole(last):
    layer = mx.gluon.rnn.LSTM(3, bidirectional=True, layout="NTC" if last else "TNC", input_size=4)
    recording = check(made(layer), random(2, 5, 4))
    reasons = [op.options["reason"] for op in recording.programs["eval"].ops if op.kind == "whole"]
    assert set(reasons) == {"goes through a recurrent layer"}


def test_operators_that_a_block_calls_itself_hand_over_their_sizes():
    block = Weighted(
        lambda F, x, w, d: F.FullyConnected(
            F.Convolution(x, w, no_bias=True, num_filter=4, num_group=2, kernel=(1, 1)),
            d,
            no_bias=True,
            num_hidden=3,
        ),
        w=(4, 2, 1, 1),
        d=(3, 144),
    )
    recording = check(made(block), random(*PICTURE))
    found = [(literal.place.operation, literal.expression.value) for literal in recording.literals]
    assert found == [("Convolution", 4), ("Convolution", 2), ("FullyConnected", 3)]
