"""The demo from beginning to end."""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import torch
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from torch import Tensor

from ..errors import SkippedLayer
from .drawing import draw
from .measuring import broken_file, broken_promises, race, write
from .summary import print_accuracy, print_files, print_latency, print_layers
from .training import BATCH, Digits, Run, load_data, train

WIDTH = 100
"""Columns to print to where the output is not a terminal."""


def tell(*, seeds: int, epochs: int, output: Path) -> bool:
    """Train, measure, print, draw, and return whether every claim held."""
    started = time.perf_counter()
    console = Console()
    if not console.is_terminal:
        console = Console(width=WIDTH)
    output.mkdir(parents=True, exist_ok=True)
    with _one_thread(), warnings.catch_warnings():
        warnings.simplefilter("ignore", SkippedLayer)  # the table says which layer, and why
        data = load_data()
        dense, pruned = _train_all(console, data, seeds, epochs)
        broken = _measure(console, dense, pruned, data.test_images[:BATCH], output)
    figure = output / "demo.png"
    draw(dense, pruned, figure)
    _print_promises(console, broken)
    console.print(f"The figure is {figure}; the networks are beside it.", soft_wrap=True)
    console.print(f"{time.perf_counter() - started:.0f} seconds.")
    return not broken


def _train_all(console: Console, data: Digits, seeds: int, epochs: int) -> tuple[list[Run], list[Run]]:
    """Train every network, dense and pruned in turn, with a progress bar where it can be seen."""
    steps = epochs * (len(data.train_images) // BATCH)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    runs: dict[bool, list[Run]] = {False: [], True: []}
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("training", total=2 * seeds * steps)
        for seed in range(seeds):
            for pruned in (False, True):
                bar.update(task, description=f"seed {seed}, {'pruned' if pruned else 'dense'}")
                advance = partial(bar.advance, task)
                runs[pruned].append(train(data, seed=seed, epochs=epochs, pruned=pruned, advance=advance))
    return runs[False], runs[True]


def _measure(
    console: Console, dense: list[Run], pruned: list[Run], images: Tensor, output: Path
) -> list[str]:
    """Print every table, write the files, and return the claims that do not hold."""
    session = pruned[0].pruning
    assert session is not None
    report = session.report()
    session.finish()
    print_accuracy(console, dense, pruned, report.sparsity)
    print_layers(console, pruned[0], report)
    files = (
        write(dense[0].model, output / "dense.safetensors"),
        write(pruned[0].model, output / "pruned.safetensors"),
    )
    print_files(console, *files)
    print_latency(console, *race(dense[0].model, pruned[0].model, images), BATCH)
    broken = [
        f"seed {seed}: {each}"
        for seed, (one, other) in enumerate(zip(dense, pruned, strict=True))
        for each in broken_promises(one, other)
    ]
    return broken + broken_file(files[1].path, report)


def _print_promises(console: Console, broken: list[str]) -> None:
    if not broken:
        console.print(
            "Checked by counting anew: every layer reached its sparsity, every bank of a layer keeps equally "
            "many weights, and every pruned weight is +0.0, in the network and in the file."
        )
    for each in broken:
        console.print(f"[bold red]Broken promise:[/] {escape(each)}")


@contextmanager
def _one_thread() -> Iterator[None]:
    """Use one thread, and leave the caller's thread count and random state as they were."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.random.fork_rng(devices=()):
            yield
    finally:
        torch.set_num_threads(threads)
