"""What every demo needs around it: a console, one thread, and networks trained in pairs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol, TypeVar

import torch
from rich.console import Console
from rich.markup import escape

from .. import progress

WIDTH = 100
"""Columns to print to where the output is not a terminal."""

R_co = TypeVar("R_co", covariant=True)


class Train(Protocol[R_co]):
    """Trains one network, dense or pruned."""

    def __call__(self, *, seed: int, pruned: bool, advance: Callable[[], None]) -> R_co:
        """Return the finished training; `advance` is called after every step."""
        ...


def open_console() -> Console:
    """Return a console that is wide enough for every table."""
    console = Console()
    return console if console.is_terminal else Console(width=WIDTH)


def train_pairs(train: Train[R_co], *, seeds: int, steps: int) -> tuple[list[R_co], list[R_co]]:
    """Train every network, dense and pruned in turn."""
    runs: dict[bool, list[R_co]] = {False: [], True: []}
    for seed in range(seeds):
        for pruned in (False, True):
            with progress.steps(f"seed {seed}, {'pruned' if pruned else 'dense'}", steps) as done:
                runs[pruned].append(train(seed=seed, pruned=pruned, advance=done))
    return runs[False], runs[True]


def print_promises(console: Console, checked: str, broken: list[str]) -> None:
    """Print what was counted anew, or every claim that did not hold."""
    if not broken:
        console.print(f"Checked by counting anew: {checked}")
    for each in broken:
        console.print(f"[bold red]Broken promise:[/] {escape(each)}")


@contextmanager
def one_thread() -> Iterator[None]:
    """Use one thread, and leave the caller's thread count and random state as they were."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.random.fork_rng(devices=()):
            yield
    finally:
        torch.set_num_threads(threads)
