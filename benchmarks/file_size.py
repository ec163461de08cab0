"""Sizes of files of sparse models, and the time to write and read them, beside the safetensors library.

    python benchmarks/file_size.py [--rounds N] [--no-write]

Cases: the weights of a ResNet-50 (25.5 million) at 90 % and 95 % zeros, in 2:4, and in banks that keep
6 of 64; and a MobileNet v1 for 102 classes with 75 % of its pointwise and 80 % of its last layer's
weights zero. Weights are random. Everything is written in turn in one process, one thread, CPU time
of the process, the median over rounds. Each file is read in a process of its own, as a program that
starts does, twice: the first time the memory is new, the second time it is not. Every array is then summed,
since a mapped file that nobody looks at has not been read.
"""

from __future__ import annotations

import gzip
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import numpy as np
from attrs import asdict, frozen
from measuring import Columns, installed, record
from rich.console import Console
from rich.table import Table
from safetensors.numpy import load_file, save_file

import pruners
from pruners.storage.models import read_arrays

Model = dict[str, np.ndarray]
Shapes = Iterator[tuple[str, tuple[int, ...]]]
MILLION = 1e6


@frozen
class Row:
    """One model written in one way."""

    model: str
    way: str
    bytes: int
    bytes_per_weight: float
    write: float
    """Seconds."""
    read: float
    """In a new process."""
    again: float
    """Once more in the same process."""


def resnet50() -> Shapes:
    """Yield the name and shape of every tensor of a ResNet-50; those of a batch norm as one."""
    yield "conv1.weight", (64, 3, 7, 7)
    yield "bn1", (4, 64)
    into = 64
    for stage, (width, blocks) in enumerate(((64, 3), (128, 4), (256, 6), (512, 3)), 1):
        for block in range(blocks):
            name = f"layer{stage}.{block}"
            shapes = ((width, into, 1, 1), (width, width, 3, 3), (4 * width, width, 1, 1))
            for index, shape in enumerate(shapes, 1):
                yield f"{name}.conv{index}.weight", shape
                yield f"{name}.bn{index}", (4, shape[0])
            if block == 0:
                yield f"{name}.downsample.weight", (4 * width, into, 1, 1)
                yield f"{name}.downsample.bn", (4, 4 * width)
            into = 4 * width
    yield "fc.weight", (1000, 2048)
    yield "fc.bias", (1000,)


def mobilenet() -> Shapes:
    """Yield the name and shape of every tensor of a MobileNet v1 for 102 classes."""
    widths = (32, 64, 128, 128, 256, 256, 512, 512, 512, 512, 512, 512, 1024, 1024)
    yield "first.kernel", (32, 3, 3, 3)
    yield "first.bn", (4, 32)
    for index, (into, out) in enumerate(zip(widths, widths[1:], strict=False)):
        yield f"{index}.depthwise", (into, 1, 3, 3)
        yield f"{index}.depthwise.bn", (4, into)
        yield f"{index}.pointwise.weight", (out, into, 1, 1)
        yield f"{index}.pointwise.bn", (4, out)
    yield "last.weight", (102, 1024)
    yield "last.bias", (102,)


Zeros = Callable[[np.random.Generator, str, np.ndarray], np.ndarray]


def unstructured(*shares: float) -> Zeros:
    """Return what zeroes a share of each weight; the second share is that of the last layer."""

    def zeros(random: np.random.Generator, name: str, weight: np.ndarray) -> np.ndarray:
        share = shares[-1] if name.startswith("last") else shares[0]
        return np.asarray(random.random(weight.shape) < share)

    return zeros


def groups(size: int, keep: int) -> Zeros:
    """Return what keeps as many of every so many inputs, where they divide the inputs."""

    def zeros(random: np.random.Generator, name: str, weight: np.ndarray) -> np.ndarray:
        out, into = weight.shape[:2]
        if into % size:
            return np.zeros(weight.shape, np.bool_)
        places = np.moveaxis(random.random(weight.shape), 1, -1).reshape(-1, size)
        dropped = np.argsort(np.argsort(places, axis=1), axis=1) >= keep
        return np.moveaxis(dropped.reshape(out, *weight.shape[2:], into), -1, 1)

    return zeros


CASES: dict[str, tuple[Callable[[], Shapes], Zeros]] = {
    "ResNet-50, 90 %": (resnet50, unstructured(0.9)),
    "ResNet-50, 95 %": (resnet50, unstructured(0.95)),
    "ResNet-50, 2:4": (resnet50, groups(4, 2)),
    "ResNet-50, 6 of 64": (resnet50, groups(64, 6)),
    "MobileNet v1, 75 %, last layer 80 %": (mobilenet, unstructured(0.75, 0.8)),
}


def build(shapes: Shapes, zeros: Zeros) -> Model:
    """Return random tensors, with zeros where the name ends in "weight"."""
    random = np.random.default_rng(0)
    model = {name: random.standard_normal(shape, np.float32) for name, shape in shapes}
    for name, weight in model.items():
        if name.endswith("weight"):
            weight[zeros(random, name, weight)] = 0
    return model


def compress(model: Model, path: Path) -> None:
    """Write a plain file and gzip it, as the mobile models of the time were."""
    save_file(model, path)
    path.write_bytes(gzip.compress(path.read_bytes(), 6))


LIBRARY, DENSE, SPARSE, ZIPPED = "safetensors library", "ours", "ours, sparse", "gzip of a plain file"
WRITE: dict[str, Callable[[Model, Path], object]] = {
    LIBRARY: save_file,
    DENSE: pruners.save,
    SPARSE: lambda model, path: pruners.save(model, path, sparse=True),
    ZIPPED: compress,
}
READ: dict[str, Callable[[Path], Model]] = {
    LIBRARY: load_file,
    DENSE: lambda path: read_arrays(path)[0],
    SPARSE: lambda path: read_arrays(path)[0],
}


def timed(run: Callable[[], object]) -> float:
    """Return the CPU time of a call in seconds."""
    start = time.process_time()
    run()
    return time.process_time() - start


def reading(way: str, path: Path) -> tuple[float, float]:
    """Return the times to read a file for the first time and once more, in a process of its own."""
    command = [sys.executable, __file__, "--read", way, str(path)]
    found = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    return float(found[0]), float(found[1])


def measure(name: str, model: Model, folder: Path, rounds: int) -> Iterator[Row]:
    """Yield a row for each way; all are run in turn."""
    paths = {way: folder / f"{index}.safetensors" for index, way in enumerate(WRITE)}
    writes: dict[str, list[float]] = {way: [] for way in WRITE}
    reads: dict[str, list[tuple[float, float]]] = {way: [] for way in READ}
    for turn in range(rounds + 1):
        for way, write in WRITE.items():
            if way == ZIPPED and turn:
                continue  # takes seconds
            spent = timed(lambda write=write, way=way: write(model, paths[way]))  # type: ignore[misc]
            if turn or way == ZIPPED:  # the first is for the caches
                writes[way].append(spent)
        for way in READ if turn else ():
            reads[way].append(reading(way, paths[way]))
    weights = sum(array.size for array in model.values())
    for way, path in paths.items():
        size = path.stat().st_size
        first, again = ([each[index] for each in reads.get(way, [(0.0, 0.0)])] for index in (0, 1))
        medians = [statistics.median(each) for each in (writes[way], first, again)]
        yield Row(name, way, size, size / weights, *medians)


def table(name: str, rows: list[Row]) -> Columns:
    """Return one model's rows as text, with times beside those of the library."""
    base = next(row for row in rows if row.way == LIBRARY)

    def beside(seconds: float, other: float) -> str:
        return f"{1000 * seconds:.0f} ({seconds / other:.1f}x)" if seconds else ""

    lines = tuple(
        (
            row.way,
            f"{row.bytes / MILLION:.2f}",
            f"{row.bytes_per_weight:.3f}",
            f"{row.bytes / base.bytes:.3f}",
            beside(row.write, base.write),
            beside(row.read, base.read),
            beside(row.again, base.again),
        )
        for row in rows
    )
    heads = ("way", "MB", "bytes/weight", "x dense", "write, ms", "read, ms", "read again, ms")
    return Columns(name, heads, lines)


def show(console: Console, shown: Columns) -> None:
    """Print a table."""
    printed = Table(*shown.heads, title=shown.title)
    for line in shown.lines:
        printed.add_row(*line)
    console.print(printed)


def answer(way: str, path: Path) -> None:
    """Print the times to read a file in this process, twice."""
    for _ in range(2):
        click.echo(timed(lambda: [array.sum() for array in READ[way](path).values()]))


@click.command(help=__doc__)
@click.option("--rounds", default=5, show_default=True, help="Repetitions.")
@click.option("--write/--no-write", default=True, help="Record the figures under benchmarks/results.")
@click.option("--read", nargs=2, default=None, hidden=True)
def main(rounds: int, write: bool, read: tuple[str, str] | None) -> None:
    """Measure all cases, print the tables, record the result."""
    if read is not None:
        answer(read[0], Path(read[1]))
        return
    console = Console(width=120)
    rows, found = [], []
    for name, (shapes, zeros) in CASES.items():
        with tempfile.TemporaryDirectory() as folder:
            each = list(measure(name, build(shapes(), zeros), Path(folder), rounds))
        rows += each
        found.append(table(name, each))
        show(console, found[-1])
    version = installed("safetensors")["safetensors"]
    notes = (f"Beside safetensors {version}; x is that of its time. MB are millions of bytes.",)
    if write:
        record("file-size", [asdict(row) for row in rows], found, notes=notes)


if __name__ == "__main__":
    main()
