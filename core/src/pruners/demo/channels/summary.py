"""What the demo of channels prints."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console

from ..summary import new_table, print_seeds, print_title
from ..training import HELD_OUT
from .training import Run


def print_accuracy(console: Console, dense: Sequence[Run], pruned: Sequence[Run]) -> None:
    """Print every seed's accuracy at the end, and around the removal."""
    steps, cuts = dense[0].steps, [run.cut for run in pruned if run.cut]
    print_title(console, f"Accuracy on {HELD_OUT} held-out digits, {steps} optimizer steps each")
    rows = {
        "dense": [run.final_accuracy for run in dense],
        "pruned": [run.final_accuracy for run in pruned],
        f"  at step {cuts[0].step}, before the removal": [cut.before for cut in cuts],
        "  just after it": [cut.after for cut in cuts],
    }
    print_seeds(console, rows)


def print_sizes(console: Console, dense: Run, pruned: Run, files: tuple[int, int]) -> None:
    """Print parameters, MACs and bytes of both networks, and what their training took."""
    print_title(console, "Size, seed 0")
    table = new_table("", "dense", "pruned", "less")
    rows = {
        "parameters": (dense.size.parameters, pruned.size.parameters),
        "MACs for one image": (dense.size.macs, pruned.size.macs),
        "bytes of the file": files,
        f"MACs of {dense.steps} training steps, per image": (training_macs(dense), training_macs(pruned)),
    }
    for name, (before, after) in rows.items():
        table.add_row(name, f"{before:,}", f"{after:,}", f"{1 - after / before:.1%}")
    console.print(table)


def training_macs(run: Run) -> int:
    """Return the MACs of all forward passes of a training, per image of a batch."""
    if run.cut is None:
        return run.steps * run.size.macs
    before = run.cut.step * run.cut.removal.macs.before
    return before + (run.steps - run.cut.step) * run.size.macs


def print_channels(console: Console, run: Run) -> None:
    """Print how many channels each group of layers kept, and the proof."""
    assert run.cut is not None
    removal = run.cut.removal
    print_title(console, "Channels kept, seed 0; layers in one row are added together and decide as one")
    table = new_table("layers", "channels", "kept")
    for row in removal.groups:
        layers = ", ".join(layer.removesuffix(".weight") for layer in row.layers)
        table.add_row(layers, str(row.units), str(row.kept))
    for layer, reason in removal.whole.items():
        channels = str(run.size.channels[layer])
        table.add_row(f"{layer.removesuffix('.weight')} ({reason})", channels, channels)
    console.print(table)
    console.print(removal.proved + "\n", highlight=False)
