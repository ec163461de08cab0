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


@pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")
@pytest.mark.parametrize("inside", [False, True])
def test_scripted_modules_are_cut_or_refused(by_hand, net, images, kept, inside):
    if inside:
        net.layers[0] = torch.jit.script(net.layers[0])
    else:
        net = torch.jit.script(net)
    masked = by_hand.masked(net, kept)
    by_hand.cut(net, kept, images, modes=("eval",))
    torch.testing.assert_close(net.eval()(images), masked.eval()(images), rtol=1e-4, atol=1e-4)


def test_tensors_made_for_inference_are_refused(by_hand, images, kept):
    with torch.inference_mode():
        model = nn.Conv2d(3, 12, 3)
    with pytest.raises(pruners.RemovalError, match="'weight' was made in inference mode .*; build the model"):
        by_hand.cut(model, kept, images, modes=("eval",))


def test_a_removal_within_inference_mode_can_train(by_hand, net, images, kept):
    with torch.inference_mode():
        by_hand.cut(net, kept, images)
    net(images).sum().backward()
    assert net.head.weight.grad.shape == (5, 7)
