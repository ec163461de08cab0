"""What the demo prints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ..measuring.latency import Latency
from ..reports import Report
from .measuring import FileSize, bank_counts, verdict
from .training import BANK, HELD_OUT, SPARSITY, Run


class Trained(Protocol):
    """A finished training whose accuracy can be shown."""

    @property
    def steps(self) -> int:
        """Optimizer steps."""
        ...

    @property
    def final_accuracy(self) -> float:
        """Fraction of held-out images named right after the last step."""
        ...


def print_title(console: Console, text: str) -> None:
    """Print a heading."""
    console.print(text, style="bold", highlight=False)


def new_table(*headings: str, footer: bool = False) -> Table:
    """Return an empty table, first column to the left and the others to the right."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_footer=footer)
    for index, heading in enumerate(headings):
        table.add_column(heading, justify="right" if index else "left")
    return table


def print_accuracy(console: Console, networks: Mapping[str, Sequence[Trained]]) -> None:
    """Print the final accuracy of every seed, the mean and the spread."""
    first = next(iter(networks.values()))
    print_title(console, f"Accuracy on {HELD_OUT} held-out digits, {first[0].steps} steps each")
    rows = {name: [run.final_accuracy for run in runs] for name, runs in networks.items()}
    print_seeds(console, rows)


def print_seeds(console: Console, rows: Mapping[str, Sequence[float]]) -> None:
    """Print fractions, a row of one per seed with their mean and spread for each name."""
    seeds = len(next(iter(rows.values())))
    table = new_table("network", *(f"seed {seed}" for seed in range(seeds)), "mean", "worst to best")
    table.columns[-2].style = "bold"
    for name, values in rows.items():
        cells = [f"{value:.2%}" for value in values]
        table.add_row(name, *cells, f"{np.mean(values):.2%}", f"{min(values):.2%} to {max(values):.2%}")
    console.print(table)


def print_layers(console: Console, run: Run, report: Report) -> None:
    """Print what was asked of each layer and what was reached."""
    print_title(console, "Pruned network, seed 0, layer by layer")
    table = new_table(footer=True)
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
    print_title(console, "Files")
    table = new_table("network", "as stored", "with gzip")
    for name, file in (("dense", dense), ("pruned", pruned)):
        table.add_row(name, f"{file.stored:,} bytes", f"{file.zipped:,} bytes")
    console.print(table)
    console.print(
        f"Zeros are stored like any number, so the file is no smaller until it is compressed; then it is "
        f"{dense.zipped / pruned.zipped:.1f} times smaller than the dense one.\n"
    )


def print_latency(console: Console, dense: Latency, pruned: Latency, batch: int, because: str = "") -> None:
    """Print the measured times and what they mean."""
    print_title(console, f"Milliseconds for a batch of {batch}, one thread, measured in turn")
    table = new_table("network", "median", "middle half")
    table.columns[1].style = "bold"
    for name, each in (("dense", dense), ("pruned", pruned)):
        table.add_row(name, f"{each.median:.2f}", f"{each.low:.2f} to {each.high:.2f}")
    console.print(table)
    console.print(verdict(dense, pruned, because) + "\n")
