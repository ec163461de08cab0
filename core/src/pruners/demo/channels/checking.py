"""What the demo of channels claims, counted anew."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

import pruners

from ...structure.plan import RemovalPlan
from .network import ResNet20, Size

if TYPE_CHECKING:
    from .training import Cut, Run

TOLERANCE = 1e-9
"""In float64, relative to the largest output."""


def masked(model: nn.Module, plan: RemovalPlan) -> nn.Module:
    """Set everything a plan removes to zero in place, variances to one, and return the model."""
    state = model.state_dict()
    for name, axes in plan.kept.items():
        nothing = 1.0 if name.endswith("running_var") else 0.0
        for axis, kept in axes.items():
            gone = np.setdiff1d(np.arange(state[name].shape[axis]), kept)
            state[name].index_fill_(axis, torch.from_numpy(gone), nothing)
    return model


def difference(one: nn.Module, other: nn.Module, images: Tensor) -> float:
    """Return the largest difference of two networks' outputs in float64, relative to the largest."""
    with torch.inference_mode():
        first, second = (copy.deepcopy(each).double().eval()(images.double()) for each in (one, other))
    off: Any = (first - second).abs().max() / first.abs().max()
    return float(off)


def broken_promises(dense: Run, pruned: Run) -> list[str]:
    """Return one sentence for each claim about two trainings that does not hold."""
    cut = pruned.cut
    if cut is None:
        return ["no channel was removed"]
    broken = []
    if dense.steps != pruned.steps:
        broken.append(f"dense took {dense.steps} steps and pruned {pruned.steps}")
    if not cut.removal.proof.error <= cut.removal.proof.tolerance:
        broken.append(f"the proof's error {cut.removal.proof.error:.1e} is above its tolerance")
    if not cut.difference <= TOLERANCE:
        broken.append(f"the outputs differed from the masked network's by {cut.difference:.1e}")
    return broken + _broken_sizes(dense.size, pruned.size, cut) + _broken_optimizer(pruned)


def _broken_sizes(dense: Size, pruned: Size, cut: Cut) -> list[str]:
    removal, broken = cut.removal, []
    counted = {
        "parameters": (removal.parameters, dense.parameters, pruned.parameters),
        "MACs": (removal.macs, dense.macs, pruned.macs),
    }
    for name, (reported, before, after) in counted.items():
        if (before, after) != (reported.before, reported.after):
            broken.append(
                f"{name}: {before} and {after}, but the report says {reported.before} and {reported.after}"
            )
        if not after < before:
            broken.append(f"{name}: {after} are no fewer than {before}")
    for row in removal.groups:
        for layer in row.layers:
            found = (dense.channels[layer], pruned.channels[layer])
            if found != (row.units, row.kept):
                broken.append(f"{layer}: {found[1]} of {found[0]} channels, not {row.kept} of {row.units}")
    return broken


def _broken_optimizer(run: Run) -> list[str]:
    """Check that the optimizer holds the smaller network's parameters, with momentum of their shapes."""
    held = {id(each) for group in run.optimizer.param_groups for each in group["params"]}
    broken = []
    for name, parameter in run.model.named_parameters():
        momentum = run.optimizer.state[parameter].get("momentum_buffer") if id(parameter) in held else None
        if momentum is None or momentum.shape != parameter.shape:
            broken.append(f"{name}: the optimizer lost it")
    return broken


def broken_file(run: Run, path: Path, images: Tensor) -> list[str]:
    """Load the smaller network into a freshly built dense one, and compare their outputs bit for bit."""
    fresh = pruners.load(ResNet20(), path)
    with torch.inference_mode():
        same = torch.equal(fresh.eval()(images), run.model.eval()(images))
    return [] if same else [f"{path.name}: loaded into a new network, it gives other outputs"]
