"""The demo of channels from beginning to end."""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path

from rich.console import Console

import pruners

from ..measuring import race
from ..reporting import write_channels_page
from ..stage import one_thread, open_console, print_promises, train_pairs
from ..summary import print_latency
from ..training import BATCH, Digits, load_data, steps_of
from .checking import broken_file, broken_promises
from .drawing import draw
from .summary import print_accuracy, print_channels, print_sizes
from .training import PRUNER, SPARSITY, Run, train

INTRODUCTION = (
    "ResNet-20 on handwritten digits: dense for all steps, or dense for half of them, then\n"
    f'pruners.remove(model, "{PRUNER}", sparsity={SPARSITY}, scope="model", ...), and the other half with '
    "the same optimizer.\n"
)
CHECKED = (
    "parameters, MACs and channels are what the report says and fewer than before, the outputs at the "
    "removal equal those of the masked network, the optimizer holds every parameter with its momentum, "
    "both trainings took equally many steps, and the file loads into a newly built network with the same "
    "outputs, bit for bit."
)


def tell(*, seeds: int, epochs: int, output: Path) -> bool:
    """Train, measure, print, draw, and return whether every claim held."""
    started = time.perf_counter()
    console = open_console()
    output.mkdir(parents=True, exist_ok=True)
    console.print(INTRODUCTION, highlight=False)
    with one_thread():
        data = load_data()
        training = partial(train, data, epochs=epochs)
        dense, pruned = train_pairs(training, seeds=seeds, steps=steps_of(data, epochs))
        broken = _measure(console, dense, pruned, data, output)
        write_channels_page(dense[0], pruned[0], data, output / "channels.html")
    figure = output / "channels.png"
    draw(dense, pruned, figure)
    print_promises(console, CHECKED, broken)
    console.print(f"The figure is {figure}; the networks are beside it.", soft_wrap=True)
    console.print(f"The report is {output / 'channels.html'}, to be opened in a browser.", soft_wrap=True)
    console.print(f"{time.perf_counter() - started:.0f} seconds.")
    return not broken


def _measure(console: Console, dense: list[Run], pruned: list[Run], data: Digits, output: Path) -> list[str]:
    """Print every table, write the files, and return the claims that do not hold."""
    models = dense[0].model, pruned[0].model
    files = output / "channels-dense.safetensors", output / "channels-pruned.safetensors"
    for model, file in zip(models, files, strict=True):
        pruners.save(model, file)
    sizes = files[0].stat().st_size, files[1].stat().st_size
    print_accuracy(console, dense, pruned)
    print_sizes(console, dense[0], pruned[0], sizes)
    print_latency(console, *race(*models, data.test_images[:BATCH]), BATCH, ": the two cannot be told apart")
    print_channels(console, pruned[0])
    broken = [
        f"seed {seed}: {each}"
        for seed, (one, other) in enumerate(zip(dense, pruned, strict=True))
        for each in broken_promises(one, other)
    ]
    if not sizes[1] < sizes[0]:
        broken.append(f"{files[1].name}: {sizes[1]} bytes are no fewer than {sizes[0]}")
    return broken + broken_file(pruned[0], files[1], data.test_images)
