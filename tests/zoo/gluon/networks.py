"""The networks of Gluon's vision model zoo, with random weights that compute something."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import mxnet
import numpy as np
from attrs import evolve, field, frozen
from mxnet.gluon import Block
from mxnet.gluon.model_zoo import vision
from mxnet.gluon.nn import BatchNorm

CLASSES = 10
SEED = 0


@frozen
class Network:
    """One network of the model zoo."""

    name: str
    """As `mxnet.gluon.model_zoo.vision.get_model` knows it."""
    family: str
    size: int = 224
    """Side of the images it was made for, in pixels."""
    small: int = 64
    """Side of the images where time is short: as small as its last pooling allows."""
    representative: bool = False
    """Whether the test suite runs it."""
    options: Mapping[str, Any] = field(factory=dict)
    """Further arguments of `pruners.remove`."""

    def side(self, small: bool) -> int:
        """Return the side of the images, in pixels."""
        return self.small if small else self.size

    def build(self, small: bool = False) -> tuple[Block, Any]:
        """Return the network and a batch of two noise images (batch, 3, height, width)."""
        net = self.create()
        draw = np.random.default_rng(SEED)
        inputs = mxnet.nd.array(noise(self.side(small), draw))
        net.initialize(mxnet.init.Xavier())
        net(inputs)  # gives every parameter its shape
        settle(net, inputs, draw)
        return net, inputs

    def create(self) -> Block:
        """Return the network without weights."""
        return vision.get_model(self.name, classes=CLASSES)


def _family(family: str, *names: str, **sizes: int) -> list[Network]:
    return [Network(name, family, representative=name == names[0], **sizes) for name in names]


NETWORKS = [
    *_family("AlexNet", "alexnet"),
    *_family("VGG", "vgg11", "vgg13", "vgg16", "vgg19"),
    *_family("VGG with batch norm", "vgg11_bn", "vgg13_bn", "vgg16_bn", "vgg19_bn"),
    *_family("ResNet v1", "resnet18_v1", "resnet34_v1", "resnet50_v1", "resnet101_v1", "resnet152_v1"),
    *_family("ResNet v2", "resnet50_v2", "resnet18_v2", "resnet34_v2", "resnet101_v2", "resnet152_v2"),
    *_family("DenseNet", "densenet121", "densenet161", "densenet169", "densenet201", small=224),
    *_family("SqueezeNet", "squeezenet1.1", "squeezenet1.0", small=224),
    *_family("Inception v3", "inceptionv3", size=299, small=299),
    *_family("MobileNet v1", "mobilenet0.5", "mobilenet1.0", "mobilenet0.75", "mobilenet0.25"),
    *_family("MobileNet v2", "mobilenetv2_0.5", "mobilenetv2_1.0", "mobilenetv2_0.75", "mobilenetv2_0.25"),
]
"""Every network of the model zoo; the first of each family is run by the test suite."""

# MXNet's kernels cannot train a concatenation of parts that are no multiple of 16 channels, as half of 48 is.
SIXTEENS = {"round_to": 16}
NETWORKS = [evolve(each, options=SIXTEENS) if each.name == "densenet161" else each for each in NETWORKS]


def find(name: str) -> Network:
    """Return the network of a name."""
    return next(network for network in NETWORKS if network.name == name)


def noise(side: int, draw: np.random.Generator) -> np.ndarray:
    """Return two smooth noise images (2, 3, side, side) in [0, 1], float32."""
    coarse = draw.random((2, 3, 8, 8))
    index = np.arange(side) * 8 // side
    smooth = coarse[:, :, index][:, :, :, index]
    return (0.7 * smooth + 0.3 * draw.random((2, 3, side, side))).astype(np.float32)


def settle(net: Block, inputs: Any, draw: np.random.Generator) -> None:
    """Draw weights, scales and shifts, and fit running statistics to `inputs`, in place."""
    for name, parameter in sorted(net._collect_params_with_prefix().items()):
        kind = name.rpartition(".")[2]
        if kind == "gamma":
            values = draw.uniform(0.5, 1.5, parameter.shape)
        elif kind in ("beta", "bias"):
            values = draw.normal(0, 0.1, parameter.shape)
        elif kind == "weight":
            fan = int(np.prod(parameter.shape[1:]))
            values = draw.normal(0, np.sqrt(2 / fan), parameter.shape)
        else:
            continue
        parameter.set_data(mxnet.nd.array(values.astype(np.float32)))
    norms = [block for block in walk(net) if isinstance(block, BatchNorm)]
    before = [block._kwargs["momentum"] for block in norms]
    for block in norms:
        block._kwargs["momentum"] = 0.0
    with mxnet.autograd.train_mode():
        net(inputs).wait_to_read()
    for block, momentum in zip(norms, before, strict=True):
        block._kwargs["momentum"] = momentum


def walk(block: Block) -> list[Block]:
    """Return a block and everything in it."""
    return [block, *(each for child in block._children.values() for each in walk(child))]
