"""`pruners.remove` on Gluon blocks: what users are told, and what is tried."""

from __future__ import annotations

import mxnet
import pytest
from mxnet.gluon import nn
from mxnet.gluon.contrib.nn import PixelShuffle2D

import pruners


def shuffled() -> tuple[nn.HybridSequential, mxnet.nd.NDArray]:
    """Return a net whose channels become places of the picture: none can leave but whole blocks of them."""
    net = nn.HybridSequential()
    net.add(nn.Conv2D(16, 3, in_channels=3), PixelShuffle2D(2), nn.Conv2D(5, 3, in_channels=4))
    net.initialize()
    return net, mxnet.nd.random.normal(shape=(1, 3, 10, 10))


def test_other_axes_are_tried_where_no_width_can_shrink():
    net, x = shuffled()
    removal = pruners.remove(net, "level", sparsity=0.5, example_inputs=x, measure=0)
    assert net[0].weight.shape == (8, 3, 3, 3)
    assert net[2].weight.shape == (5, 2, 3, 3)
    assert removal.proof.error <= removal.proof.tolerance


def test_a_reason_names_the_block_and_no_line_of_ours():
    net, x = shuffled()
    with pytest.raises(pruners.RemovalError) as caught:
        pruners.remove(net, "level", sparsity=0.5, example_inputs=x, heads="width")
    assert "0.weight is a picture's extent (Convolution in 2)" in str(caught.value)


def test_bounds_of_no_layer_are_named():
    net, x = shuffled()
    with pytest.raises(pruners.OptionError, match="bounds names '7.weight', which is no layer of the model"):
        pruners.remove(net, "level", sparsity=0.5, example_inputs=x, bounds={"7.weight": 0.5})
