"""What the demo prints."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ..reports import Report
from .measuring import FileSize, Latency, bank_counts, verdict
from .training import BANK, HELD_OUT, SPARSITY, Run


def _title(console: Console, text: str) -> None:
    console.print(text, style="bold", highlight=False)


def _table(footer: bool = False) -> Table:
    return Table(box=box.SIMPLE_HEAD, pad_edge=False, show_footer=footer)


def print_accuracy(console: Console, dense: Sequence[Run], pruned: Sequence[Run], sparsity: float) -> None:
    """Print the final accuracy of every seed, the mean and the spread."""
    _title(console, f"Accuracy on {HELD_OUT} held-out digits, {dense[0].steps} steps each")
    table = _table()
    table.add_column("network")
    for seed in range(len(dense)):
        table.add_column(f"seed {seed}", justify="right")
    table.add_column("mean", justify="right", style="bold")
    table.add_column("worst to best", justify="right")
    for name, runs in (("dense", dense), (f"pruned, {sparsity:.0%} zeros", pruned)):
        values = [run.final_accuracy for run in runs]
        cells = [f"{value:.2%}" for value in values]
        table.add_row(name, *cells, f"{np.mean(values):.2%}", f"{min(values):.2%} to {max(values):.2%}")
    console.print(table)


def print_layers(console: Console, run: Run, report: Report) -> None:
    """Print what was asked of each layer and what was reached."""
    _title(console, "Pruned network, seed 0, layer by layer")
    table = _table(footer=True)
    table.add_column("layer", footer="total")
    table.add_column("shape")
    table.add_column("weights", justify="right", footer=f"{report.weights:,}")
    table.add_column("zeros", justify="right", footer=f"{report.zeros:,}")
    table.add_column("asked", justify="right")
    table.add_column("reached", justify="right", style="bold", footer=f"{report.sparsity:.4f}")
    table.add_column("in banks of 64 inputs")
    for row in report.rows:
        shape = "x".join(map(str, row.shape))
        asked = "" if row.name in run.skipped else f"{SPARSITY:.4f}"
        numbers = (f"{row.weights:,}", f"{row.zeros:,}", asked, f"{row.sparsity:.4f}")
        table.add_row(row.name, shape, *numbers, _banks(run, row.name))
    console.print(table)
    for name, reason in run.skipped.items():
        console.print(f"{name} stays dense: {escape(reason)}\n", highlight=False)


def _banks(run: Run, name: str) -> str:
    if name in run.skipped:
        return "none: dense"
    counts = bank_counts(run.masks[name])
    low, high = counts.min(), counts.max()
    kept = f"{low}" if low == high else f"{low} to {high}"
    return f"{counts.size:,} banks, {kept} of {BANK} kept"


def print_files(console: Console, dense: FileSize, pruned: FileSize) -> None:
    """Print what the two files weigh, as stored and compressed."""
    _title(console, "Files")
    table = _table()
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
    _title(console, f"Milliseconds for a batch of {batch}, one thread, measured in turn")
    table = _table()
    table.add_column("network")
    table.add_column("median", justify="right", style="bold")
    table.add_column("middle half", justify="right")
    for name, each in (("dense", dense), ("pruned", pruned)):
        table.add_row(name, f"{each.median:.2f}", f"{each.low:.2f} to {each.high:.2f}")
    console.print(table)
    console.print(verdict(dense, pruned) + "\n")
