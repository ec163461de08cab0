"""Every pruner of channels takes half of a residual network away, with proof, soft or hard."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import pruners

CRITERIA = {
    "filter-norm": {"p": 2},
    "fpgm": {"keep_norm": 0.9},
    "random": {"unit": "channel"},
    "bn-scale": {},
    "apoz": {},
    "taylor": {},
    "thinet": {},
}


class Residual(nn.Module):
    """Two blocks with an addition, a depthwise convolution and a concatenation."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.stem, self.stem_norm = nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8)
        self.inner, self.inner_norm = nn.Conv2d(8, 12, 3, padding=1, bias=False), nn.BatchNorm2d(12)
        self.outer, self.outer_norm = nn.Conv2d(12, 8, 1, bias=False), nn.BatchNorm2d(8)
        self.depthwise, self.depth_norm = nn.Conv2d(8, 8, 3, 2, 1, groups=8, bias=False), nn.BatchNorm2d(8)
        self.side, self.side_norm = nn.Conv2d(8, 4, 3, 2, 1, bias=False), nn.BatchNorm2d(4)
        self.head = nn.Linear(12 * 4 * 4, 5)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                nn.init.uniform_(module.weight, 0.1, 1.0)
                nn.init.normal_(module.bias)

    def forward(self, x):
        x = F.relu(self.stem_norm(self.stem(x)))
        y = F.relu(self.inner_norm(self.inner(x)))
        x = F.relu(x + self.outer_norm(self.outer(y)))
        parts = [F.relu(self.depth_norm(self.depthwise(x))), F.relu(self.side_norm(self.side(x)))]
        return self.head(torch.cat(parts, 1).flatten(1))


@pytest.fixture
def batches():
    torch.manual_seed(1)
    return [(torch.randn(6, 3, 8, 8), torch.randint(0, 5, (6,))) for _ in range(2)]


def loss(model, batch):
    return F.cross_entropy(model(batch[0]), batch[1])


def given(name, batches):
    return {
        "pruner": pruners.pruner(name, **CRITERIA[name]),
        "data": batches,
        "loss": loss,
        "example_inputs": batches[0][0],
    }


@pytest.mark.parametrize("name", CRITERIA)
def test_half_of_the_channels_can_be_removed(name, batches):
    model = Residual()
    removal = pruners.remove(model, sparsity=0.5, measure=0, **given(name, batches))
    layers = (model.stem, model.inner, model.outer, model.depthwise, model.side)
    assert [layer.out_channels for layer in layers] == [4, 6, 4, 4, 2]
    assert model.head.in_features == 6 * 16
    assert removal.proof.error <= removal.proof.tolerance
    loss(model, batches[0]).backward()


@pytest.mark.parametrize("name", CRITERIA)
def test_the_same_channels_go_the_second_time(name, batches):
    first, second = Residual(), Residual()
    for model in (first, second):
        pruners.remove(model, sparsity=0.5, measure=0, **given(name, batches))
    for (key, one), other in zip(first.state_dict().items(), second.state_dict().values(), strict=True):
        assert torch.equal(one, other), key


@pytest.mark.parametrize("name", CRITERIA)
def test_whole_channels_are_masked_exactly(name, batches):
    model = Residual()
    before = copy.deepcopy(model.state_dict())
    convolutions = [key for key in before if key.removesuffix(".weight") in dict(model.named_children())]
    convolutions = [key for key in convolutions if before[key].ndim == 4]
    masks = pruners.masks(model, sparsity=0.3, match=convolutions, **given(name, batches))
    for key, mask in masks.items():
        assert mask.shape == before[key].shape
        channels = mask.flatten(1).any(1)
        assert torch.equal(channels, mask.flatten(1).all(1))
        assert int((~channels).sum()) == int(0.3 * len(channels) + 1e-9)
    for key, value in model.state_dict().items():
        assert torch.equal(value, before[key]), key


@pytest.mark.parametrize("name", ["apoz", "taylor", "thinet"])
def test_a_dead_channel_leaves_first(name, batches):
    model = Residual()
    with torch.no_grad():
        model.inner.weight[5] = 0
        model.inner_norm.bias.fill_(0.5)
        model.inner_norm.bias[5] = -1
    kept = model.inner.weight.detach()[[index for index in range(12) if index != 5]].clone()
    options = given(name, batches) | {"pruner": pruners.pruner(name)}
    ignore = ["stem", "outer", "depthwise", "side"]
    pruners.remove(model, sparsity=1 / 12, ignore=ignore, measure=0, **options)
    assert torch.equal(model.inner.weight.detach(), kept)
