"""What zeros and removed channels give where models are deployed: PyTorch, ONNX Runtime, OpenVINO.

    python benchmarks/runtimes.py
    python benchmarks/runtimes.py --network ResNet-50 --rounds 5 --no-write

Three networks with random weights, each dense, with 90 % of every layer's weights zero, and with half of
every layer's channels removed; all of them in every runtime, in turn, on one thread, batch 1. Everything is
what `pruners.measure` says; nothing else is timed. int8 is calibrated on eight random batches: its error
is that of random inputs.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

import click
import torch
from measuring import Columns, installed, record
from resnet20 import ResNet20
from resnet50 import ResNet50
from rich.console import Console
from torch import nn

import pruners

RUNTIMES = ("torch", "torch-export", "onnxruntime", "openvino", "openvino-int8")
BATCHES = 8
ZEROS, REMOVED = "90 % zeros", "half the channels"
LIBRARIES = ("onnx", "onnxruntime", "openvino", "nncf")


def perceptron() -> nn.Module:
    """Return three fully connected layers, which are nothing but weights to be read."""
    wide = 2048
    layers = [nn.Linear(1024, wide), nn.ReLU(), nn.Linear(wide, wide), nn.ReLU(), nn.Linear(wide, 10)]
    return nn.Sequential(*layers)


NETWORKS: Mapping[str, tuple[Callable[[], nn.Module], tuple[int, ...], int]] = {
    "MLP 1024-2048-2048-10": (perceptron, (1, 1024), 100),
    "ResNet-20": (ResNet20, (1, 3, 32, 32), 100),
    "ResNet-50": (ResNet50, (1, 3, 224, 224), 15),
}
"""``{name: (what builds it, shape of its input, rounds)}``."""


def measured(network: str, rounds: int | None) -> pruners.Measurement:
    """Return one network in three forms, measured in every runtime."""
    build, shape, usual = NETWORKS[network]
    torch.manual_seed(0)
    dense = build().eval()
    x = torch.randn(shape)
    zeros = pruners.prune(copy.deepcopy(dense), "level", sparsity=0.9)
    removed = pruners.remove(
        copy.deepcopy(dense), "filter-norm", sparsity=0.5, example_inputs=x, measure=0
    ).model
    return pruners.measure(
        {"dense": dense, ZEROS: zeros, REMOVED: removed},
        x,
        [name for name in RUNTIMES if name == "torch" or name in pruners.installed().names("runtime")],
        rounds=rounds or usual,
        data=[torch.randn(shape) for _ in range(BATCHES)],
    )


def tables(network: str, found: pruners.Measurement) -> list[Columns]:
    """Return what was found as two tables."""
    sizes = tuple(
        (
            model.name,
            f"{model.parameters:,}",
            f"{model.nonzeros:,}",
            f"{(model.macs or 0) / 1e6:.1f}",
            f"{model.bytes['dense file'] / 1e6:.2f}",
            f"{model.bytes['sparse file'] / 1e6:.2f}",
        )
        for model in found.models
    )
    dense = {row.runtime: row.latency for row in found.rows if row.model == "dense"}
    times = tuple(_line(row, dense[row.runtime]) for row in found.rows)
    heads = ("model", "parameters", "non-zeros", "million MACs", "dense file, MB", "sparse file, MB")
    return [
        Columns(f"{network}: sizes", heads, sizes),
        Columns(
            f"{network}: latency",
            (
                "runtime", "model", "median, ms", "middle half, ms", "beside dense", "file, MB",
                "peak memory, MB", "error",
            ),
            tuple(sorted(times, key=lambda line: RUNTIMES.index(line[0]))),
        ),
    ]  # fmt: skip


def _line(row: Any, dense: Any) -> tuple[str, ...]:
    if row.latency is None:
        return (row.runtime, row.model, row.note, "", "", "", "", "")
    return (
        row.runtime,
        row.model,
        f"{row.latency.median:.3f}",
        f"{row.latency.low:.3f} to {row.latency.high:.3f}",
        "" if row.model == "dense" else _beside(dense, row.latency),
        "" if row.file_bytes is None else f"{row.file_bytes / 1e6:.2f}",
        "" if row.peak_bytes is None else f"{row.peak_bytes / 1e6:.0f}",
        "" if row.error is None else f"{row.error:.0e}",
    )


def _beside(dense: Any, latency: Any) -> str:
    if dense is None:
        return ""
    gain = dense.gain(latency)
    if gain > 0:
        return f"{1 + gain:.2f} x"
    return "cannot be told" if dense.untold(latency) else "no faster"


NOTES = (
    "Wall time of one run, batch 1, as `pruners.measure` takes it: the median over rounds ({rounds}) and the "
    "middle half; in every round every row runs once, in an order drawn anew. *no faster*: the middle halves "
    "overlap, the medians differ by less than 3 %, or it is slower; *cannot be told*: they overlap, and one "
    "is wider than half of its median, since something else ran on the machine.",
    "Peak memory: growth of a fresh process that opens the file and runs it once. Error: largest difference "
    "from the live model's outputs, over the largest; int8 is calibrated on 8 random batches.",
    "Weights are random: sizes and times do not depend on them, errors of int8 do.",
    "Runtimes: {versions}.",
)


def _listed(found: Mapping[str, pruners.Measurement]) -> str:
    return ", ".join(
        f"{network}: {each.rounds}, load average {each.machine['load average']}"
        for network, each in found.items()
    )


@click.command()
@click.option("--network", "networks", multiple=True, type=click.Choice(list(NETWORKS)), help="Only these.")
@click.option("--rounds", type=int, help="Of each row; 100 of the small networks, 15 of the large one.")
@click.option("--no-write", is_flag=True, help="Record nothing.")
def main(networks: tuple[str, ...], rounds: int | None, no_write: bool) -> None:
    """Measure every network and record what was found."""
    torch.set_num_threads(1)
    console = Console()
    found = {}
    for network in networks or NETWORKS:
        found[network] = measured(network, rounds)
        console.print(f"[bold]{network}[/bold]")
        console.print(found[network])
    if no_write:
        return
    versions = ", ".join(f"{library} {version}" for library, version in installed(*LIBRARIES).items())
    record(
        "runtimes",
        {network: each.to_dict() for network, each in found.items()},
        [table for network, each in found.items() for table in tables(network, each)],
        [note.format(rounds=_listed(found), versions=versions) for note in NOTES],
        time="wall time",
    )


if __name__ == "__main__":
    main()
