"""What the demo trains: a small convolutional network on scikit-learn's handwritten digits."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

import numpy as np
import torch
from attrs import frozen
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import Tensor, nn

import pruners

BANK = 64
SPARSITY = 58 / BANK
"""Asked of every layer with banks: 6 of 64 weights stay, which makes 90 % of the whole network."""
BATCH = 64
RATE = 0.05
HELD_OUT = 450
POINTS = 21
"""About so many times a run's accuracy is measured on the way."""


@frozen(eq=False)
class Digits:
    """8x8 grey images of handwritten digits, 1347 to train on and 450 held out."""

    train_images: Tensor
    train_labels: Tensor
    test_images: Tensor
    test_labels: Tensor


@frozen(eq=False)
class Run:
    """One finished training."""

    model: nn.Module
    steps: int
    accuracy: tuple[tuple[int, float], ...]
    """``(step, fraction of held-out images named right)``, the last at the end."""
    pruning: pruners.Pruning | None
    """The session, for the pruned network."""

    @property
    def final_accuracy(self) -> float:
        """Fraction of held-out images named right after the last step."""
        return self.accuracy[-1][1]

    @property
    def masks(self) -> dict[str, np.ndarray]:
        """The masks of the pruned layers, True where kept; none for the dense network."""
        if self.pruning is None:
            return {}
        pruned = (item for item in self.pruning.masks.items() if item[0] not in self.skipped)
        return {name: mask.numpy() for name, mask in pruned}

    @property
    def skipped(self) -> dict[str, str]:
        """Layers that stay dense because banks do not fit, and why."""
        return {} if self.pruning is None else self.pruning.skipped


def load_data() -> Digits:
    """Return the digits, split the same way every time; nothing is downloaded."""
    pixels, labels = load_digits(return_X_y=True)
    images = torch.tensor(pixels / 16, dtype=torch.float32).reshape(-1, 1, 8, 8)
    train, test = train_test_split(range(len(labels)), test_size=HELD_OUT, stratify=labels, random_state=0)
    classes = torch.tensor(labels)
    return Digits(images[train], classes[train], images[test], classes[test])


def network() -> nn.Sequential:
    """Return three convolutions and a linear layer; all but the first read whole banks of inputs."""
    layers: dict[str, nn.Module] = {
        "conv1": nn.Conv2d(1, BANK, 3, padding=1),
        "norm1": nn.BatchNorm2d(BANK),
        "relu1": nn.ReLU(),
        "pool1": nn.MaxPool2d(2),
        "conv2": nn.Conv2d(BANK, BANK, 3, padding=1),
        "norm2": nn.BatchNorm2d(BANK),
        "relu2": nn.ReLU(),
        "conv3": nn.Conv2d(BANK, 2 * BANK, 3, padding=1),
        "norm3": nn.BatchNorm2d(2 * BANK),
        "relu3": nn.ReLU(),
        "pool3": nn.MaxPool2d(2),
        "flatten": nn.Flatten(),
        "fc": nn.Linear(2 * BANK * 2 * 2, 10),
    }
    return nn.Sequential(OrderedDict(layers))


def rule(steps: int) -> pruners.Rule:
    """Return the demo's one rule: AGP over the first half of the steps, zeros in banks."""
    every = max(1, steps // 40)
    start = steps // 20
    ramp = pruners.schedule("agp", start=start, stop=start + every * (steps // 2 // every), every=every)
    return pruners.Rule("*", pruner="level", sparsity=SPARSITY, schedule=ramp, pattern="bank")


def train(data: Digits, *, seed: int, epochs: int, pruned: bool, advance: Callable[[], None]) -> Run:
    """Train one network; dense and pruned start alike and see the same batches in the same order."""
    torch.manual_seed(seed)
    model = network()
    optimizer = sgd(model)
    steps = steps_of(data, epochs)
    pruning = pruners.attach(model, rule(steps), optimizer) if pruned else None

    def after_step(step: int) -> None:
        if pruning is not None:
            pruning.step()
        advance()

    def after_test(found: float) -> None:
        if pruning is not None:
            pruning.record(accuracy=found)

    return Run(model, steps, learn(model, optimizer, data, steps, after_step, after_test), pruning)


def sgd(model: nn.Module) -> torch.optim.Optimizer:
    """Return the optimizer of every network here."""
    return torch.optim.SGD(model.parameters(), lr=RATE, momentum=0.9, nesterov=True, weight_decay=5e-4)


def learn(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    data: Digits,
    steps: int,
    after_step: Callable[[int], None],
    after_test: Callable[[float], None] = lambda found: None,
) -> tuple[tuple[int, float], ...]:
    """
    Train and return the accuracy on the way.

    `after_step` is called with 1, 2, ... after each update, `after_test` with each accuracy.
    """
    rate = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=RATE, total_steps=steps)
    found = []
    for step, (images, labels) in enumerate(islice(_batches(data), steps), start=1):
        model.train()
        optimizer.zero_grad()
        loss: Any = nn.functional.cross_entropy(model(images), labels)
        loss.backward()
        optimizer.step()
        after_step(step)
        rate.step()
        if step % max(1, steps // POINTS) == 0 or step == steps:
            found.append((step, accuracy(model, data)))
            after_test(found[-1][1])
    return tuple(found)


def steps_of(data: Digits, epochs: int) -> int:
    """Return the optimizer steps in so many passes over the training images."""
    return epochs * (len(data.train_images) // BATCH)


def _batches(data: Digits) -> Iterator[tuple[Tensor, Tensor]]:
    while True:
        order: Any = torch.randperm(len(data.train_images))
        for batch in order.split(BATCH)[: len(order) // BATCH]:
            yield data.train_images[batch], data.train_labels[batch]


def accuracy(model: nn.Module, data: Digits) -> float:
    """Return the fraction of held-out images named right."""
    model.eval()
    with torch.inference_mode():
        right: Any = model(data.test_images).argmax(1) == data.test_labels
    return float(right.float().mean())
