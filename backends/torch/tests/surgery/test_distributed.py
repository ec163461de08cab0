"""Removal under DistributedDataParallel, between iterations: two processes, gloo."""

from __future__ import annotations

import copy
import gc
import os
import warnings

import numpy as np
import pytest
import torch
import torch.distributed as group
from pruners_torch import surgery
from pruners_torch.tracing import trace
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from pruners import ProofError, RemovalError
from pruners.structure.plan import RemovalPlan

torch.set_num_threads(1)

KEPT = {12: [0, 2, 3, 7, 11], 20: [1, 4, 5, 6, 10, 13, 19]}


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 12, 3, padding=1),
        nn.BatchNorm2d(12),
        nn.ReLU(),
        nn.Conv2d(12, 20, 3, padding=1),
        nn.BatchNorm2d(20),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(20, 4),
    )


def cut(model, kept=None, wrong=(), **options):
    """Keep these coordinates of every axis of that length; all but one of some tensors are others."""
    indices = {length: np.array(keep) for length, keep in (kept or KEPT).items()}
    x = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(3))
    programs = trace(model, x, literals=False).programs
    plan: dict[str, dict[int, np.ndarray]] = {}
    for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
        for axis, length in enumerate(tensor.shape):
            if length in indices:
                plan.setdefault(name, {})[axis] = indices[length]
    for name in wrong:
        plan[name] = {0: np.arange(7)}
    return surgery.remove(
        model,
        x,
        programs,
        RemovalPlan(plan),
        lambda mode, value: tuple(indices.get(n) for n in programs[mode].shapes[value]),
        **options,
    )


def steps(wrapped, optimizer, rank, count, seed=0, whole=False):
    """Train on this rank's half of each batch, or on all of it; return the losses."""
    generator = torch.Generator().manual_seed(seed)
    losses = []
    for _ in range(count):
        x, y = torch.randn(8, 3, 8, 8, generator=generator), torch.randint(4, (8,), generator=generator)
        part = slice(None) if whole else slice(rank * 4, rank * 4 + 4)
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(wrapped(x[part]), y[part])
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def alike(model) -> None:
    """Check that parameters are the same on both ranks, to the last bit."""
    for name, tensor in model.named_parameters():
        tensor = tensor.detach()
        ranks = [torch.empty_like(tensor) for _ in range(2)]
        group.all_gather(ranks, tensor)
        assert torch.equal(*ranks), name


def frozen_norms(model):
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()
    return model


def trains_on(rank: int) -> None:
    """Cut between iterations: training goes on as it would without ranks, on the whole batch."""
    for options in ({}, {"gradient_as_bucket_view": True}, {"static_graph": True}, {"bucket_cap_mb": 0.001}):
        model = network()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
        wrapped = DistributedDataParallel(model, **options)
        frozen_norms(wrapped)
        single = copy.deepcopy(model)
        alone = torch.optim.SGD(single.parameters(), lr=0.05, momentum=0.9)
        steps(wrapped, optimizer, rank, 3)
        steps(single, alone, rank, 3, whole=True)
        cut(model, optimizer=optimizer)
        cut(single, optimizer=alone)
        assert model[8].weight.shape == (4, 7) and not model[1].training
        alike(model)
        steps(wrapped, optimizer, rank, 5, seed=1)
        steps(single, alone, rank, 5, seed=1, whole=True)
        alike(model)
        for own, other in zip(model.parameters(), single.parameters(), strict=True):
            torch.testing.assert_close(own, other, rtol=1e-4, atol=1e-5)
        again = {5: [0, 1, 4], 7: [2, 3, 5]}
        cut(model, again, optimizer=optimizer)
        steps(wrapped, optimizer, rank, 2, seed=2)
        alike(model)


def keeps_communication_hooks(rank: int) -> None:
    """A hook that compresses gradients is still asked."""
    model, called = network(), []
    wrapped = DistributedDataParallel(model)

    def hook(state, bucket):
        called.append(bucket.buffer().numel())
        return (
            group.all_reduce(bucket.buffer().div_(2), async_op=True).get_future().then(lambda f: f.value()[0])
        )

    wrapped.register_comm_hook(None, hook)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    steps(wrapped, optimizer, rank, 1)
    before = sum(called)
    called.clear()
    cut(model, optimizer=optimizer)
    steps(wrapped, optimizer, rank, 1)
    assert 0 < sum(called) == sum(p.numel() for p in model.parameters()) < before
    alike(model)


def fails_together(rank: int) -> None:
    """One rank's proof fails: both are put back, and both train on."""
    model = network()
    wrapped = DistributedDataParallel(model)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    steps(wrapped, optimizer, rank, 2)
    before = copy.deepcopy(model.state_dict())
    match = "first to differ" if rank == 1 else "rank 1 could not make its model smaller"
    with pytest.raises(ProofError, match=match):
        cut(model, wrong=["4.bias"] if rank == 1 else [], optimizer=optimizer)
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    with pytest.raises(RemovalError, match="ranks were about to remove different channels"):
        cut(model, {12: [0, 1 + rank]}, optimizer=optimizer)
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    steps(wrapped, optimizer, rank, 3)
    alike(model)
    cut(model, optimizer=optimizer)
    steps(wrapped, optimizer, rank, 3)
    alike(model)


def refuses_wrappers_with_memory_of_their_own(rank: int) -> None:
    """Copies of parameters, or a buffer for gradients, made when wrapping."""
    from torch.nn.parallel.distributed import _MixedPrecision

    wrapper = DistributedDataParallel(network())
    wrapper.mixed_precision = _MixedPrecision()
    with pytest.raises(RemovalError, match=r"DistributedDataParallel\(mixed_precision=...\) holds memory"):
        cut(wrapper.module)
    wrapper = DistributedDataParallel(
        model := network(),
        delay_all_reduce_named_params=[
            (name, each) for name, each in model.named_parameters() if name.startswith("0.")
        ],
        param_to_hook_all_reduce=model[3].weight,
    )
    with pytest.raises(RemovalError, match=r"delay_all_reduce_named_params=...\) holds memory"):
        cut(wrapper.module)


SCENES = [trains_on, keeps_communication_hooks, fails_together, refuses_wrappers_with_memory_of_their_own]


def _rank(rank: int, store: str) -> None:
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    group.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=2)
    for scene in SCENES:
        scene(rank)
        gc.collect()
    group.destroy_process_group()


@pytest.mark.slow
def test_two_ranks(tmp_path):
    """All scenes, one after the other, in two processes of their own."""
    torch.multiprocessing.spawn(_rank, args=(str(tmp_path / "store"),), nprocs=2)
