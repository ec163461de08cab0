"""Small networks with sizes written in their code, and random plans for them."""

from __future__ import annotations

import copy
import importlib
import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from pruners_torch._backend import TorchBackend
from pruners_torch.graph import trace_graph
from torch import Tensor, nn

from pruners.structure.axes import output_axes
from pruners.structure.engine import analyse
from pruners.structure.plan import RemovalPlan

torch.set_num_threads(1)


class Shuffle(nn.Module):
    """Split halves, groups, a channel shuffle and a strided slice, all with sizes in the code."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 16, 3, padding=1)
        self.norm = nn.BatchNorm2d(16)
        self.depth = nn.Conv2d(8, 8, 3, padding=1, groups=8)
        self.group = nn.Conv2d(16, 32, 1, groups=4)
        self.head = nn.Linear(32 * 4, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu_(self.norm(self.first(x)))
        left, right = x[:, :8], x[:, 8:]
        x = torch.cat([left, F.relu(self.depth(right))], 1)
        x = x.view(x.shape[0], 2, 8, 4, 4).transpose(1, 2).reshape(-1, 16, 4, 4)
        x = F.relu(self.group(x))[:, :, ::2, ::2]
        return self.head(x.reshape(x.shape[0], 32 * 4))


class Windows(nn.Module):
    """Attention in windows: batch, windows and heads are merged into one axis and parted again."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Conv2d(3, 16, 2, 2)
        self.qkv = nn.Linear(16, 48)
        self.project = nn.Linear(16, 16)
        self.bias = nn.Parameter(torch.randn(4, 4, 4))
        self.wide, self.narrow = nn.Linear(16, 64), nn.Linear(64, 16)
        self.drop = nn.Dropout(0.2)
        self.head = nn.Linear(16, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.embed(x).permute(0, 2, 3, 1)
        batch = x.shape[0]
        x = torch.roll(x, (-1, -1), (1, 2))
        w = x.view(batch, 2, 2, 2, 2, 16).permute(0, 1, 3, 2, 4, 5).reshape(batch * 4, 4, 16)
        q, k, v = self.qkv(w).reshape(batch * 4, 4, 3, 4, 4).permute(2, 0, 3, 1, 4)
        attention = (q * 4**-0.5) @ k.transpose(-2, -1) + self.bias
        mask = torch.zeros(4, 4, 4)
        attention = attention.view(batch, 4, 4, 4, 4) + mask.unsqueeze(1).unsqueeze(0)
        attention = attention.view(-1, 4, 4, 4).softmax(-1)
        w = self.project((attention @ v).transpose(1, 2).reshape(batch * 4, 4, 16))
        x = x + w.view(batch, 2, 2, 2, 2, 16).permute(0, 1, 3, 2, 4, 5).reshape(batch, 4, 4, 16)
        x = x + self.narrow(self.drop(F.gelu(self.wide(x))))
        return self.head(x.mean((1, 2)))


class Heads(nn.Module):
    """Fused attention whose scale comes from the width of its heads, layer norms, a class token."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Linear(12, 32)
        self.token = nn.Parameter(torch.randn(1, 1, 32))
        self.first, self.second = nn.LayerNorm(32), nn.LayerNorm(32)
        self.qkv, self.project = nn.Linear(32, 96), nn.Linear(32, 32)
        self.gate, self.narrow = nn.Linear(32, 96), nn.Linear(48, 32)
        self.head = nn.Linear(32, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.embed(x.reshape(x.shape[0], 16, 12))
        x = torch.cat([self.token.expand(x.shape[0], -1, -1), x], 1)
        q, k, v = self.qkv(self.first(x)).view(x.shape[0], 17, 3, 4, 8).permute(2, 0, 3, 1, 4).unbind(0)
        y = F.scaled_dot_product_attention(q, k, v)
        x = x + self.project(y.transpose(1, 2).reshape(x.shape[0], 17, 32))
        a, b = self.gate(self.second(x)).chunk(2, dim=-1)
        x = x + self.narrow(a * torch.sigmoid(b))
        return self.head(x[:, 0])


class Dense(nn.Module):
    """Concatenations, group and root-mean-square norms, uneven splits, padding, pixel shuffle."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 12, 3, padding=1)
        self.second = nn.Conv2d(12, 8, 3, padding=1)
        self.norm = nn.GroupNorm(4, 20)
        self.third = nn.Conv2d(20, 24, 1)
        self.up = nn.Conv2d(16, 32, 1)
        self.back = nn.ConvTranspose2d(8, 8, 2, 2)
        self.scale = nn.RMSNorm(24)
        self.head = nn.Linear(24, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.first(x))
        x = self.norm(torch.cat([x, F.relu(self.second(x))], 1))
        a, b = self.third(x).split([16, 8], 1)
        a = F.pixel_shuffle(self.up(F.relu(a)), 2)
        b = self.back(F.relu(b))
        pad = b.new_zeros(b.shape[0], 16, 8, 8)
        x = F.pad(a, (0, 0, 0, 0, 8, 8)) + torch.cat([b, pad], 1)
        return self.head(self.scale(F.adaptive_avg_pool2d(x, 1).flatten(1)))


class Plain(nn.Module):
    """Nothing in its way: two convolutions, batch norm, dropout."""

    def __init__(self, width: int = 16) -> None:
        super().__init__()
        self.first, self.norm = nn.Conv2d(3, width, 3, padding=1), nn.BatchNorm2d(width)
        self.second, self.drop = nn.Conv2d(width, 24, 3, padding=1), nn.Dropout(0.5)
        self.head = nn.Linear(24, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.norm(self.first(x)))
        x = F.relu(self.second(x)).mean((2, 3))
        return self.head(self.drop(x))


NETWORKS: dict[str, tuple[type[nn.Module], tuple[int, ...]]] = {
    "shuffle": (Shuffle, (3, 4, 4)),
    "windows": (Windows, (3, 8, 8)),
    "heads": (Heads, (3, 8, 8)),
    "dense": (Dense, (3, 4, 4)),
    "plain": (Plain, (3, 6, 6)),
}


def build(name: str, batch: int = 3) -> tuple[nn.Module, Tensor]:
    """Return a network with lively running statistics, and a batch."""
    torch.manual_seed(0)
    kind, shape = NETWORKS[name]
    model = kind()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias)
    return model.eval(), torch.randn(batch, *shape)


def shrink(model: nn.Module, inputs: Any, share: float = 0.5, **options: Any) -> SimpleNamespace:
    """Remove random channels as a graph; return what came of it and the plan."""
    modes = options.pop("modes", ("eval", "train"))
    traced = options.pop("traced", None) or trace_graph(model, inputs, modes)
    layers = TorchBackend().open(model).layers
    weights = output_axes(layers, traced.programs)
    found = analyse(traced.programs, weights=weights, rescales=True)
    random, gone = np.random.default_rng(0), np.zeros(found.size, bool)
    for group in found.groups:
        gone[random.choice(group.units, math.floor(len(group) * share), replace=False)] = True

    def left(roots: np.ndarray | None) -> np.ndarray | None:
        return None if roots is None or not gone[roots].any() else np.flatnonzero(~gone[roots])

    def coordinates(mode: str, value: int) -> tuple[np.ndarray | None, ...]:
        return tuple(left(roots) for roots in found.labels(mode, value))

    kept: dict[str, dict[int, np.ndarray]] = {}
    for name in found.parameters:
        for axis, roots in enumerate(found.parameter(name)):
            indices = left(roots)
            if indices is not None:
                kept.setdefault(name, {})[axis] = indices
    removed = traced.remove(RemovalPlan(kept), coordinates, **options)
    before, after = (sum(p.numel() for p in each.parameters()) for each in (model, removed.model))
    return SimpleNamespace(
        model=removed.model,
        proof=removed.proof,
        kept=kept,
        left=after / before,
        structure=found,
        traced=traced,
    )


def masked(model: nn.Module, kept: dict[str, dict[int, np.ndarray]]) -> nn.Module:
    """Return a copy of a model in which everything that left is zero; a running variance is one."""
    twin = copy.deepcopy(model)
    tensors = dict([*twin.named_parameters(), *twin.named_buffers()])
    with torch.no_grad():
        for name, axes in kept.items():
            for axis, indices in axes.items():
                leaving = np.setdiff1d(np.arange(tensors[name].shape[axis]), indices)
                value = 1.0 if name.endswith("running_var") else 0.0
                tensors[name].index_fill_(axis, torch.from_numpy(leaving), value)
    return twin


@pytest.fixture
def graphs() -> SimpleNamespace:
    """Return the networks of these tests and what makes them smaller."""
    return SimpleNamespace(build=build, shrink=shrink, masked=masked, networks=NETWORKS, Plain=Plain)


@pytest.fixture
def models(torchvision: Any) -> Any:
    """Return torchvision's models, or skip."""
    return importlib.import_module("torchvision.models")


@pytest.fixture
def timm(models: Any) -> Any:
    """Return timm, or skip."""
    return pytest.importorskip("timm")
