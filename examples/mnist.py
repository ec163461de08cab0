"""What `pytorch_mnist.py` and `mxnet_mnist.py` share: all but the framework."""

from __future__ import annotations

import argparse
import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from rich.console import Console
from rich.table import Column, Table
from sklearn.datasets import load_digits

import pruners

TARGETS = {"conv2.weight": 0.75, "dense1.weight": 0.875, "dense2.weight": 0.5}
"""How sparse each parameter gets; what is not named stays dense."""


class Images(NamedTuple):
    """Training and test images (n, 1, side, side), from 0 to 1, and their classes from 0 to 9."""

    x: np.ndarray
    y: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray


def options(framework: str) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=f"Pruning for {framework}, on small grey images.")
    parser.add_argument("--mode", choices=("dense", "sparse"), default="dense")
    parser.add_argument("--data", type=Path, help="folder with MNIST or Fashion-MNIST; else small digits")
    parser.add_argument("--steps", type=int, default=400, help="of the training that keeps zeros")
    parser.add_argument("--pretrain", type=int, default=100, help="steps before the first zeros")
    parser.add_argument("--sparse", type=int, default=200, help="steps until all zeros are there")
    parser.add_argument("--frequency", type=int, default=20, help="steps from one pruning to the next")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


def rule(asked: argparse.Namespace) -> pruners.Rule:
    """Return what is pruned how: balanced banks, each parameter to its own end, step by step."""
    ramp = pruners.schedule("moffett", pretrain=asked.pretrain, sparse=asked.sparse, every=asked.frequency)
    return pruners.Rule(sparsity=TARGETS, pruner="level", pattern="bank", schedule=ramp)


def rule_at_once() -> pruners.Rule:
    """Return the same without steps."""
    return pruners.Rule(sparsity=TARGETS, pruner="level", pattern="bank")


def images(folder: Path | None) -> Images:
    """Return the images in a folder, or those that come with scikit-learn."""
    if folder is None:
        return digits()
    x, x_test = (_idx(folder, f"{part}-images-idx3-ubyte", 16) for part in ("train", "t10k"))
    y, y_test = (_idx(folder, f"{part}-labels-idx1-ubyte", 8) for part in ("train", "t10k"))
    return Images(
        _scaled(x.reshape(len(y), 28, 28), 255), y, _scaled(x_test.reshape(len(y_test), 28, 28), 255), y_test
    )


def _idx(folder: Path, name: str, header: int) -> np.ndarray:
    path = folder / name
    data = path.read_bytes() if path.exists() else gzip.decompress((folder / f"{name}.gz").read_bytes())
    return np.frombuffer(data, np.uint8, offset=header)


def _scaled(x: np.ndarray, largest: int) -> np.ndarray:
    return (x[:, None] / largest).astype(np.float32)


def digits(side: int = 8) -> Images:
    """Return the handwritten digits of scikit-learn, 8 x 8, enlarged where larger ones are wanted."""
    x, y = load_digits(return_X_y=True)
    x = _scaled(x.reshape(-1, 8, 8), 16).repeat(side // 8, axis=2).repeat(side // 8, axis=3)
    edge = (side - x.shape[2]) // 2
    x = np.pad(x, ((0, 0), (0, 0), (edge, edge), (edge, edge)))
    return Images(x[:1400], y[:1400], x[1400:], y[1400:])


def two_data_sets(folder: Path | None) -> tuple[Images, Images]:
    """Return digits, and what a network that knows them learns next: other images, or their negatives."""
    if folder is None:
        first = digits()
        return first, first._replace(x=1 - first.x, x_test=1 - first.x_test)
    new = images(folder)
    return digits(new.x.shape[-1]), new


def batches(data: Images, asked: argparse.Namespace, steps: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield as many batches as there are steps, in an order that depends on the seed alone."""
    draw = np.random.default_rng(asked.seed)
    for _ in range(steps):
        chosen = draw.integers(0, len(data.y), asked.batch)
        yield data.x[chosen], data.y[chosen]


def weights(side: int, seed: int) -> dict[str, np.ndarray]:
    """Return the numbers that training begins with: in every framework the same."""
    draw = np.random.default_rng(seed)
    flat = 64 * (side // 4) ** 2
    shapes = {"conv1": (32, 1, 3, 3), "conv2": (64, 32, 3, 3), "dense1": (128, flat), "dense2": (10, 128)}
    found = {}
    for name, shape in shapes.items():
        spread = np.sqrt(2 / np.prod(shape[1:]))
        found[f"{name}.weight"] = draw.normal(0, spread, shape).astype(np.float32)
        found[f"{name}.bias"] = np.zeros(shape[0], np.float32)
    return found


def show(model: object, accuracies: dict[str, float]) -> None:
    """Print how sparse each layer is and was to be, and how well the network does."""
    table = Table(
        "layer", "shape", *(Column(name, justify="right") for name in ("target", "zeros", "sparsity"))
    )
    report = pruners.report(model)
    for row in report.rows:
        shape = " x ".join(map(str, row.shape))
        target = f"{TARGETS[row.name]:.1%}" if row.name in TARGETS else "dense"
        table.add_row(row.name, shape, target, f"{row.zeros:,}", f"{row.sparsity:.1%}")
    table.add_row("all", "", "", f"{report.zeros:,}", f"{report.sparsity:.1%}", end_section=True)
    for name, accuracy in accuracies.items():
        table.add_row(f"accuracy {name}", "", "", "", f"{accuracy:.1%}")
    Console().print(table)
