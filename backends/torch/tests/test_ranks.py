"""Channel removal on several ranks: scores are averaged, so that every rank removes the same channels."""

from __future__ import annotations

import gc
import os
import warnings

import numpy as np
import pytest
import torch
import torch.distributed as group
from pruners_torch._peers import TorchPeers, peers
from torch import nn
from torch.nn.functional import cross_entropy
from torch.nn.parallel import DistributedDataParallel

import pruners
from pruners.sharding.averaging import averaged

torch.set_num_threads(1)
RANKS = 2


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 12, 3, padding=1),
        nn.BatchNorm2d(12),
        nn.ReLU(),
        nn.Conv2d(12, 16, 3, padding=1),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(16, 4),
    )


def batches(rank: int) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Data of its own for every rank."""
    generator = torch.Generator().manual_seed(10 + rank)
    images = torch.randn(3, 8, 3, 8, 8, generator=generator) * (1 + rank)
    labels = torch.randint(4, (3, 8), generator=generator)
    return list(zip(images, labels, strict=True))


def loss(model: nn.Module, batch: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
    return cross_entropy(model(batch[0]), batch[1])


def kept(rank: int, **options: object) -> dict[str, list[int]]:
    """Return the channels that `taylor` keeps of this rank's data."""
    removal = pruners.remove(
        network(),
        "taylor",
        sparsity=0.5,
        example_inputs=torch.ones(1, 3, 8, 8),
        data=batches(rank),
        loss=loss,
        measure=0,
        **options,
    )
    return {name: axes[0].tolist() for name, axes in removal.plan.kept.items() if 0 in axes}


def gathered(mine: object) -> list[object]:
    everywhere: list[object] = [None] * RANKS
    group.all_gather_object(everywhere, mine)
    return everywhere


def ranks_agree(rank: int) -> None:
    together = kept(rank)
    assert together == gathered(together)[0] == gathered(together)[1]
    assert kept(rank, distributed=True) == together


def ranks_left_alone_differ(rank: int) -> None:
    """Their data are so different that the test above could fail."""
    one, other = gathered(pruners.scores(network(), "taylor", data=batches(rank), loss=loss))
    assert not np.allclose(one["0.weight"], other["0.weight"])


def the_average_is_the_average(rank: int) -> None:
    mine = {"a": np.arange(3.0) + rank, "b": np.array([[0.1, 0.2]]) * (rank + 1)}
    found = averaged(TorchPeers(), mine)
    np.testing.assert_array_equal(found["a"], np.arange(3.0) + 0.5)
    np.testing.assert_allclose(found["b"], [[0.15, 0.3]], rtol=1e-15)


def different_models_are_refused(rank: int) -> None:
    with pytest.raises(pruners.ScoreError, match="every rank must hold the same model"):
        averaged(TorchPeers(), {"a": np.zeros(3 + rank)})


def training_goes_on(rank: int) -> None:
    """Under the wrapper, between iterations, with each rank's own data: the ranks stay equal."""
    wrapper = DistributedDataParallel(network())
    optimizer = torch.optim.SGD(wrapper.parameters(), lr=0.05, momentum=0.9)
    for step in range(4):
        if step == 2:
            pruners.remove(
                wrapper,
                "taylor",
                sparsity=0.5,
                example_inputs=torch.ones(1, 3, 8, 8),
                data=batches(rank),
                loss=loss,
                optimizer=optimizer,
                measure=0,
            )
        optimizer.zero_grad()
        loss(wrapper, batches(rank)[step % 3]).backward()
        optimizer.step()
    assert wrapper.module[0].weight.shape[0] == 6
    for parameter in wrapper.parameters():
        parts = [torch.empty_like(parameter) for _ in range(RANKS)]
        group.all_gather(parts, parameter.detach().contiguous())
        assert torch.equal(parts[0], parts[1])


def repairs_are_the_same(rank: int) -> None:
    """ThiNet repairs what remains by least squares on each rank's own data."""
    model = network()
    before = model[3].weight.detach().clone()
    removal = pruners.remove(
        model,
        "thinet",
        sparsity=0.5,
        example_inputs=torch.ones(1, 3, 8, 8),
        data=batches(rank),
        loss=loss,
        measure=0,
    )
    axes = removal.plan.kept["3.weight"]
    assert not torch.equal(model[3].weight, before[axes[0]][:, axes[1]])
    one, other = gathered(model[3].weight.detach().numpy())
    np.testing.assert_array_equal(one, other)


SCENES = [
    the_average_is_the_average,
    different_models_are_refused,
    ranks_left_alone_differ,
    ranks_agree,
    repairs_are_the_same,
    training_goes_on,
]


def _rank(rank: int, store: str) -> None:
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    group.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=RANKS)
    for scene in SCENES:
        scene(rank)
    gc.collect()  # a wrapper in a cycle holds the group, whose threads must end before the interpreter does
    group.barrier()  # no rank leaves while another still talks to it
    group.destroy_process_group()


def test_two_ranks(tmp_path):
    """All scenes, one after the other, in two processes of their own."""
    torch.multiprocessing.spawn(_rank, args=(str(tmp_path / "store"),), nprocs=RANKS)


def test_one_rank_alone():
    assert peers() is None
    with pytest.raises(pruners.OptionError, match="no process group"):
        kept(0, distributed=True)
