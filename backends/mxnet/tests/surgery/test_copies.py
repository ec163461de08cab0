"""Moving averages are cut as the model is."""

from __future__ import annotations

import mxnet
import numpy as np
import pytest
from mxnet import nd
from mxnet.gluon import Block, nn

from pruners import OptionError, RemovalError


def cut_alike(arrays, plan):
    expected = {}
    for name, array in arrays.items():
        for axis, indices in plan.kept.get(name, {}).items():
            array = array.take(indices, axis)
        expected[name] = array
    return expected


class Average(Block):
    """Holds both the model and its average."""

    def __init__(self, online, average, **options):
        super().__init__(**options)
        self.online, self.average = online, average


@pytest.mark.parametrize("nested", [False, True])
def test_an_average_is_cut_and_goes_on(by_hand, net, another, images, kept, nested):
    average = another(images, seed=5)
    average.hybridize()
    average(images)
    plan = by_hand.plan(net, kept)
    expected = cut_alike(by_hand.values(average), plan)
    by_hand.cut(net, kept, images, copies=[Average(net, average) if nested else average])
    got = by_hand.values(average)
    assert got.keys() == expected.keys() and all(np.array_equal(got[name], expected[name]) for name in got)
    assert (average[3]._channels, average[3]._kwargs["num_filter"], average[8]._units) == (7, 7, 5)
    assert average(images).shape == (4, 5) and average._active
    for mean, new in zip(by_hand.parameters(average).values(), by_hand.parameters(net).values(), strict=True):
        mean.set_data(mean.data() * 0.9 + new.data() * 0.1)


def test_a_dict_of_arrays_is_cut(by_hand, net, images, kept):
    plan = by_hand.plan(net, kept)
    held = {name: nd.array(array + 1) for name, array in by_hand.values(net).items()}
    whole = held["8.bias"]
    expected = cut_alike({name: array.asnumpy() for name, array in held.items()}, plan)
    by_hand.cut(net, kept, images, copies=[held])
    assert all(np.array_equal(held[name].asnumpy(), expected[name]) for name in expected)
    assert held["8.bias"] is whole and held["8.weight"].shape == (5, 7)


def test_factors_reach_copies(by_hand, net, another, images, kept):
    average = another(images, seed=5)
    before = by_hand.values(average)
    factors = {"0.weight": {0: np.full(5, 2.0)}, "0.bias": {0: np.full(5, 2.0)}}
    factors |= {"1.running_mean": {0: np.full(5, 2.0)}, "1.running_var": {0: np.full(5, 4.0)}}
    net[1]._kwargs["eps"] = 0.0
    by_hand.cut(net, kept, images, copies=[average], factors=factors, modes=("eval",))
    assert np.array_equal(by_hand.values(average)["0.weight"], before["0.weight"][kept[12]] * 2)


def test_a_model_built_otherwise_is_refused(by_hand, net, another, images, kept):
    other = nn.HybridSequential()
    other.add(nn.Conv2D(12, 3, in_channels=3))
    raw = nn.HybridSequential()
    raw.add(*[nn.Conv2D(12, 3), nn.BatchNorm()])
    narrower = another(images)
    narrower._children["8"] = nn.Dense(4, in_units=20)
    narrower._children["8"].initialize()
    other.initialize()
    before, theirs = by_hand.everything(net), by_hand.everything(other)
    for wrong, message in [
        (other, r"copies\[1\], a HybridSequential, holds no block .*'1.gamma' is missing there"),
        (raw, r"'0.weight' is not initialised there, \(12, 3, 3, 3\) in the model"),
        (narrower, r"'8.weight' is \(4, 20\) there, \(5, 20\) in the model"),
        ({"8.bias": nd.zeros(3)}, r"copies\[1\] has '8.bias', which the model has not"),
        ({}, r"copies\[1\] has 'nothing'"),
    ]:
        average = another(images)
        held = by_hand.everything(average)
        with pytest.raises(RemovalError, match=message):
            by_hand.cut(net, kept, images, copies=[average, wrong])
        assert by_hand.everything(average) == held
    with pytest.raises(OptionError, match=r"copies\[0\] must be an mxnet.gluon.Block or a dict .* got float"):
        by_hand.cut(net, kept, images, copies=[0.9])
    assert by_hand.everything(net) == before and by_hand.everything(other) == theirs


def test_copies_are_put_back_where_the_trainer_fails(by_hand, net, another, images, kept, monkeypatch):
    from pruners_mxnet.surgery import trainers

    average, held = another(images, seed=5), {"8.weight": net[8].weight.data().copy()}
    before, array = by_hand.everything(average), held["8.weight"]

    def fails(*given):
        assert average[8].weight.shape == held["8.weight"].shape == (5, 7)
        raise MemoryError

    monkeypatch.setattr(trainers, "cut", fails)
    with pytest.raises(MemoryError):
        by_hand.cut(net, kept, images, copies=[average, held])
    assert by_hand.everything(average) == before and held["8.weight"] is array
    assert array.shape == (5, 20) and mxnet.nd.norm(array).asscalar() > 0
