"""Moving averages are cut as the model is."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from pruners import OptionError, RemovalError

torch.set_num_threads(1)


def weights(model):
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def cut_alike(tensors, plan):
    expected = {}
    for name, tensor in tensors.items():
        for axis, indices in plan.kept.get(name, {}).items():
            tensor = tensor.index_select(axis, torch.from_numpy(indices))
        expected[name] = tensor
    return expected


def drift(model):
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)


def test_an_averaged_model_is_cut_and_goes_on(by_hand, net, images, kept):
    ema = torch.optim.swa_utils.AveragedModel(
        net, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.9)
    )
    drift(net)
    ema.update_parameters(net)
    expected = cut_alike(weights(ema.module), by_hand.plan(net, kept))
    by_hand.cut(net, kept, images, copies=[ema])
    got = weights(ema.module)
    assert all(torch.equal(got[name], expected[name]) for name in expected)
    assert (ema.module.layers[3].in_channels, ema.module.head.in_features) == (5, 7)
    assert ema(images).shape == (4, 5) and ema.module.training is net.training
    drift(net)
    ema.update_parameters(net)
    assert not torch.equal(ema.module.head.weight, expected["head.weight"])


def test_copies_in_other_forms(by_hand, net, images, kept):
    class Average(nn.Module):
        """Holds both the model and its average."""

        def __init__(self, model):
            super().__init__()
            self.online, self.average = model, copy.deepcopy(model)

    nested, state = Average(net), weights(net)
    compiled = torch.compile(copy.deepcopy(net), backend="eager")
    drift(net)
    plan = by_hand.plan(net, kept)
    expected = cut_alike(state, plan)
    by_hand.cut(net, kept, images, copies=[nested, state, compiled])
    assert all(torch.equal(state[name], expected[name]) for name in expected)
    assert torch.equal(nested.average.head.weight, expected["head.weight"])
    assert torch.equal(compiled._orig_mod.head.weight, expected["head.weight"])
    assert nested.online is net and net.head.weight.shape == (5, 7)
    net.load_state_dict(state)


def test_a_mapping_has_tied_weights_under_every_name(by_hand):
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.table, self.head = nn.Embedding(9, 12), nn.Linear(12, 9)
            self.head.weight = self.table.weight

        def forward(self, index):
            return self.head(self.table(index))

    model = Tied()
    state = weights(model)
    by_hand.cut(model, {12: [0, 4, 5]}, torch.arange(9), copies=[state])
    assert state["head.weight"].shape == state["table.weight"].shape == (9, 3)


def test_a_model_built_otherwise_is_refused(by_hand, net, images, kept):
    other = nn.Sequential(nn.Conv2d(3, 12, 3))
    narrower = copy.deepcopy(net)
    narrower.head = nn.Linear(20, 4)
    before, theirs = by_hand.everything(net), by_hand.everything(other)
    for wrong, message in [
        (other, r"copies\[1\], a Sequential, holds no module .*'layers.0.weight' is missing there"),
        (narrower, r"'head.weight' is \(4, 20\) there, \(5, 20\) in the model"),
        ({"head.bias": torch.zeros(3)}, r"copies\[1\] has 'head.bias', which the model has not"),
    ]:
        ema = copy.deepcopy(net)
        average = by_hand.everything(ema)
        with pytest.raises(RemovalError, match=message):
            by_hand.cut(net, kept, images, copies=[ema, wrong])
        assert by_hand.everything(ema) == average
    with pytest.raises(OptionError, match=r"copies\[0\] must be a torch.nn.Module or a mapping .* got float"):
        by_hand.cut(net, kept, images, copies=[0.9])
    assert by_hand.everything(net) == before and by_hand.everything(other) == theirs
