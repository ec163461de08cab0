"""Blocks on arrays of `mxnet.np`."""

from __future__ import annotations

import mxnet as mx
import pytest
from mxnet import np, npx
from mxnet.gluon import nn

from pruners.structure.engine import analyse

from .checking import check, kinds
from .models import Calling, made


@pytest.fixture(autouse=True)
def numpy_arrays():
    npx.set_np()
    yield
    npx.reset_np()


def picture(*shape):
    return np.random.normal(size=shape or (2, 4, 6, 6))


FUNCTIONS = {
    "sums": lambda x: (x + x * 2 - x / 3 + 1) * (1 - x) / (2 + np.abs(x)),
    "curves": lambda x: np.sqrt(np.abs(x)) + np.exp(x) + np.tanh(x) + npx.relu(x) + npx.sigmoid(x) - x**2,
    "logic": lambda x: (x > 0) * x + np.maximum(x, 0) + np.where(x > 0, x, 0.0) + np.where(x > 0, x, -x),
    "reshape": lambda x: x.reshape(2, -1) + np.reshape(x, (2, 144)) + npx.reshape(x, (-2, -1)),
    "reshape codes": lambda x: npx.reshape(npx.reshape(x, (-2, -6, 2, -1, -4)), (-2, -5, -4)),
    "transpose": lambda x: x.transpose(0, 2, 3, 1) + np.moveaxis(x, 1, 3) + np.swapaxes(x, 1, 3),
    "reductions": lambda x: x.mean() + x.sum(axis=(1, 2)).max() + np.var(x, axis=1).min() + np.std(x),
    "numbers": lambda x: x.mean(axis=(2, 3)),
    "index": lambda x: x[0] + x[1, :, ::-1] + x[:, 1].sum() + x[1, 2, 3],
    "index range": lambda x: x[:, 1:3] + x[:, :2, ...],
    "index by array": lambda x: x[:, np.array([0, 1])],
    "index new": lambda x: x[:, None, 0],
    "matmul": lambda x: x @ np.ones((6, 3)) + np.matmul(x, np.ones((1, 4, 6, 3))),
    "dot": lambda x: np.dot(x, np.ones((6, 3))) + np.dot(x[0, 0, 0], x[0, 0, 1]),
    "einsum": lambda x: np.einsum("bchw,cd->bdhw", x, np.ones((4, 5))) + np.einsum("bchw->cb", x).sum(),
    "tensordot": lambda x: np.tensordot(x, np.ones((4, 5)), axes=([1], [0])),
    "dense": lambda x: npx.fully_connected(x, np.ones((6, 144)), None, num_hidden=6, no_bias=True),
    "join": lambda x: np.concatenate([x, np.stack([x, x], axis=1).sum(axis=1)], axis=1),
    "stacks": lambda x: np.hstack([x, x]) * np.vstack([x, x])[:2].sum(),
    "split": lambda x: list(np.split(x, 2, axis=1)) + list(np.array_split(x, 4, axis=1)),
    "split at": lambda x: list(np.split(x, [1, 3], axis=1)),
    "shapes": lambda x: (
        np.squeeze(np.expand_dims(x, 1)) + np.broadcast_to(x.sum(axis=1, keepdims=True), x.shape)
    ),
    "repeats": lambda x: np.tile(x, (1, 2, 1, 1)) + x.repeat(2, axis=1),
    "flips": lambda x: np.flip(x, 1) + np.pad(x, ((0, 0), (0, 0), (1, 1), (0, 0)))[:, :, 1:-1],
    "along": lambda x: npx.softmax(x, axis=1) + np.cumsum(x, axis=1) + np.roll(x, 1, axis=2),
    "places": lambda x: np.argmax(x, axis=1) + npx.pick(x, np.zeros((2, 4, 6))).sum(),
    "copies": lambda x: (
        x.copy() + x.detach() + x.astype("float64").astype("float32") + x.as_nd_ndarray().as_np_ndarray()
    ),
    "like": lambda x: x + np.zeros_like(x) + np.ones_like(x),
    "take": lambda x: np.take(x, np.array([0, 1]), axis=1, mode="clip"),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_of_one_array(name):
    recording = check(Calling(lambda self, x: FUNCTIONS[name](x)), picture())
    assert "opaque" not in kinds(recording.programs["eval"])
    analyse(recording.programs, weights={}, literals=recording.literals)


def test_a_network():
    net = nn.HybridSequential()
    net.add(nn.Conv2D(5, 3, in_channels=4), nn.BatchNorm(), nn.Activation("relu"), nn.GlobalAvgPool2D())
    net.add(nn.Flatten(), nn.Dropout(0.5), nn.Dense(3))
    recording = check(made(net, picture()), picture())
    assert recording.graphs["eval"].numpy
    structure = analyse(recording.programs, weights={"0.weight": 0, "6.weight": 0})
    (group,) = structure.groups
    assert group.units == 5 if isinstance(getattr(group, "units", None), int) else group


def test_a_number_is_returned():
    check(Calling(lambda self, x: x.sum()), picture())
    mx.nd.waitall()
