"""A session over NCCL, on one graphics card: what moves between ranks moves on the device."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.distributed as group
from pruners_torch._peers import TorchPeers
from torch.distributed.fsdp import fully_shard
from torch.nn.parallel import DistributedDataParallel

import pruners

from .networks import PASSED, Network, batches, loss

pytestmark = [
    pytest.mark.skipif(
        not (torch.cuda.is_available() and group.is_nccl_available()),
        reason="needs a graphics card of NVIDIA and NCCL",
    ),
    pytest.mark.filterwarnings("ignore"),
]


@pytest.fixture
def nccl(tmp_path):
    torch.cuda.set_device(0)
    group.init_process_group("nccl", init_method=f"file://{tmp_path}/store", rank=0, world_size=1)
    yield
    group.destroy_process_group()


def test_exchanges(nccl):
    peers = TorchPeers()
    assert peers.sum(np.array([3, -(2**60)])).tolist() == [3, -(2**60)]
    assert [each.tolist() for each in peers.gather(np.array([1.5, 2.0]))] == [[1.5, 2.0]]
    assert [each.tolist() for each in peers.exchange([np.array([7], np.uint8)])] == [[7]]


@pytest.mark.parametrize("wrap", [DistributedDataParallel, fully_shard], ids=["copies", "pieces"])
def test_training(nccl, wrap):
    rule = pruners.Rule(
        list(PASSED), sparsity=0.8, schedule=pruners.schedule("agp", start=0, stop=4), scope="model"
    )
    found = []
    for spread in (False, True):
        network = Network().cuda()
        del network.halves, network.wider
        model = wrap(network) if spread else network
        optimizer = torch.optim.AdamW(model.parameters(), 0.01)
        pruning = pruners.attach(model, rule, optimizer, mask_gradients=True)
        for images, labels in batches(count=4):
            optimizer.zero_grad()
            loss(model, (images.cuda(), labels.cuda())).backward()
            optimizer.step()
            pruning.step()
        found.append((pruning.log, {name: mask.cpu() for name, mask in pruning.masks.items()}))
    assert found[0][0] == found[1][0] and found[0][0][-1].sparsity == pytest.approx(0.8, abs=1e-3)
    assert all(torch.equal(mask, found[1][1][name]) for name, mask in found[0][1].items())
