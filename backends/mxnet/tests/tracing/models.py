"""Blocks for the tests, and one whose forward pass is a function."""

from __future__ import annotations

import mxnet
from mxnet import gluon
from mxnet.gluon import nn


class Calling(gluon.Block):
    """Calls a function with itself and its inputs; holds blocks and integers by name."""

    def __init__(self, function, **held):
        super().__init__()
        self.function = function
        for name, value in held.items():
            setattr(self, name, value)

    def forward(self, *args):
        return self.function(self, *args)


class Weighted(gluon.HybridBlock):
    """Calls a function with MXNet's functions, its input and parameters of its own."""

    def __init__(self, function, **shapes):
        super().__init__()
        self.function = function
        for name, shape in shapes.items():
            setattr(self, name, self.params.get(name, shape=shape))

    def hybrid_forward(self, F, x, **weights):
        return self.function(F, x, **weights)


def made(model, *inputs):
    """Return a block with its parameters initialised, by running it where shapes are open."""
    model.initialize(mxnet.init.Normal(0.5))
    if inputs:
        model(*inputs)
    mxnet.nd.waitall()
    return model


def small():
    """A convolutional network of every common layer."""
    net = nn.HybridSequential()
    net.add(nn.Conv2D(4, 3, padding=1, in_channels=3), nn.BatchNorm(in_channels=4), nn.Activation("relu"))
    net.add(nn.Conv2D(5, 1, in_channels=4), nn.LeakyReLU(0.1), nn.MaxPool2D(), nn.Flatten(), nn.Dropout(0.5))
    net.add(nn.Dense(2, in_units=80))
    return made(net)
