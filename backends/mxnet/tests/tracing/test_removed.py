"""What was recorded is right: half of the channels leave hand-written blocks, and the proof holds."""

from __future__ import annotations

import mxnet as mx
import pytest
from mxnet import nd
from mxnet.gluon import nn

import pruners

from .checking import random
from .models import Calling, made


def conv(channels, **options):
    return nn.Conv2D(channels, 1, in_channels=3, **options)


def shuffled(self, x):
    batch, channels, height, width = self.a(x).shape
    y = self.a(x).reshape((batch, 2, channels // 2, height, width)).swapaxes(1, 2)
    return self.z(y.reshape((batch, channels, height, width)))


def halved(self, x):
    y = self.a(x).abs()
    return self.z(y[:, : y.shape[1] // 2] * y[:, y.shape[1] // 2 :])


def excited(self, x):
    y = self.a(x)
    return self.z(y * self.c(self.b(y.mean(axis=(2, 3)))).sigmoid().expand_dims(2).expand_dims(3))


def attended(self, x):
    query, key = (layer(x).reshape((0, 0, -1)) for layer in (self.a, self.b))
    return self.z(nd.batch_dot(nd.softmax(nd.batch_dot(query, key, transpose_a=True)), key, transpose_b=True))


def checked(self, x):
    y = self.a(x)
    if y.shape[1] != self.channels:
        raise ValueError(f"{y.shape[1]} channels in place of {self.channels}")
    return self.z(y.reshape((0, self.channels, -1)))


BLOCKS = {
    "group norm": (lambda s, x: s.z(s.b(s.a(x)).relu()), {"b": nn.GroupNorm(2)}),
    "instance norm": (lambda s, x: s.z(s.b(s.a(x)).relu()), {"b": nn.InstanceNorm()}),
    "layer norm": (lambda s, x: s.z(s.b(s.a(x).transpose((0, 2, 3, 1)))), {"b": nn.LayerNorm()}),
    "fixed scale": (lambda s, x: s.z(s.b(s.a(x).sigmoid()).relu()), {"b": nn.BatchNorm(scale=False)}),
    "channels last": (lambda s, x: s.z(s.b(s.a(x).transpose((0, 2, 3, 1)))), {"b": nn.BatchNorm(axis=-1)}),
    "slopes": (lambda s, x: s.z(s.b(s.a(x))), {"b": nn.PReLU(in_channels=8)}),
    "transposed": (lambda s, x: s.z(s.b(s.a(x)).relu()), {"b": nn.Conv2DTranspose(6, 2, in_channels=8)}),
    "depth to space": (lambda s, x: s.z(nd.depth_to_space(s.a(x), 2)), {"a": conv(16)}),
    "space to depth": (lambda s, x: s.z(nd.space_to_depth(s.a(x), 2)), {}),
    "joined": (lambda s, x: s.z(nd.concat(s.a(x), s.b(x), dim=1)), {"b": conv(4)}),
    "parts": (lambda s, x: s.z(nd.add_n(*s.a(x).abs().split(num_outputs=2, axis=1))), {}),
    "shuffled": (shuffled, {}),
    "halved": (halved, {}),
    "repeated": (lambda s, x: s.z(s.a(x).repeat(repeats=2, axis=1)), {}),
    "excited": (excited, {"b": nn.Dense(4), "c": nn.Dense(8)}),
    "attended": (attended, {"b": conv(8)}),
    "chosen": (lambda s, x: s.z(nd.where(s.a(x) > 0.3, s.a(x), s.a(x) * 0.1)), {}),
    "checked": (checked, {"channels": 8}),
}


@pytest.mark.parametrize("name", BLOCKS)
def test_half_of_the_channels_leave(name):
    function, held = BLOCKS[name]
    model = made(Calling(function, **{"a": conv(8), "z": nn.Dense(2), **held}), random(2, 3, 4, 4))
    before = model.a.weight.shape[0]
    pruners.remove(model, sparsity=0.5, example_inputs=random(2, 3, 4, 4))
    assert model.a.weight.shape[0] == before // 2
    assert model(random(2, 3, 4, 4)).shape == (2, 2)
    if "channels" in held:
        assert model.channels == 4


def test_numpy_arrays():
    mx.npx.set_np()
    try:
        layers = {name: nn.Dense(12, flatten=False, in_units=8) for name in "qkv"}

        def forward(self, x):
            batch, length, _ = x.shape
            query, key, value = (
                layer(x).reshape(batch, length, self.heads, -1).transpose(0, 2, 1, 3)
                for layer in (self.q, self.k, self.v)
            )
            weights = mx.npx.softmax(mx.np.matmul(query, key.swapaxes(2, 3)))
            mixed = mx.np.matmul(weights, value).transpose(0, 2, 1, 3)
            return self.z(mixed.reshape(batch, length, -1))

        x = mx.np.random.normal(size=(2, 5, 8))
        model = made(Calling(forward, **layers, z=nn.Dense(2, flatten=False, in_units=12), heads=3), x)
        pruners.remove(model, sparsity=0.5, example_inputs=x)
        assert [model.q.weight.shape[0], model.v.weight.shape[0], model.heads] == [6, 6, 3]
        assert model(x).shape == (2, 5, 2)
    finally:
        mx.npx.reset_np()


def test_a_block_that_cannot_be_cut_says_where():
    model = Calling(lambda s, x: s.z(nd.pick(s.a(x), nd.zeros((2, 4, 4)), axis=1)), a=conv(8), z=nn.Dense(2))
    made(model, random(2, 3, 4, 4))
    with pytest.raises(pruners.RemovalError, match=r"pick in the model at test_removed.py:\d+"):
        pruners.remove(model, sparsity=0.5, example_inputs=random(2, 3, 4, 4))
