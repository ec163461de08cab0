"""What keeping zeros costs per training step on MXNet, beside plain training and masks by hand.

    python benchmarks/mask_step_mxnet.py [--rounds N] [--image SIDE ...] [--no-write]

Gluon's ResNet-18 at batch 64, on images of the size it was made for and on very small ones: a step then takes
little, and masks cost the same, so that is the hard case. "By hand" multiplies every weight by a mask after
each step, as scripts for MXNet do. Every way trains in turn in one process, one thread, by CPU time of the
process; figures are medians over rounds, each round's ratio taken against the plain step of the same round.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import click
import mxnet
import numpy as np
from measuring import Columns, record
from mxnet import autograd, gluon
from mxnet.gluon.model_zoo import vision
from rich.console import Console
from rich.table import Table

import pruners

SPARSITY = 0.9
BATCH = 64
Way = Callable[[gluon.Block, gluon.Trainer], Callable[[], None]]


def plain(net: gluon.Block, trainer: gluon.Trainer) -> Callable[[], None]:
    """Train dense."""
    return lambda: None


def ours(net: gluon.Block, trainer: gluon.Trainer) -> Callable[[], None]:
    """Keep masks in place after the step."""
    return pruners.attach(net, pruners.Rule(sparsity=SPARSITY), trainer).step


def ours_gradients(net: gluon.Block, trainer: gluon.Trainer) -> Callable[[], None]:
    """Keep masks in place and mask gradients too."""
    return pruners.attach(net, pruners.Rule(sparsity=SPARSITY), trainer, mask_gradients=True).step


def by_hand(net: gluon.Block, trainer: gluon.Trainer) -> Callable[[], None]:
    """Multiply every weight by its mask."""
    masks = [
        (each, mxnet.nd.array(mask, dtype="float32"))
        for each, mask in zip(weights(net), map(chosen, weights(net)), strict=True)
    ]

    def multiply() -> None:
        for each, mask in masks:
            each.set_data(each.data() * mask)

    return multiply


WAYS: dict[str, Way] = {
    "plain": plain, "pruners": ours, "pruners, gradients too": ours_gradients, "by hand": by_hand
}  # fmt: skip


def weights(net: gluon.Block) -> list[gluon.Parameter]:
    """Return the weights of convolutions and dense layers."""
    return list(net.collect_params(".*weight").values())


def chosen(parameter: gluon.Parameter) -> np.ndarray:
    """Return a mask that keeps the larger tenth."""
    size = np.abs(parameter.data().asnumpy())
    return size > np.quantile(size, SPARSITY)


class Run:
    """One way of training one net, one step at a time."""

    def __init__(self, way: Way, side: int) -> None:
        mxnet.random.seed(0)
        self.x = mxnet.nd.random.normal(shape=(BATCH, 3, side, side))
        self.y = mxnet.nd.array(np.arange(BATCH) % 10)
        self.net = vision.resnet18_v1(classes=10)
        self.net.initialize(mxnet.init.Xavier())
        self.net(self.x[:1])
        self.net.hybridize()
        options = {"learning_rate": 1e-3, "momentum": 0.9, "wd": 1e-4}
        self.trainer = gluon.Trainer(self.net.collect_params(), "sgd", options)
        self.loss = gluon.loss.SoftmaxCrossEntropyLoss()
        self.after = way(self.net, self.trainer)

    def step(self) -> float:
        """Train one step, to the end of its work; return its seconds of CPU time."""
        start = time.process_time()
        with autograd.record():
            loss = self.loss(self.net(self.x), self.y)
        loss.backward()
        self.trainer.step(BATCH)
        self.after()
        mxnet.nd.waitall()
        return time.process_time() - start


def measure(side: int, rounds: int) -> list[dict[str, Any]]:
    """Train every way in turn; return one row per way."""
    runs = {name: Run(way, side) for name, way in WAYS.items()}
    for run in runs.values():
        run.step()
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            times[name].append(run.step())
    base = times["plain"]
    return [
        {
            "case": f"Gluon ResNet-18 v1, batch {BATCH}, {side}x{side}",
            "way": name,
            "step ms": statistics.median(times[name]) * 1e3,
            "step / plain": statistics.median(a / b for a, b in zip(times[name], base, strict=True)),
            "masking ms": (alone := masking(run)) and alone * 1e3,
            "masking % of plain": alone and 100 * alone / statistics.median(base),
        }
        for name, run in runs.items()
    ]


def masking(run: Run, repeats: int = 5) -> float | None:
    """Return the seconds of CPU time that keeping one step's masks takes by itself, where it can be told."""
    if run.after.__name__ == "<lambda>":
        return None
    pruning = getattr(run.after, "__self__", None)
    times = []
    for _ in range(repeats):
        start = time.process_time()
        if pruning is None:
            run.after()
        else:
            pruning._keeper._after_step(run.trainer)  # what the Trainer's hook does after each step
        mxnet.nd.waitall()
        times.append(time.process_time() - start)
    return statistics.median(times)


@click.command(help=__doc__)
@click.option("--rounds", default=5, help="How often every way takes a step.")
@click.option("--image", multiple=True, default=(32, 224), help="Side of the images, in pixels.")
@click.option("--write/--no-write", default=True, help="Record the figures under benchmarks/results.")
def main(rounds: int, image: tuple[int, ...], write: bool) -> None:
    """Measure, print the table, record the result."""
    rows = [row for side in image for row in measure(side, rounds)]
    lines = tuple(
        tuple(f"{value:.4g}" if isinstance(value, float) else value or "" for value in row.values())
        for row in rows
    )
    shown = Columns("What keeping 90 % zeros costs a training step on MXNet", tuple(rows[0]), lines)
    printed = Table(*shown.heads, title=shown.title)
    for line in shown.lines:
        printed.add_row(*line)
    Console(width=130).print(printed)
    if write:
        record("mask-step-mxnet", rows, [shown])


if __name__ == "__main__":
    main()
