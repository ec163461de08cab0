"""Plans made by hand, and everything a model holds, for comparison."""

from __future__ import annotations

import copy
import random
from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from pruners_torch import surgery
from pruners_torch.tracing import trace
from torch import nn

from pruners.structure.plan import RemovalPlan

torch.set_num_threads(1)


def plan_by_length(model: nn.Module, kept: Mapping[int, Sequence[int]], **more: Any) -> RemovalPlan:
    """Keep these coordinates of every axis of that length: a model's widths must be told apart by it."""
    indices = {length: np.array(keep) for length, keep in kept.items()}
    found: dict[str, dict[int, np.ndarray]] = {}
    for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
        axes = {axis: indices[n] for axis, n in enumerate(tensor.shape) if n in indices}
        if axes:
            found[name] = axes
    return RemovalPlan(found, **more)


def cut_by_length(
    model: nn.Module,
    kept: Mapping[int, Sequence[int]],
    inputs: Any,
    *,
    plan: RemovalPlan | None = None,
    modes: Sequence[str] = ("eval", "train"),
    attributes: Mapping[Any, int] | None = None,
    factors: Mapping[str, Any] | None = None,
    **options: Any,
):
    """Record a model, then keep these coordinates of every axis of that length."""
    programs = dict(trace(model, inputs, modes=modes, literals=False).programs)
    for mode in modes:
        programs.setdefault(mode, programs["eval"])  # a training pass that tells nothing new is left out
    indices = {length: np.array(keep) for length, keep in kept.items()}

    def coordinates(mode: str, value: int):
        return tuple(indices.get(length) for length in programs[mode].shapes[value])

    if plan is None:
        plan = plan_by_length(model, kept, attributes=attributes or {}, factors=factors or {})
    return surgery.remove(model, inputs, programs, plan, coordinates, **options).proof


def masked_by_length(model: nn.Module, kept: Mapping[int, Sequence[int]]) -> nn.Module:
    """Return a copy in which what leaves is zero (running variances: one)."""
    masked = copy.deepcopy(model)
    with torch.no_grad():
        for name, tensor in [*masked.named_parameters(), *masked.named_buffers()]:
            for axis, length in enumerate(tensor.shape):
                if length in kept:
                    leaving = [i for i in range(length) if i not in kept[length]]
                    tensor.index_fill_(axis, torch.tensor(leaving), 1 if "running_var" in name else 0)
    return masked


def everything(model: nn.Module, *optimizers: torch.optim.Optimizer) -> dict[str, Any]:
    """Return what a model, its optimizers and the random state hold: objects, memory and bits."""
    return {
        "random": (torch.get_rng_state().tolist(), random.getstate(), str(np.random.get_state())),
        "modules": [_namespace(name, module) for name, module in model.named_modules()],
        "tensors": [
            (name, _tensor(tensor), _tensor(tensor.grad))
            for name, tensor in [*model.named_parameters(), *model.named_buffers()]
        ],
        "optimizers": [_optimizer(optimizer) for optimizer in optimizers],
    }


def _namespace(name: str, module: nn.Module) -> Any:
    held = {key: (id(value), _shown(value)) for key, value in vars(module).items()}
    return name, id(module), held


def _shown(value: Any) -> Any:
    if isinstance(value, dict):
        return [(key, id(each)) for key, each in value.items()]
    if isinstance(value, torch.Tensor):
        return _tensor(value)
    return [id(each) for each in value] if isinstance(value, list) else repr(value)


def _tensor(tensor: torch.Tensor | None) -> Any:
    if tensor is None:
        return None
    bits = tensor.detach().contiguous().reshape(-1).view(torch.uint8).tolist()
    return id(tensor), tensor.data_ptr(), tensor.dtype, tuple(tensor.shape), tensor.stride(), bits


def _optimizer(optimizer: torch.optim.Optimizer) -> Any:
    groups = [[id(each) for each in group["params"]] for group in optimizer.param_groups]
    state = {
        id(parameter): [
            (key, _tensor(value) if isinstance(value, torch.Tensor) else value)
            for key, value in slots.items()
        ]
        for parameter, slots in optimizer.state.items()
    }
    return groups, state


@pytest.fixture
def by_hand() -> SimpleNamespace:
    """Hand-made plans for models whose widths differ from each other and from every other length."""
    return SimpleNamespace(
        cut=cut_by_length, plan=plan_by_length, masked=masked_by_length, everything=everything
    )


class Net(nn.Module):
    """Two convolutions with batch norms, a pool and a dense layer; 12 and 20 channels."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, 12, 3, padding=1),
            nn.BatchNorm2d(12),
            nn.ReLU(inplace=True),
            nn.Conv2d(12, 20, 3, padding=1),
            nn.BatchNorm2d(20),
            nn.ReLU(inplace=True),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
        )
        self.head = nn.Linear(20, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.layers(x))


@pytest.fixture
def net() -> Net:
    """A small network with nothing left at its initial value."""
    torch.manual_seed(0)
    model = Net()
    for tensor in [*model.parameters(), *model.buffers()]:
        if tensor.is_floating_point():
            tensor.data.uniform_(0.5, 1.5) if tensor.ndim == 1 else tensor.data.normal_(0, 0.3)
    return model


@pytest.fixture
def images() -> torch.Tensor:
    """Four pictures."""
    return torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def kept() -> dict[int, list[int]]:
    """What stays of the channels of `net`."""
    return {12: [0, 2, 3, 7, 11], 20: [1, 4, 5, 6, 10, 13, 19]}
