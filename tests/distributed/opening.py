"""Scenes: what a model in pieces gives core, before any session: boxes, weights, zeros, gradients."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.distributed as group
from pruners_torch._peers import TorchPeers
from pruners_torch._pieces import local
from torch import nn

import pruners
from pruners.protocols.ranks import Sharded, Shared

from . import networks
from .networks import PASSED, alone, batches, cut, joined, loss, opened

OPTIMIZERS: dict[str, Callable[[nn.Module], torch.optim.Optimizer]] = {
    "sgd": lambda model: torch.optim.SGD(model.parameters(), 0.1, momentum=0.9),
    "adamw": lambda model: torch.optim.AdamW(model.parameters(), 0.01),
    "foreach": lambda model: torch.optim.AdamW(model.parameters(), 0.01, foreach=True),
    "fused": lambda model: torch.optim.AdamW(model.parameters(), 0.01, fused=True),
}
"""The last two refuse to step on cut and whole parameters at once: PyTorch's own limit."""


def layouts() -> Iterator[nn.Module]:
    """Yield the network in every layout that so many ranks can have."""
    yield from (networks.pieces(), networks.one_group(), networks.split())
    if group.get_world_size() == 4:
        yield from (networks.both(), networks.hybrid())


def everything(folder: Path) -> None:
    """Run all scenes of this module in one group."""
    peers_add_gather_and_exchange()
    for model in layouts():
        boxes_are_where_the_weights_are(model)
        zeros_stay(model)
    gradients_are_means(networks.pieces())
    gradients_are_means(networks.one_group())
    unequal_data_is_noticed()
    layers_that_are_no_blocks_are_refused()
    outputs_that_no_rank_has_whole_are_refused()
    writing_to_a_piece_is_refused()


def peers_add_gather_and_exchange() -> None:
    peers, rank, size = TorchPeers(), group.get_rank(), group.get_world_size()
    assert (peers.rank, peers.size, peers.sent) == (rank, size, 0)
    given = np.array([rank, 1, -(2**60) if rank == 0 else 2**60])
    total = peers.sum(given)
    assert total.tolist() == [sum(range(size)), size, (size - 2) * 2**60]
    assert given[0] == rank and peers.sent == 24
    for found, other in zip(peers.gather(np.full(rank, float(rank))), range(size), strict=True):
        assert found.tolist() == [float(other)] * other
    before = peers.sent
    parts = [np.full(2 * rank + to, 10 * rank + to, np.uint8) for to in range(size)]
    for come, found in enumerate(peers.exchange(parts)):
        assert found.tolist() == [10 * come + rank] * (2 * come + rank)
    assert peers.sent > before
    assert all(not each.size for each in peers.exchange([np.zeros(0, np.int64)] * size))


def boxes_are_where_the_weights_are(model: nn.Module) -> None:
    """The whole layer cut at a rank's box is what the rank holds; and back again."""
    held, reference = opened(model), opened(alone())
    assert isinstance(held, Sharded) and isinstance(held, Shared)
    assert held.layers == reference.layers  # rules match by the user's types and whole shapes
    assert held.boxes
    for name in held.layers:
        whole, piece = reference.read(name), held.read(name).copy()
        assert piece.tobytes() == cut(held, name, whole).tobytes(), name
        assert piece.shape == cut(held, name, whole).shape, name
        assert joined(model, name, piece).tobytes() == np.ascontiguousarray(whole).tobytes(), name
        held.write({name: piece + piece.dtype.type(1)})
        assert np.array_equal(held.read(name), piece + piece.dtype.type(1))
        held.write({name: piece})


def zeros_stay(model: nn.Module) -> None:
    """Through optimizers whose state is in pieces, with and without masked gradients."""
    held = opened(model)
    draw = np.random.default_rng(3)
    whole = {name: draw.random(held.layers[name].shape) < 0.4 for name in PASSED}
    masks = {name: cut(held, name, each) for name, each in whole.items()}
    mixed = len(held.boxes) < len(held.layers)
    for name, make in list(OPTIMIZERS.items())[: 2 if mixed else 4]:
        optimizer = make(model)
        keeper = held.keeper(masks, optimizer=optimizer, gradients=name == "sgd")
        keeper.apply()
        for batch in batches():
            optimizer.zero_grad()
            loss(model, batch).backward()
            if name == "sgd":
                assert all(_zeros(held, each, masks[each], "grad") for each in PASSED)
            optimizer.step()
            assert all(_zeros(held, each, masks[each]) for each in PASSED), name
        keeper.update({each: ~mask for each, mask in masks.items()})
        for each in PASSED:
            assert _zeros(held, each, ~masks[each])
            slots = optimizer.state[held.parameters[each].parameter].values()
            for slot in slots:
                if isinstance(slot, torch.Tensor) and slot.shape == held.layers[each].shape:
                    assert not local(slot).numpy()[masks[each]].any()
        with torch.no_grad():
            model(batches()[0][0])  # parameters of some groups are whole after this
            for each in PASSED:
                held.parameters[each].piece.fill_(1.0)
        keeper.apply()
        assert all(_zeros(held, each, ~masks[each]) for each in PASSED)
        keeper.close()


def _zeros(held: object, name: str, mask: np.ndarray, what: str = "") -> bool:
    parameter = held.parameters[name].parameter
    pruned = local(parameter.grad if what else parameter).numpy()[~mask]
    return not pruned.any() and not np.signbit(pruned).any()


class Slopes:
    """Scores are gradients."""

    unit = "weight"
    reach = "weight"

    def scores(self, view):
        return view.gradients()


def gradients_are_means(model: nn.Module) -> None:
    """Means over the batches of all ranks; the user's own gradients, hooks and modes are left alone."""
    held, rank, size = opened(model), group.get_rank(), group.get_world_size()
    fired = []
    held.parameters["image.weight"].parameter.register_post_accumulate_grad_hook(fired.append)
    loss(model, batches(7)[0]).backward()
    assert len(fired) == 1
    grown = {name: each.grad for name, each in model.named_parameters() if each.grad is not None}
    mine = {name: local(gradient).clone() for name, gradient in grown.items()}
    with held.guard(PASSED):
        found = held.view(PASSED, data=batches(rank), loss=loss).gradients()
    everyone = [batch for each in range(size) for batch in batches(each)]
    expected = opened(alone()).view(PASSED, data=everyone, loss=loss).gradients()
    for name in PASSED:
        mean = cut(held, name, expected[name].numpy())
        np.testing.assert_allclose(found[name].numpy(), mean, rtol=1e-5, atol=1e-7)
    assert len(fired) == 1 and model.training
    for name, each in model.named_parameters():
        assert (each.grad is None) == (name not in mine)
        if name in mine:
            assert torch.equal(local(each.grad), mine[name])
    loss(model, batches(7)[0]).backward()
    assert len(fired) == 2
    model.set_requires_gradient_sync(False)
    with pytest.raises(pruners.NeedsData, match="without synchronisation"):
        held.view(PASSED, data=batches(), loss=loss).gradients()


def unequal_data_is_noticed() -> None:
    """Every rank hears of it; none goes on alone and hangs."""
    rank = group.get_rank()
    held = opened(networks.pieces())
    with pytest.raises(pruners.RankError, match=r"rank 1 has 1 batches of data and rank 0 more"):
        held.view(PASSED, data=batches(count=1 if rank == 1 else 3), loss=loss).gradients()

    def broken():
        yield batches()[0]
        raise OSError("no such file")

    error, match = (OSError, "no such file") if rank == 1 else (pruners.RankError, "rank 1 could not read")
    with pytest.raises(error, match=match):
        list(held.view(PASSED, data=broken() if rank == 1 else batches(), loss=loss).activations())


def outputs_that_no_rank_has_whole_are_refused() -> None:
    """Tensor parallelism leaves each rank some outputs of a layer; what is cut along its inputs is whole."""
    model = networks.split()
    with pytest.raises(pruners.NeedsData, match=r"of the 12 outputs of 'dense\.weight'.*tensor parallelism"):
        list(opened(model).view(["dense.weight"], data=batches(), loss=loss).activations())
    rule = pruners.Rule("narrow", pruner="taylor", sparsity=0.5)
    assert not pruners.attach(model, rule, data=batches(), loss=loss).masks["narrow.weight"].all()


def layers_that_are_no_blocks_are_refused() -> None:
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard
    from torch.distributed.tensor import DTensor, Partial

    grouped = fully_shard(nn.Sequential(nn.ConvTranspose2d(8, 8, 2, groups=2), nn.Linear(3, 2)))
    held = opened(grouped)
    assert "0.weight" not in held.boxes and "1.weight" in held.boxes
    with pytest.raises(pruners.OptionError, match="'0.weight' belongs to a transposed conv"):
        held.read("0.weight")
    mesh = init_device_mesh("cpu", (group.get_world_size(),))
    layer = nn.Linear(4, 4)
    layer.weight = nn.Parameter(DTensor.from_local(torch.ones(4, 4), mesh, [Partial()]))
    with pytest.raises(pruners.OptionError, match="that are its own; leave it out of the rules"):
        opened(layer).read("weight")


class Vandal:
    """Writes to the weights it is shown."""

    def scores(self, view):
        view.weights["dense.weight"].zero_()


def writing_to_a_piece_is_refused() -> None:
    held = opened(networks.pieces())
    before = held.read("dense.weight").copy()
    if not before.size:
        return
    with pytest.raises(pruners.ReadOnlyError, match=r"would write to 'dense\.weight'"), held.guard(PASSED):
        Vandal().scores(held.view(PASSED))
    with pytest.raises(pruners.ReadOnlyError), held.guard(PASSED), torch.no_grad():
        held.parameters["dense.weight"].parameter.mul_(2)
    assert np.array_equal(held.read("dense.weight"), before)
