"""What the demo prints."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table

from ..reports import Report
from .measuring import FileSize, Latency, bank_counts, verdict
from .training import BANK, HELD_OUT, SPARSITY, Run


def print_accuracy(console: Console, dense: Sequence[Run], pruned: Sequence[Run]) -> None:
    """Print the final accuracy of every seed, the mean and the spread."""
    table = Table(title=f"Accuracy on {HELD_OUT} held-out digits, {dense[0].steps} steps each", **_style())
    table.add_column("network")
    for seed in range(len(dense)):
        table.add_column(f"seed {seed}", justify="right")
    table.add_column("mean", justify="right", style="bold")
    table.add_column("worst to best", justify="right")
    for name, runs in (("dense", dense), (f"pruned to {SPARSITY:.0%}", pruned)):
        values = [run.final_accuracy for run in runs]
        cells = [f"{value:.2%}" for value in values]
        table.add_row(name, *cells, f"{np.mean(values):.2%}", f"{min(values):.2%} to {max(values):.2%}")
    console.print(table)


def print_layers(console: Console, run: Run, report: Report) -> None:
    """Print what was asked of each layer and what was reached."""
    table = Table(title="Pruned network, seed 0, layer by layer", show_footer=True, **_style())
    table.add_column("layer", footer="total")
    table.add_column("shape")
    table.add_column("weights", justify="right", footer=f"{report.weights:,}")
    table.add_column("zeros", justify="right", footer=f"{report.zeros:,}")
    table.add_column("asked", justify="right")
    table.add_column("reached", justify="right", style="bold", footer=f"{report.sparsity:.4f}")
    table.add_column("where the zeros lie")
    for row in report.rows:
        shape = "x".join(map(str, row.shape))
        numbers = (f"{row.weights:,}", f"{row.zeros:,}", f"{SPARSITY:.4f}", f"{row.sparsity:.4f}")
        table.add_row(row.name, shape, *numbers, _banks(run.masks[row.name]))
    console.print(table)
    console.print(
        f"A bank of {BANK} keeps a whole number of weights, so {SPARSITY:.0%} becomes the next sparsity "
        f"below that it can reach.\n"
    )


def _banks(mask: np.ndarray) -> str:
    counts = bank_counts(mask)
    if counts is None:
        return "anywhere: too few inputs for banks"
    low, high = counts.min(), counts.max()
    kept = f"{low}" if low == high else f"{low} to {high}"
    return f"{counts.size:,} banks of {BANK}, {kept} kept in each"


def print_files(console: Console, dense: FileSize, pruned: FileSize) -> None:
    """Print what the two files weigh, as stored and compressed."""
    table = Table(title="Files", **_style())
    for column in ("network", "as stored", "with gzip"):
        table.add_column(column, justify="left" if column == "network" else "right")
    for name, file in (("dense", dense), ("pruned", pruned)):
        table.add_row(name, f"{file.stored:,} bytes", f"{file.zipped:,} bytes")
    console.print(table)
    console.print(
        f"Zeros are stored like any number, so the file is no smaller until it is compressed; then it is "
        f"{dense.zipped / pruned.zipped:.1f} times smaller than the dense one.\n"
    )


def print_latency(console: Console, dense: Latency, pruned: Latency, batch: int) -> None:
    """Print the measured times and what they mean."""
    table = Table(title=f"Milliseconds for a batch of {batch}, one thread, measured in turn", **_style())
    table.add_column("network")
    table.add_column("median", justify="right", style="bold")
    table.add_column("middle half", justify="right")
    for name, each in (("dense", dense), ("pruned", pruned)):
        table.add_row(name, f"{each.median:.2f}", f"{each.low:.2f} to {each.high:.2f}")
    console.print(table)
    console.print(verdict(dense, pruned) + "\n")


def _style() -> dict[str, Any]:
    return {"box": box.SIMPLE_HEAD, "title_justify": "left", "title_style": "bold", "pad_edge": False}
