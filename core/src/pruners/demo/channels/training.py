"""Dense and pruned training of equal length: the pruned network loses its channels half-way."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator

import torch
from attrs import frozen
from torch import Tensor, nn

import pruners

from ..training import BATCH, Digits, accuracy, learn, sgd, steps_of
from .checking import difference, masked
from .network import ResNet20, Size, count

PRUNER = "taylor"
SPARSITY = 0.5
"""Fraction of all channels that leave; channels that are added to each other count as one."""


@frozen(eq=False)
class Cut:
    """The moment when channels left."""

    step: int
    removal: pruners.Removal
    before: float
    """Accuracy just before."""
    after: float
    """Accuracy just after, before any further training."""
    difference: float
    """Largest difference from the masked network's outputs, relative to the largest, counted anew."""


@frozen(eq=False)
class Run:
    """One finished training."""

    model: nn.Module
    optimizer: torch.optim.Optimizer
    steps: int
    measured: tuple[tuple[int, float], ...]
    """``(step, fraction of held-out images named right)``, the last at the end."""
    size: Size
    cut: Cut | None

    @property
    def accuracy(self) -> tuple[tuple[int, float], ...]:
        """What was measured, with the fall at the removal."""
        if self.cut is None:
            return self.measured
        fall = ((self.cut.step, self.cut.before), (self.cut.step, self.cut.after))
        before = (point for point in self.measured if point[0] < self.cut.step)
        return (*before, *fall, *(point for point in self.measured if point[0] > self.cut.step))

    @property
    def final_accuracy(self) -> float:
        """Fraction of held-out images named right after the last step."""
        return self.measured[-1][1]


def train(data: Digits, *, epochs: int, seed: int, pruned: bool, advance: Callable[[], None]) -> Run:
    """Train one network; dense and pruned start alike and see the same batches in the same order."""
    torch.manual_seed(seed)
    model = ResNet20()
    optimizer = sgd(model)
    steps = steps_of(data, epochs)
    cuts = []

    def after_step(step: int) -> None:
        if pruned and step == steps // 2:
            cuts.append(_cut(model, optimizer, data, step))
        advance()

    measured = learn(model, optimizer, data, steps, after_step)
    size = count(model, data.test_images)
    return Run(model, optimizer, steps, measured, size, cuts[0] if cuts else None)


def _cut(model: nn.Module, optimizer: torch.optim.Optimizer, data: Digits, step: int) -> Cut:
    """Remove channels in place; the optimizer goes on with what is left."""
    before, dense = accuracy(model, data), copy.deepcopy(model)
    removal = pruners.remove(
        model,
        PRUNER,
        sparsity=SPARSITY,
        scope="model",
        data=list(_batches(data)),
        loss=_loss,
        example_inputs=data.train_images[:1],
        optimizer=optimizer,
        measure=0,
    )
    off = difference(masked(dense, removal.plan), model, data.test_images)
    return Cut(step, removal, before, accuracy(model, data), off)


def _batches(data: Digits) -> Iterator[tuple[Tensor, Tensor]]:
    for start in range(0, len(data.train_images), BATCH):
        part = slice(start, start + BATCH)
        yield data.train_images[part], data.train_labels[part]


def _loss(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
    images, labels = batch
    return nn.functional.cross_entropy(model(images), labels)
