"""Scenes: copies and pieces in training, ranks that fail, ranks that are gone."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.distributed as group
from torch import nn
from torch.nn.parallel import DistributedDataParallel

import pruners

from . import networks
from .networks import PASSED, Network, batches, loss, masks, opened, weights

SCHEDULE = {"start": 0, "stop": 6, "every": 2}


def rules(pruner: str = "level") -> list[pruners.Rule]:
    """Return rules that prune step by step."""
    schedule = pruners.schedule("agp", **SCHEDULE)
    return [pruners.Rule(list(PASSED), pruner=pruner, sparsity=0.8, schedule=schedule, scope="model")]


def equal_everywhere(found: dict[str, np.ndarray]) -> bool:
    """Return whether every rank has the same arrays."""
    everyone: list[object] = [None] * group.get_world_size()
    group.all_gather_object(everyone, {name: each.tobytes() for name, each in found.items()})
    return all(each == everyone[0] for each in everyone)


def trained(model: nn.Module, pruning: object, optimizer: torch.optim.Optimizer, steps: int = 4) -> None:
    """Train on data of each rank's own; zeros are zero after every step."""
    held = opened(model)
    for batch in batches(100 + group.get_rank(), steps):
        optimizer.zero_grad()
        loss(model, batch).backward()
        optimizer.step()
        for name, mask in pruning.masks.items():
            pruned = held.read(name)[~held.host(held.parameters[name].canonical(mask))]
            assert not pruned.any() and not np.signbit(pruned).any()
        pruning.step()


def everything(folder: Path) -> None:
    """Run all scenes of this module that end well in one group."""
    copies_stay_equal()
    pieces_train()
    for make in (networks.copies, networks.pieces):
        one_rank_fails(make())
    a_rank_fails_between_batches()
    ranks_with_other_weights_are_noticed()
    a_rank_on_its_own()
    resumed_copies()


def copies_stay_equal() -> None:
    """Attached before the model is wrapped, or after; with gradients masked or not; no weights are sent."""
    for gradients in (False, True):
        for before in (False, True):
            network = Network()
            wrapper = None if before else DistributedDataParallel(network, find_unused_parameters=True)
            optimizer = torch.optim.SGD(network.parameters(), 0.1, momentum=0.9)
            pruning = pruners.attach(
                network if before else wrapper, rules(), optimizer, mask_gradients=gradients
            )
            wrapper = wrapper or DistributedDataParallel(network, find_unused_parameters=True)
            trained(wrapper, pruning, optimizer)
            assert [each.step for each in pruning.log] == [0, 2, 4]
            assert equal_everywhere(masks(wrapper, pruning)) and equal_everywhere(weights(wrapper))
            sent = opened(wrapper).peers().sent
            pruning.step()
            assert opened(wrapper).peers().sent - sent < 4096


def pieces_train() -> None:
    """Zeros stay zero, and everything is the same as on one rank that is given all ranks' data."""
    model = networks.pieces()
    optimizer = torch.optim.AdamW(model.parameters(), 0.01)
    pruning = pruners.attach(model, rules(), optimizer, mask_gradients=True)
    trained(model, pruning, optimizer)
    total = pruning.sparsity()
    assert equal_everywhere({"": np.array([total.total, *total.layers.values()])})
    assert equal_everywhere({"": np.array([str(pruning.report())])})


class Stumbles:
    """Scores by size, but fails where it is told to."""

    unit = "weight"
    reach = "weight"

    def __init__(self) -> None:
        self.falls: tuple[int, ...] = ()

    def scores(self, view):
        if group.get_rank() in self.falls:
            raise OSError("bad data")
        return {name: view.ops.abs(weight) for name, weight in view.weights.items()}


def one_rank_fails(model: nn.Module) -> None:
    """All ranks raise, keep their old masks and time, and go on together afterwards."""
    pruner = Stumbles()
    pruning = pruners.attach(model, rules(pruner))
    before = masks(model, pruning)
    pruning.step()
    pruner.falls = (1,)
    error, match = (
        (pruners.PrunerFailed, "bad data") if group.get_rank() == 1 else (pruners.RankError, "rank 1 failed")
    )
    for _ in range(2):
        with pytest.raises(error, match=match):
            pruning.step()
        assert pruning.time == 1
        for name, mask in masks(model, pruning).items():
            assert np.array_equal(mask, before[name])
    pruner.falls = ()
    pruning.step()
    assert pruning.time == 2 and equal_everywhere(masks(model, pruning))
    assert any(not np.array_equal(mask, before[name]) for name, mask in masks(model, pruning).items())


class StumblesLate(Stumbles):
    """Fails after the first batch; until then it runs the model together with the other ranks."""

    def scores(self, view):
        for name, _ in view.activations():
            if name == PASSED[-1]:
                Stumbles.scores(self, view)
        return {name: view.ops.abs(weight) for name, weight in view.weights.items()}


def a_rank_fails_between_batches() -> None:
    """The others hear of it before they run the next batch, which they would do alone."""
    pruner = StumblesLate()
    model = networks.pieces()
    pruning = pruners.attach(model, rules(pruner), data=batches(count=3))
    pruner.falls = (1,)
    pruning.step()
    error, match = (
        (pruners.PrunerFailed, "bad data") if group.get_rank() == 1 else (pruners.RankError, "rank 1 failed")
    )
    with pytest.raises(error, match=match):
        pruning.step()
    pruner.falls = ()
    pruning.step()
    assert pruning.time == 2


def ranks_with_other_weights_are_noticed() -> None:
    network = Network()
    with torch.no_grad():
        network.dense.weight.mul_(1 + group.get_rank() * torch.arange(24.0))
    with pytest.raises(pruners.RankError, match=r"different masks.*'dense\.weight'"):
        pruners.attach(network, pruners.Rule(list(PASSED), sparsity=0.5))
    assert (network.dense.weight != 0).all()


def a_rank_on_its_own() -> None:
    """With distributed=False a rank asks nobody."""
    if group.get_rank() == 0:
        pruning = pruners.attach(Network(), rules(), distributed=False)
        pruning.step()
        pruning.step()
        assert pruning.time == 2
    group.barrier()


def resumed_copies() -> None:
    """A session saved on all ranks goes on bit for bit."""
    wrapper = networks.copies()
    pruning = pruners.attach(wrapper, rules())
    for _ in range(3):
        pruning.step()
    other = networks.copies()
    other.load_state_dict(wrapper.state_dict())
    resumed = pruners.attach(other, rules())
    resumed.load_state_dict(pruning.state_dict())
    for _ in range(3):
        pruning.step()
        resumed.step()
    assert resumed.log == pruning.log
    for name, mask in masks(wrapper, pruning).items():
        assert np.array_equal(mask, masks(other, resumed)[name])


def a_rank_is_gone(folder: Path) -> None:
    """Rank 1 dies in an update; the others raise with their old masks. Copies save, to be resumed."""
    _survive(networks.copies(), folder / "saved.pt")


def a_rank_with_pieces_is_gone(folder: Path) -> None:
    """The same where the model is in pieces."""
    _survive(networks.pieces(), None)


class Dies:
    """Scores by size, but ends the process where it is told to."""

    unit = "weight"
    reach = "weight"

    def __init__(self) -> None:
        self.falls: tuple[int, ...] = ()

    def scores(self, view):
        if group.get_rank() in self.falls:
            os.kill(os.getpid(), signal.SIGKILL)
        return {name: view.ops.abs(weight) for name, weight in view.weights.items()}


def _survive(model: nn.Module, saved: Path | None) -> None:
    pruner = Dies()
    pruning = pruners.attach(model, rules(pruner))
    pruning.step()
    held = opened(model)
    before = {name: held.read(name).copy() for name in PASSED}
    state = {"model": opened(model).root.state_dict(), "pruning": pruning.state_dict()} if saved else {}
    if saved and group.get_rank() == 0:
        torch.save(state, saved)
    group.barrier()
    pruner.falls = (1,)
    start = time.monotonic()
    with pytest.raises(Exception) as raised:
        pruning.step()
    assert time.monotonic() - start < 50 and raised.value is not None
    assert pruning.time == 1
    assert all(np.array_equal(held.read(name), array) for name, array in before.items())
    os._exit(0)  # a group with a dead rank cannot be left in an orderly way


def resumes_after_a_rank_is_gone(folder: Path) -> None:
    """The job starts again from its checkpoint."""
    model = networks.copies()
    state = torch.load(folder.parent / "gone" / "saved.pt", weights_only=True)
    opened(model).root.load_state_dict(state["model"])
    pruning = pruners.attach(model, rules(Dies()))
    pruning.load_state_dict(state["pruning"])
    assert pruning.time == 1
    pruning.step()
    assert [each.step for each in pruning.log] == [0, 2] and equal_everywhere(masks(model, pruning))
