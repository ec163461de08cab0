"""Scenes: a session saved by torch.distributed.checkpoint on 4 ranks goes on, bit for bit, on 2 and on 1."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.distributed as group
import torch.distributed.checkpoint as checkpoint
from pruners_torch._pieces import assembled, local
from pruners_torch.checkpoint import PruningState
from torch import nn
from torch.distributed.checkpoint.state_dict import get_state_dict, set_state_dict

import pruners

from . import networks
from .networks import PASSED, batches, cut, joined, loss, masks, opened, weights

BEFORE, AFTER = 3, 5
LAYOUTS: dict[str, Callable[[], nn.Module]] = {"pieces": networks.pieces, "copies": networks.copies}
OPTIMIZERS: dict[str, Callable[[Any], torch.optim.Optimizer]] = {
    "pieces": lambda parameters: torch.optim.AdamW(parameters, 0.01),
    "copies": lambda parameters: torch.optim.SGD(parameters, 0.1, momentum=0.9),
}


class Training:
    """A model, its optimizer and its session; data are the same on every rank and for any number of them."""

    def __init__(self, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        self.model, self.optimizer = model, optimizer
        schedule = pruners.schedule("agp", start=0, stop=7, every=2)
        rules = pruners.Rule(list(PASSED), sparsity=0.8, schedule=schedule, scope="model")
        self.pruning = pruners.attach(model, rules, optimizer)

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint holds of model and optimizer."""
        model, optimizer = get_state_dict(self.model, self.optimizer)
        return {"model": model, "optimizer": optimizer}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take it up."""
        set_state_dict(
            self.model, self.optimizer, model_state_dict=state["model"], optim_state_dict=state["optimizer"]
        )

    def go(self, steps: int) -> None:
        """Train so many steps."""
        for batch in batches(2, steps):
            self.optimizer.zero_grad()
            loss(self.model, batch).backward()
            self.optimizer.step()
            self.pruning.step()

    def go_alike(self, steps: int) -> None:
        """Train with gradients that are the same on any number of ranks; sums over 4 ranks round."""
        held, draw = opened(self.model), np.random.default_rng(9)
        for _ in range(steps):
            for name, layer in held.layers.items():
                whole = draw.normal(size=layer.shape).astype(np.float32)
                parameter = held.parameters[name].parameter
                if any(parameter is each for each in self.optimizer.param_groups[0]["params"]):
                    parameter.grad = assembled(held.native(name, cut(held, name, whole)), parameter)
            self.optimizer.step()
            self.pruning.step()

    def parts(self) -> dict[str, Any]:
        """Return what one call of the checkpoint saves or loads."""
        return {"training": self, "pruning": PruningState(self.pruning, self.model)}

    def arrays(self) -> dict[str, np.ndarray]:
        """Return weights, masks and optimizer state whole; all ranks call this."""
        found = {f"weight {name}": each for name, each in weights(self.model).items()}
        found |= {f"mask {name}": each for name, each in masks(self.model, self.pruning).items()}
        held = opened(self.model)
        for name in PASSED:
            weight = held.parameters[name]
            for slot, value in self.optimizer.state[weight.parameter].items():
                if isinstance(value, torch.Tensor) and value.ndim > 1:
                    here = held.host(weight.canonical(local(value)))
                    found[f"{slot} {name}"] = joined(self.model, name, np.array(here, order="C"))
        found["log"] = np.array([[each.step, each.sparsity] for each in self.pruning.log])
        return found


def begun(layout: str) -> Training:
    """Return a training that has just begun; without a group, on the whole model."""
    model = LAYOUTS[layout]() if group.is_initialized() else networks.alone()
    used = [each for name, each in model.named_parameters() if "halves" not in name and "wider" not in name]
    return Training(model, OPTIMIZERS[layout](used))  # others get no state, which a checkpoint would miss


def save(folder: Path) -> dict[str, np.ndarray]:
    """Train on these ranks and save."""
    found = {}
    for layout in LAYOUTS:
        training = begun(layout)
        training.go_alike(BEFORE)
        checkpoint.save(training.parts(), checkpoint_id=folder.parent / layout)
        found |= {f"{layout} {name}": each for name, each in training.arrays().items()}
    return found


def resume(folder: Path) -> dict[str, np.ndarray]:
    """Load on these ranks, and go on as far as `uninterrupted` went."""
    found = {}
    for layout in LAYOUTS:
        training = begun(layout)
        checkpoint.load(training.parts(), checkpoint_id=folder.parent / layout)
        found |= {f"loaded {layout} {name}": each for name, each in training.arrays().items()}
        training.go(AFTER)
        found |= {f"{layout} {name}": each for name, each in training.arrays().items()}
    if group.is_initialized():
        _refusals()
    return found


def _refusals() -> None:
    training = begun("pieces")
    other = pruners.attach(networks.pieces(), pruners.Rule(list(PASSED), sparsity=0.8))
    before = training.arrays()
    with pytest.raises(pruners.StateError, match="other rules"):
        PruningState(training.pruning, training.model).load_state_dict(
            PruningState(other, training.model).state_dict()
        )
    for name, each in training.arrays().items():
        assert np.array_equal(each, before[name])
    state = PruningState(training.pruning, training.model).state_dict()
    state["masks"].pop("dense.weight")  # what is loaded into a session with fewer layers
    with pytest.raises(pruners.StateError, match=r"no mask of layer 'dense\.weight': attach with the saved"):
        PruningState(training.pruning, training.model).load_state_dict(state)
    copy = begun("copies")
    with pytest.raises(pruners.StateError, match=r"pruners_torch\.checkpoint"):
        copy.pruning.load_state_dict(training.pruning.state_dict())


def uninterrupted(folder: Path) -> dict[str, np.ndarray]:
    """Do on these ranks, without a checkpoint, what `save` and `resume` do together."""
    found = {}
    for layout in LAYOUTS:
        training = begun(layout)
        training.go_alike(BEFORE)
        training.go(AFTER)
        found |= {f"{layout} {name}": each for name, each in training.arrays().items()}
    return found
