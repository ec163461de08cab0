"""The demo of zeros from beginning to end."""

from __future__ import annotations

import time
import warnings
from functools import partial
from pathlib import Path

from rich.console import Console
from torch import Tensor

from ..errors import SkippedLayer
from .drawing import draw
from .measuring import broken_file, broken_promises, race, write
from .reporting import write_page
from .stage import one_thread, open_console, print_promises, train_pairs
from .summary import print_accuracy, print_files, print_latency, print_layers
from .training import BATCH, Run, load_data, steps_of, train

CHECKED = (
    "every layer reached its sparsity, every bank of a layer keeps equally many weights, and every pruned "
    "weight is +0.0, in the network and in the file."
)


def tell(*, seeds: int, epochs: int, output: Path) -> bool:
    """Train, measure, print, draw, and return whether every claim held."""
    started = time.perf_counter()
    console = open_console()
    output.mkdir(parents=True, exist_ok=True)
    with one_thread(), warnings.catch_warnings():
        warnings.simplefilter("ignore", SkippedLayer)  # the table says which layer, and why
        data = load_data()
        training = partial(train, data, epochs=epochs)
        dense, pruned = train_pairs(training, seeds=seeds, steps=steps_of(data, epochs))
        broken = _measure(console, dense, pruned, data.test_images[:BATCH], output)
        write_page(dense[0], pruned[0], data, output / "report.html")
    figure = output / "demo.png"
    draw(dense, pruned, figure)
    print_promises(console, CHECKED, broken)
    console.print(f"The figure is {figure}; the networks are beside it.", soft_wrap=True)
    console.print(f"The report is {output / 'report.html'}, to be opened in a browser.", soft_wrap=True)
    console.print(f"{time.perf_counter() - started:.0f} seconds.")
    return not broken


def _measure(
    console: Console, dense: list[Run], pruned: list[Run], images: Tensor, output: Path
) -> list[str]:
    """Print every table, write the files, and return the claims that do not hold."""
    session = pruned[0].pruning
    assert session is not None
    report = session.report()
    session.finish()
    print_accuracy(console, {"dense": dense, f"pruned, {report.sparsity:.0%} zeros": pruned})
    print_layers(console, pruned[0], report)
    files = (
        write(dense[0].model, output / "dense.safetensors"),
        write(pruned[0].model, output / "pruned.safetensors"),
    )
    print_files(console, *files)
    because = ": PyTorch multiplies by zeros as by any number"
    print_latency(console, *race(dense[0].model, pruned[0].model, images), BATCH, because)
    broken = [
        f"seed {seed}: {each}"
        for seed, (one, other) in enumerate(zip(dense, pruned, strict=True))
        for each in broken_promises(one, other)
    ]
    return broken + broken_file(files[1].path, report)
