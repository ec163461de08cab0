"""Prune a PyTorch network while it trains, or fine-tune a sparse one on other images.

Run it with: python pytorch_mnist.py --mode dense
         or: python pytorch_mnist.py --mode sparse --data FOLDER
Needs: pip install pruners[torch] scikit-learn
"""

import mnist
import torch
from torch import nn
from torch.nn import functional

import pruners


class Network(nn.Module):
    def __init__(self, side):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 32, 3, padding=1)
        self.conv2 = nn.Conv2d(32, 64, 3, padding=1)
        self.dense1 = nn.Linear(64 * (side // 4) ** 2, 128)
        self.dense2 = nn.Linear(128, 10)

    def forward(self, x):
        x = functional.max_pool2d(self.conv1(x).relu(), 2)
        x = functional.max_pool2d(self.conv2(x).relu(), 2)
        return self.dense2(self.dense1(x.flatten(1)).relu())


def build(side, seed):
    network = Network(side)
    network.load_state_dict({name: torch.from_numpy(w) for name, w in mnist.weights(side, seed).items()})
    return network


def optimizer_of(network):
    return torch.optim.SGD(network.parameters(), lr=0.05, momentum=0.9)


def train_step(network, optimizer, x, y):
    optimizer.zero_grad()
    functional.cross_entropy(network(torch.from_numpy(x)), torch.from_numpy(y).long()).backward()
    optimizer.step()


@torch.no_grad()
def accuracy(network, data):
    parts = torch.from_numpy(data.x_test).split(500)
    found = torch.cat([network(x).argmax(1) for x in parts])
    return float((found.numpy() == data.y_test).mean())


def prune_dense(asked):
    """Train a network, and prune it step by step from the step `pretrain` on."""
    data = mnist.images(asked.data)
    network = build(data.x.shape[-1], asked.seed)
    optimizer = optimizer_of(network)
    accuracies = {}

    pruning = pruners.attach(network, mnist.rule(asked), optimizer)
    for step, (x, y) in enumerate(mnist.batches(data, asked, asked.steps), 1):
        train_step(network, optimizer, x, y)
        pruning.step()  # after each optimizer step
        if step == asked.pretrain:
            accuracies["before pruning"] = accuracy(network, data)
    pruning.finish()  # an ordinary network again; its zeros stay where they are

    mnist.show(network, accuracies | {"in the end": accuracy(network, data)})
    return network


def tune_sparse(asked):
    """Take a network that is sparse already, and train it on new images with its zeros kept."""
    old, new = mnist.two_data_sets(asked.data)
    network = build(old.x.shape[-1], asked.seed)
    optimizer = optimizer_of(network)
    for x, y in mnist.batches(old, asked, asked.pretrain):
        train_step(network, optimizer, x, y)
    pruners.prune(network, mnist.rule_at_once())
    accuracies = {"on new images": accuracy(network, new)}

    optimizer = optimizer_of(network)
    pruning = pruners.attach(network, keep="zeros", optimizer=optimizer)
    for x, y in mnist.batches(new, asked, asked.steps):
        train_step(network, optimizer, x, y)
        pruning.step()
    pruning.finish()

    mnist.show(network, accuracies | {"in the end": accuracy(network, new)})
    return network


def main():
    asked = mnist.options("PyTorch")
    return prune_dense(asked) if asked.mode == "dense" else tune_sparse(asked)


if __name__ == "__main__":
    main()
