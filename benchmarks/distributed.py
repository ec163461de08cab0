"""What an update of masks costs where a model lies in pieces on ranks: time, bytes, exchanges, memory.

    python benchmarks/distributed.py [--rounds N] [--weights N ...] [--ranks N ...] [--no-write]

Layers of 1000 x 1000 float32, each wrapped by `fully_shard`, ranked together (``scope="model"``) by size. The
ranks are processes of one machine that talk by gloo; one rank runs without a group. Times are wall-clock
seconds of the slowest rank, medians over updates; with more ranks than cores they wait for each other.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import click
import torch
import torch.distributed as group
from measuring import Columns, peak, record
from pruners_torch._peers import TorchPeers
from rich.console import Console
from rich.table import Table
from torch import nn

import pruners

SIDE = 1000
CALLS = ("sum", "gather", "exchange")


def model(weights: int, ranks: int) -> nn.Module:
    """Return layers with so many weights, in pieces on several ranks."""
    torch.manual_seed(0)
    layers = nn.Sequential(*(nn.Linear(SIDE, SIDE, bias=False) for _ in range(weights // SIDE**2)))
    if ranks == 1:
        return layers
    from torch.distributed.fsdp import fully_shard

    for layer in layers:
        fully_shard(layer)
    return fully_shard(layers)


class Counted:
    """Counts the exchanges that the ranks make."""

    def __init__(self) -> None:
        self.calls, self.sent = 0, 0
        for name in CALLS:
            setattr(TorchPeers, name, self._counting(getattr(TorchPeers, name)))

    def _counting(self, call: Any) -> Any:
        def counted(peers: TorchPeers, argument: Any) -> Any:
            before = peers.sent
            found = call(peers, argument)
            self.calls, self.sent = self.calls + 1, self.sent + peers.sent - before
            return found

        return counted


def measure(weights: int, ranks: int, rounds: int) -> dict[str, Any]:
    """Recompute masks so many times on this rank; return what one update takes."""
    spread = model(weights, ranks)
    schedule = pruners.schedule("linear", start=0, stop=rounds + 2)
    pruning = pruners.attach(spread, pruners.Rule(sparsity=0.9, schedule=schedule, scope="model"))
    pruning.step()
    counted, times, asked = Counted(), [], []
    for _ in range(rounds):
        before = counted.calls, counted.sent
        if ranks > 1:
            group.barrier()
        start = time.perf_counter()
        pruning.step()
        times.append(time.perf_counter() - start)
        asked.append((counted.calls - before[0], counted.sent - before[1]))
    held = peak(pruning.step)
    return {
        "weights": weights,
        "ranks": ranks,
        "seconds": statistics.median(times),
        "exchanges": max(each[0] for each in asked),
        "bytes sent per rank": max(each[1] for each in asked),
        "peak bytes per weight of the piece": held * ranks / weights,
    }


def one_rank(rank: int, ranks: int, weights: int, rounds: int, folder: Path) -> None:
    """Measure as one of the ranks and write down what came of it."""
    torch.set_num_threads(1)
    if ranks > 1:
        store = f"file://{folder}/store"
        group.init_process_group("gloo", init_method=store, rank=rank, world_size=ranks)
    found = measure(weights, ranks, rounds)
    (folder / f"{rank}.json").write_text(json.dumps(found))
    if ranks > 1:
        group.barrier()
        group.destroy_process_group()


def together(weights: int, ranks: int, rounds: int) -> dict[str, Any]:
    """Start the ranks; return the slowest one's time, and the most that any of them sent and held."""
    with tempfile.TemporaryDirectory() as folder:
        command = [
            sys.executable,
            "-W",
            "ignore",
            __file__,
            "--rounds",
            str(rounds),
            "--weights",
            str(weights),
        ]
        started = [
            subprocess.Popen([*command, "--ranks", str(ranks), "--rank", str(rank), "--folder", folder])
            for rank in range(ranks)
        ]
        if any(each.wait() for each in started):
            raise SystemExit(f"a rank of {ranks} failed")
        found = [json.loads((Path(folder) / f"{rank}.json").read_text()) for rank in range(ranks)]
    return {name: max(each[name] for each in found) for name in found[0]}


def shown(rows: list[dict[str, Any]]) -> Columns:
    """Return the table."""
    lines = tuple(
        (
            f"{row['weights']:,}",
            str(row["ranks"]),
            f"{row['seconds']:.3f}",
            str(row["exchanges"]),
            f"{row['bytes sent per rank']:,}",
            f"{row['peak bytes per weight of the piece']:.2f}",
        )
        for row in rows
    )
    heads = ("weights", "ranks", "seconds", "exchanges", "bytes sent per rank", "peak B/weight of the piece")
    return Columns("One update of masks over the whole model", heads, lines)


@click.command(help=__doc__)
@click.option("--rounds", default=5, help="How often masks are recomputed.")
@click.option("--weights", multiple=True, default=(1_000_000, 10_000_000, 30_000_000), help="Of the model.")
@click.option("--ranks", multiple=True, default=(1, 2, 4), help="Processes.")
@click.option("--write/--no-write", default=True, help="Record the figures under benchmarks/results.")
@click.option("--rank", default=-1, hidden=True)
@click.option("--folder", type=Path, hidden=True)
def main(
    rounds: int, weights: tuple[int, ...], ranks: tuple[int, ...], write: bool, rank: int, folder: Path
) -> None:
    """Measure, print the table, record the result."""
    if rank >= 0:
        one_rank(rank, ranks[0], weights[0], rounds, folder)
        return
    rows = [together(size, count, rounds) for size in weights for count in ranks]
    columns = shown(rows)
    printed = Table(*columns.heads, title=columns.title)
    for line in columns.lines:
        printed.add_row(*line)
    Console(width=120).print(printed)
    if write:
        notes = [f"{os.cpu_count()} cores; wall-clock seconds of the slowest rank, gloo on one machine."]
        record("distributed", rows, [columns], notes)


if __name__ == "__main__":
    main()
