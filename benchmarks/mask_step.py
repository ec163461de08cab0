"""What keeping zeros costs per training step, beside plain training and torch.nn.utils.prune.

    python benchmarks/mask_step.py [--rounds N] [--no-write]

Two cases: a CIFAR-size ResNet-18 at batch 64 (ordinary), and four 2048-wide layers at batch 32
(the worst case: much weight, little compute). Every way trains in turn in one process, one
thread, by CPU time of the process; figures are medians over rounds, each round's ratio taken
against the plain step of the same round.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import click
import torch
from measuring import Columns, record
from rich.console import Console
from rich.table import Table
from torch import nn
from torch.nn.utils import prune as torch_prune

import pruners

SPARSITY = 0.9


class Block(nn.Module):
    """The basic residual block of a ResNet-18."""

    def __init__(self, into: int, out: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(into, out, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(out)
        self.conv2 = nn.Conv2d(out, out, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(out)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or into != out:
            self.shortcut = nn.Sequential(nn.Conv2d(into, out, 1, stride, bias=False), nn.BatchNorm2d(out))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        inner = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x)))))
        return torch.relu(inner + self.shortcut(x))


def resnet18() -> nn.Module:
    """Return the CIFAR-size ResNet-18: 11.2 million parameters."""
    blocks: list[nn.Module] = [nn.Conv2d(3, 64, 3, 1, 1, bias=False), nn.BatchNorm2d(64), nn.ReLU()]
    into = 64
    for out, stride in ((64, 1), (64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), (512, 1)):
        blocks.append(Block(into, out, stride))
        into = out
    return nn.Sequential(*blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, 10))


def mlp() -> nn.Module:
    """Return 784-2048-2048-2048-2048-10: 14.2 million weights."""
    widths = [784, 2048, 2048, 2048, 2048]
    layers: list[nn.Module] = []
    for into, out in zip(widths, widths[1:], strict=False):
        layers += [nn.Linear(into, out), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(2048, 10))


CASES: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "ResNet-18 CIFAR, batch 64": (resnet18, (64, 3, 32, 32)),
    "MLP 4x2048, batch 32": (mlp, (32, 784)),
}


def plain(model: nn.Module, optimizer: torch.optim.Optimizer) -> Callable[[], None]:
    """Train dense."""
    return lambda: None


def ours(model: nn.Module, optimizer: torch.optim.Optimizer) -> Callable[[], None]:
    """Keep masks in place after the step."""
    return pruners.attach(model, pruners.Rule(sparsity=SPARSITY), optimizer).step


def ours_gradients(model: nn.Module, optimizer: torch.optim.Optimizer) -> Callable[[], None]:
    """Keep masks in place and mask gradients too."""
    return pruners.attach(model, pruners.Rule(sparsity=SPARSITY), optimizer, mask_gradients=True).step


def reparametrised(model: nn.Module, optimizer: torch.optim.Optimizer) -> Callable[[], None]:
    """Prune with torch.nn.utils.prune, which recomputes each weight before each forward."""
    for module in model.modules():
        if isinstance(module, (nn.Linear, nn.Conv2d)):
            torch_prune.l1_unstructured(module, "weight", SPARSITY)
    return lambda: None


WAYS = {
    "plain": plain,
    "pruners": ours,
    "pruners, gradients too": ours_gradients,
    "torch.nn.utils.prune": reparametrised,
}


class Run:
    """One way of training one model, one step at a time."""

    def __init__(
        self, build: Callable[[], nn.Module], shape: tuple[int, ...], way: Callable[..., Callable[[], None]]
    ):
        torch.manual_seed(0)
        self.model = build()
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=1e-3, momentum=0.9, weight_decay=1e-4)
        self.after = way(self.model, self.optimizer)
        self.x, self.y = torch.randn(shape), torch.randint(10, shape[:1])

    def step(self) -> float:
        """Train one step; return its seconds of CPU time."""
        start = time.process_time()
        self.optimizer.zero_grad()
        nn.functional.cross_entropy(self.model(self.x), self.y).backward()
        self.optimizer.step()
        self.after()
        return time.process_time() - start


def masking(run: Run, repeats: int = 5) -> float | None:
    """Return the seconds of CPU time that keeping one step's masks takes by itself, where it can be told."""
    if run.after.__name__ == "<lambda>":
        return None
    keeper = run.after.__self__._keeper  # type: ignore[attr-defined]
    times = []
    for _ in range(repeats):
        start = time.process_time()
        keeper._after_step(run.optimizer, (), {})  # what the optimizer's hook does after each step
        times.append(time.process_time() - start)
    return statistics.median(times)


def measure(case: str, rounds: int) -> list[dict[str, float | str | None]]:
    """Train every way in turn; return one row per way."""
    build, shape = CASES[case]
    runs = {name: Run(build, shape, way) for name, way in WAYS.items()}
    for run in runs.values():
        run.step()
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            times[name].append(run.step())
    base = times["plain"]
    weights = sum(p.numel() for p in runs["plain"].model.parameters() if p.ndim > 1)
    rows: list[dict[str, float | str | None]] = []
    for name, run in runs.items():
        ratios = [each / plain_step for each, plain_step in zip(times[name], base, strict=True)]
        alone = masking(run)
        rows.append(
            {
                "case": case,
                "way": name,
                "step ms": statistics.median(times[name]) * 1e3,
                "step / plain": statistics.median(ratios),
                "masking ms": alone and alone * 1e3,
                "masking % of plain": alone and 100 * alone / statistics.median(base),
                "masking ns/weight": alone and alone / weights * 1e9,
            }
        )
    return rows


def table(rows: list[dict[str, float | str | None]]) -> Columns:
    """Return the rows as text."""
    lines = tuple(
        tuple(f"{value:.4g}" if isinstance(value, float) else value or "" for value in row.values())
        for row in rows
    )
    return Columns("What keeping 90 % zeros costs a training step", tuple(rows[0]), lines)


def show(shown: Columns) -> None:
    """Print a table."""
    printed = Table(*shown.heads, title=shown.title)
    for line in shown.lines:
        printed.add_row(*line)
    Console(width=130).print(printed)


@click.command(help=__doc__)
@click.option("--rounds", default=15, help="How often every way takes a step.")
@click.option("--write/--no-write", default=True, help="Record the ratios under benchmarks/results.")
def main(rounds: int, write: bool) -> None:
    """Run all cases, print the table, record the result."""
    torch.set_num_threads(1)
    rows = [row for case in CASES for row in measure(case, rounds)]
    shown = table(rows)
    show(shown)
    if write:
        record("mask-step", rows, [shown])


if __name__ == "__main__":
    main()
