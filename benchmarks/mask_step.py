"""What keeping zeros costs per training step, beside plain training and torch.nn.utils.prune.

    python benchmarks/mask_step.py [--rounds N] [--output DIR]

Two cases: a CIFAR-size ResNet-18 at batch 64 (ordinary), and four 2048-wide layers at batch 32
(the worst case: much weight, little compute). Every way trains in turn in one process, one
thread, by CPU time of the process; figures are medians over rounds, each round's ratio taken
against the plain step of the same round.
"""

from __future__ import annotations

import argparse
import datetime
import json
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
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


def masking(run: Run, repeats: int = 5) -> float:
    """Return the seconds of CPU time that keeping the masks of one step takes, by itself."""
    if run.after.__name__ == "<lambda>":
        return 0.0
    keeper = run.after.__self__._keeper  # type: ignore[attr-defined]
    times = []
    for _ in range(repeats):
        start = time.process_time()
        keeper.apply()
        times.append(time.process_time() - start)
    return statistics.median(times)


def measure(case: str, rounds: int) -> list[dict[str, float | str]]:
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
    rows: list[dict[str, float | str]] = []
    for name, run in runs.items():
        ratios = [each / plain_step for each, plain_step in zip(times[name], base, strict=True)]
        alone = masking(run)
        rows.append(
            {
                "case": case,
                "way": name,
                "step ms": statistics.median(times[name]) * 1e3,
                "step / plain": statistics.median(ratios),
                "masking ms": alone * 1e3,
                "masking % of plain": 100 * alone / statistics.median(base),
                "masking ns/weight": alone / weights * 1e9,
            }
        )
    return rows


def show(rows: list[dict[str, float | str]]) -> None:
    """Print the rows as a table."""
    table = Table(
        "case", "way", "step ms", "step / plain", "masking alone, ms", "% of plain step", "ns/weight"
    )
    for row in rows:
        cells = [f"{value:.3g}" if isinstance(value, float) else str(value) for value in row.values()]
        table.add_row(*cells)
    Console(width=130).print(table)


def main() -> None:
    """Run all cases, print the table, record the result."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows = [row for case in CASES for row in measure(case, options.rounds)]
    show(rows)
    options.output.mkdir(parents=True, exist_ok=True)
    record = {
        "date": datetime.date.today().isoformat(),
        "machine": {"processor": platform.machine(), "threads": 1, "clock": "process CPU time"},
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "pruners": pruners.__version__,
        },
        "rounds": options.rounds,
        "rows": rows,
    }
    (options.output / "mask_step.json").write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
