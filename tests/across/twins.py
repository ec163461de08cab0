"""The same small networks in PyTorch and in Gluon, with the same numbers, and the same data for both."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mxnet
import numpy as np
import torch
from attrs import frozen
from mxnet import gluon
from mxnet.gluon import nn as gnn
from torch import nn

SIDE = 10
CLASSES = 5


@frozen(eq=False)
class Twins:
    """One network on both frameworks, with what runs it."""

    torch: nn.Module
    mxnet: gluon.Block

    def outputs(self) -> tuple[np.ndarray, np.ndarray]:
        """Return what both give for the first batch, in evaluation mode."""
        x, _ = batches()[0]
        with torch.no_grad():
            one = self.torch.eval()(torch.from_numpy(x)).numpy()
        return one, self.mxnet(mxnet.nd.array(x, dtype=x.dtype)).asnumpy()


def batches() -> list[tuple[np.ndarray, np.ndarray]]:
    """Return three batches of images (batch, 3, row, column), float64, and labels."""
    draw = np.random.default_rng(5)
    return [(draw.normal(size=(8, 3, SIDE, SIDE)), draw.integers(0, CLASSES, 8)) for _ in range(3)]


def torch_data() -> list[Any]:
    """Return the batches as tensors."""
    return [(torch.from_numpy(x), torch.from_numpy(y)) for x, y in batches()]


def mxnet_data() -> list[Any]:
    """Return the batches as MXNet's arrays."""
    return [(mxnet.nd.array(x, dtype=x.dtype), mxnet.nd.array(y)) for x, y in batches()]


def torch_loss(model: nn.Module, batch: Any) -> Any:
    """Return the cross entropy."""
    return nn.functional.cross_entropy(model(batch[0]), batch[1])


def mxnet_loss(model: gluon.Block, batch: Any) -> Any:
    """Return the cross entropy."""
    return gluon.loss.SoftmaxCrossEntropyLoss()(model(batch[0]), batch[1]).mean()


def plain() -> Twins:
    """Two convolutions, one normalised, and a classifier."""
    one = nn.Sequential(
        nn.Conv2d(3, 12, 3, padding=1), nn.BatchNorm2d(12), nn.ReLU(), nn.Conv2d(12, 10, 3, stride=2),
        nn.ReLU(), nn.Flatten(), nn.Linear(160, 16), nn.ReLU(), nn.Linear(16, CLASSES),
    )  # fmt: skip
    other = gnn.HybridSequential()
    other.add(
        gnn.Conv2D(12, 3, padding=1, in_channels=3), gnn.BatchNorm(in_channels=12), gnn.Activation("relu"),
        gnn.Conv2D(10, 3, strides=2, in_channels=12), gnn.Activation("relu"), gnn.Flatten(),
        gnn.Dense(16, in_units=160), gnn.Activation("relu"), gnn.Dense(CLASSES, in_units=16),
    )  # fmt: skip
    return same_numbers(one, other)


def normalised() -> Twins:
    """Two convolutions, both normalised, and a classifier."""
    one = nn.Sequential(
        nn.Conv2d(3, 12, 3, padding=1), nn.BatchNorm2d(12), nn.ReLU(), nn.Conv2d(12, 10, 3, stride=2),
        nn.BatchNorm2d(10), nn.ReLU(), nn.Flatten(), nn.Linear(160, CLASSES),
    )  # fmt: skip
    other = gnn.HybridSequential()
    other.add(
        gnn.Conv2D(12, 3, padding=1, in_channels=3), gnn.BatchNorm(in_channels=12), gnn.Activation("relu"),
        gnn.Conv2D(10, 3, strides=2, in_channels=12), gnn.BatchNorm(in_channels=10), gnn.Activation("relu"),
        gnn.Flatten(), gnn.Dense(CLASSES, in_units=160),
    )  # fmt: skip
    return same_numbers(one, other)


class TorchResidual(nn.Module):
    """A stem, a residual branch with a depthwise convolution, and a classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.norm = nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8)
        self.deep, self.inner = nn.Conv2d(8, 8, 3, padding=1, groups=8), nn.BatchNorm2d(8)
        self.wide, self.last = nn.Conv2d(8, 8, 1), nn.Linear(8, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.norm(self.stem(x)))
        x = torch.relu(x + self.wide(torch.relu(self.inner(self.deep(x)))))
        return self.last(x.mean((2, 3)))


class GluonResidual(gluon.HybridBlock):
    """The same."""

    def __init__(self) -> None:
        super().__init__()
        with self.name_scope():
            self.stem = gnn.Conv2D(8, 3, padding=1, use_bias=False, in_channels=3)
            self.norm = gnn.BatchNorm(in_channels=8)
            self.deep = gnn.Conv2D(8, 3, padding=1, groups=8, in_channels=8)
            self.inner = gnn.BatchNorm(in_channels=8)
            self.wide, self.last = gnn.Conv2D(8, 1, in_channels=8), gnn.Dense(CLASSES, in_units=8)

    def hybrid_forward(self, F: Any, x: Any) -> Any:
        x = F.relu(self.norm(self.stem(x)))
        x = F.relu(x + self.wide(F.relu(self.inner(self.deep(x)))))
        return self.last(F.mean(x, axis=(2, 3)))


def residual() -> Twins:
    """A residual branch with a depthwise convolution."""
    return same_numbers(TorchResidual(), GluonResidual())


NETWORKS: dict[str, Callable[[], Twins]] = {"plain": plain, "normalised": normalised, "residual": residual}


def common(name: str) -> str:
    """Return a parameter's name as PyTorch has it."""
    owner, _, attribute = name.rpartition(".")
    return f"{owner}.{ {'gamma': 'weight', 'beta': 'bias'}.get(attribute, attribute) }".lstrip(".")


def same_numbers(one: nn.Module, other: gluon.Block) -> Twins:
    """Put random numbers into both networks, in float64."""
    draw = np.random.default_rng(3)
    one = one.double()
    other.initialize()
    other.cast("float64")
    tensors = dict([*one.named_parameters(), *one.named_buffers()])
    for name, parameter in other._collect_params_with_prefix().items():
        tensor = tensors[common(name)]
        positive = name.endswith(("gamma", "running_var"))
        values = draw.uniform(0.5, 1.5, tensor.shape) if positive else draw.normal(0, 0.3, tensor.shape)
        parameter.set_data(mxnet.nd.array(values, dtype="float64"))
        with torch.no_grad():
            tensor.copy_(torch.from_numpy(values))
    return Twins(one.eval(), other)
