"""Prune a network to 90 % while several processes train it together, on handwritten digits.

Run it with: torchrun --nproc-per-node 2 torchrun_prune.py [--sharded] [--backend nccl]
Needs: pip install pruners[torch] scikit-learn

Each process trains on its own share of every batch. By default each holds a copy of the network
(DistributedDataParallel); with --sharded it holds its pieces (fully_shard), and the zeros are found
where they lie.
"""

import argparse
import gc
import os

import torch
import torch.distributed as group
from rich.progress import Progress
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn
from torch.distributed.fsdp import fully_shard
from torch.nn.parallel import DistributedDataParallel

import pruners

BATCH = 64


def main(epochs: int, sharded: bool, backend: str) -> None:
    group.init_process_group(backend)
    train(epochs, sharded, backend)
    gc.collect()  # while a DistributedDataParallel holds the group, gloo's threads outlive it
    group.barrier()
    group.destroy_process_group()


def train(epochs: int, sharded: bool, backend: str) -> None:
    rank, ranks = group.get_rank(), group.get_world_size()
    device = torch.device("cpu")
    if backend == "nccl":
        device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        torch.cuda.set_device(device)

    torch.manual_seed(0)  # the same network and the same order of images on every rank
    pixels, labels = load_digits(return_X_y=True)
    tensors = torch.tensor(pixels / 16).float().to(device), torch.tensor(labels).to(device)
    x, x_test, y, y_test = train_test_split(*tensors, random_state=0)
    model = spread(network().to(device), sharded)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)

    steps = epochs * (len(x) // BATCH)
    schedule = pruners.schedule("agp", start=0, stop=steps // 2, every=4)
    rules = [
        pruners.Rule("*", sparsity=0.9, schedule=schedule, scope="model"),
        pruners.Rule("4", exclude=True),  # the last layer stays dense
    ]
    pruning = pruners.attach(model, rules, optimizer)

    with Progress(disable=rank > 0) as progress:
        training = progress.add_task("dense", total=steps)
        for _ in range(epochs):
            for batch in torch.randperm(len(x)).split(BATCH)[: len(x) // BATCH]:
                mine = batch[rank::ranks].to(device)
                optimizer.zero_grad()
                nn.functional.cross_entropy(model(x[mine]), y[mine]).backward()
                optimizer.step()
                pruning.step()  # on all ranks: together they find the threshold
                told = f"{pruning.log[-1].sparsity:.1%} zeros"
                progress.update(training, advance=1, description=told)

    report = pruning.report()  # on all ranks: each counts its pieces
    pruning.finish()
    with torch.no_grad():
        right = (model(x_test).argmax(1) == y_test).float().mean().item()
    if rank == 0:
        print(report)
        print(f"Accuracy on {len(x_test)} digits it has not seen: {right:.1%}")


def network() -> nn.Sequential:
    return nn.Sequential(nn.Linear(64, 256), nn.ReLU(), nn.Linear(256, 128), nn.ReLU(), nn.Linear(128, 10))


def spread(model: nn.Sequential, sharded: bool) -> nn.Module:
    if not sharded:
        return DistributedDataParallel(model)
    for layer in model:
        if isinstance(layer, nn.Linear):
            fully_shard(layer)
    return fully_shard(model)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--sharded", action="store_true", help="each rank holds pieces, not a copy")
    parser.add_argument("--backend", choices=("gloo", "nccl"), default="gloo")
    options = parser.parse_args()
    main(options.epochs, options.sharded, options.backend)
