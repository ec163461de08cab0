"""A real trained network: accuracy after pruning equals what was measured before this project existed."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import pruners

torch.set_num_threads(1)

DATA = Path(__file__).parents[4] / "shared" / "data"
needs_data = pytest.mark.skipif(
    not DATA.is_dir(), reason="the folder of shared data is not beside the checkout"
)


class Pad(nn.Module):
    """A shortcut that takes every second pixel and adds empty channels on both sides."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels

    def forward(self, x):
        return nn.functional.pad(x[..., ::2, ::2], (0, 0, 0, 0, self.channels, self.channels))


class Block(nn.Module):
    def __init__(self, into: int, out: int) -> None:
        super().__init__()
        stride = 1 if into == out else 2
        self.conv1 = nn.Conv2d(into, out, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(out)
        self.conv2 = nn.Conv2d(out, out, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(out)
        self.shortcut = nn.Identity() if into == out else Pad(out // 4)

    def forward(self, x):
        inner = self.bn2(self.conv2(self.bn1(self.conv1(x)).relu()))
        return (inner + self.shortcut(x)).relu()


class ResNet20(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.layer1 = nn.Sequential(Block(16, 16), Block(16, 16), Block(16, 16))
        self.layer2 = nn.Sequential(Block(16, 32), Block(32, 32), Block(32, 32))
        self.layer3 = nn.Sequential(Block(32, 64), Block(64, 64), Block(64, 64))
        self.linear = nn.Linear(64, 10)

    def forward(self, x):
        x = self.bn1(self.conv1(x)).relu()
        return self.linear(self.layer3(self.layer2(self.layer1(x))).mean((2, 3)))


@pytest.fixture(scope="module")
def trained():
    from safetensors.torch import load_file

    network = ResNet20()
    network.load_state_dict(
        load_file(DATA / "resnet20-cifar10" / "resnet20-12fca82f.safetensors"), strict=True
    )
    images = np.load(DATA / "cifar10-5k" / "cifar10_5k.npz")
    mean, spread = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    pixels = ((images["x_test"] / 255 - mean) / spread).transpose(0, 3, 1, 2).astype(np.float32)
    return network.eval(), torch.from_numpy(pixels), torch.from_numpy(images["y_test"])


@torch.no_grad()
def accuracy(network, pixels, classes) -> float:
    found = torch.cat([network(part).argmax(1) for part in pixels.split(250)])
    return float((found == classes).float().mean())


@needs_data
@pytest.mark.parametrize(
    ("sparsity", "measured"), [(0.0, 0.915), (0.3, 0.911), (0.5, 0.906), (0.7, 0.716), (0.9, 0.092)]
)
def test_magnitude_over_all_convolutions_costs_what_was_measured(trained, sparsity, measured):
    dense, pixels, classes = trained
    network = copy.deepcopy(dense)
    pruners.prune(network, "level", sparsity=sparsity, scope="model", types="Conv2d")
    weights = [p for p in network.parameters() if p.ndim == 4]
    zeros, count = sum(int((w == 0).sum()) for w in weights), sum(w.numel() for w in weights)
    assert zeros == int(sparsity * count + 1e-9)
    assert accuracy(network, pixels, classes) == pytest.approx(measured, abs=0.0011)


@needs_data
def test_bank_balance_costs_little_where_magnitude_does(trained):
    dense, pixels, classes = trained
    network = copy.deepcopy(dense)
    with pytest.warns(pruners.SkippedLayer, match=r"'conv1\.weight'"):
        pruners.prune(
            network, "level", sparsity=0.5, pattern=pruners.pattern("bank", size=16), types="Conv2d"
        )
    assert accuracy(network, pixels, classes) > 0.85
