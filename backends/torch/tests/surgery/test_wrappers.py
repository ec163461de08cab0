"""Wrappers around a module go on with the smaller one."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import pruners

torch.set_num_threads(1)


def remove(model, images, **options):
    return pruners.remove(model, "level", sparsity=0.5, example_inputs=images, measure=0, **options)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_compiled_module_is_compiled_anew(net, images):
    compiled = torch.compile(net, backend="eager")
    compiled(images)
    remove(compiled, images)
    assert net.head.weight.shape == (5, 10)
    got = compiled(images)
    torch.testing.assert_close(got, net(images))
    got.sum().backward()
    assert net.head.weight.grad.shape == (5, 10)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_modules_compiled_inside_are_cut(net, images):
    net.layers[3].compile(backend="eager")
    net(images)
    remove(net, images)
    assert net(images).shape == (4, 5) and net.layers[3].weight.shape == (10, 6, 3, 3)


def test_a_data_parallel_module_is_cut_inside(net, images):
    wrapped = nn.DataParallel(net)
    remove(wrapped, images)
    assert net.head.weight.shape == (5, 10) and wrapped(images).shape == (4, 5)


def test_sharded_modules_are_refused(by_hand, net, images, kept):
    class FullyShardedDataParallel(nn.Module):
        def forward(self, x):
            return x

    net.layers[2] = FullyShardedDataParallel()
    before = by_hand.everything(net)
    with pytest.raises(pruners.RemovalError, match="cut the model before wrapping it"):
        by_hand.cut(net, kept, images)
    assert by_hand.everything(net) == before
