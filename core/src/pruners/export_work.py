"""The steps of an export: write, prove, time, put in place."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from attrs import evolve, frozen

from .errors import ExportError, NeedsData
from .export_targets import Target
from .exports import Ran
from .measuring.differing import compared
from .measuring.latency import Latency
from .measuring.rounds import interleaved
from .progress import steps
from .protocols import Exports, Runtime

MOST_BATCHES = 300
"""Of `data`, at most so many batches calibrate a runtime that rounds numbers."""
TOLERANCE = 1e-4
COARSE = {"float16": 1e-2, "bfloat16": 5e-2}
"""Tolerance of outputs with fewer bits."""
ROUNDED = 1.0
"""Outputs of a rounded model that are this far from the live model's are another model's."""


@frozen(eq=False)
class Work:
    """One export: what is written, for what, and with which inputs."""

    target: Target
    example_inputs: Any
    batches: tuple[Any, ...]
    """What a runtime that rounds is calibrated and judged on; each is shaped as the example inputs are."""
    threads: int
    tolerance: float | None

    def write(self, opened: Exports, path: Path) -> tuple[str, ...]:
        """Write an opened model to a path in a new folder; return what to know of the file."""
        path.parent.mkdir()
        converter = self.target.converter
        source = path if converter is None else path.parent / f"source.{self.target.format}"
        with steps(f"writing {self.target.format}"):
            notes = tuple(opened.export(source, self.example_inputs, format=self.target.format))
        if converter is None:
            return notes
        beside = set(path.parent.iterdir())
        with steps(f"converting for {self.target.to}"):
            converter.convert(source, path, [opened.arrays(batch) for batch in self.batches])
        for each in beside:
            each.unlink()
        return notes

    def prove(self, opened: Exports, path: Path) -> tuple[list[Ran], list[str]]:
        """
        Return how far the file is from the live model in every runtime, and what could not run it.

        Raises
        ------
        ExportError
            If no runtime runs it, or one gives something else.
        """
        given = self.batches if self.target.converter else (self.example_inputs,)
        found, notes, errors = [], [], []
        with steps("proving, runs", len(given) * len(self.target.runtimes)) as done:
            expected = [opened.outputs(each) for each in given]
            arrays = [opened.arrays(each) for each in given]
            for name, runtime in self.target.runtimes:
                try:
                    running = runtime.open(path, threads=self.threads)
                    outputs = []
                    for each in arrays:
                        outputs.append([np.asarray(array) for array in running(each)])
                        done()
                except ExportError as error:
                    errors.append(error)
                    notes.append(f"Not proved in {name}: {error}.")
                    continue
                found.append(self._judged(name, runtime, expected, outputs))
        if not found:
            raise ExportError(f"no runtime runs the export: {errors[0]}") from errors[0]
        return found, notes

    def _judged(
        self,
        name: str,
        runtime: Runtime,
        expected: Sequence[Sequence[np.ndarray]],
        outputs: Sequence[Sequence[np.ndarray]],
    ) -> Ran:
        rounded = self.target.converter is not None
        comparisons = [compared(mine, other) for mine, other in zip(expected, outputs, strict=True)]
        worst = max(comparisons, key=lambda each: each.error)
        tolerance = self._tolerance(expected[0], rounded)
        if not worst.error <= tolerance:
            raise ExportError(
                f"the export does not compute what the model does: in {name}, {worst.worst}, differs by "
                f"{worst.error:.1e} of its largest number (tolerance {tolerance:.0e}); nothing was written"
            )
        agreement, examples = _agreement(expected, outputs) if rounded else (None, 0)
        return Ran(
            runtime=name,
            title=str(runtime.describe().get("runtime", name)),
            error=worst.error,
            numbers=sum(each.numbers for each in comparisons),
            tolerance=tolerance,
            rounded=rounded,
            agreement=agreement,
            examples=examples,
        )

    def _tolerance(self, outputs: Sequence[np.ndarray], rounded: bool) -> float:
        if self.tolerance is not None:
            return self.tolerance
        if rounded:
            return ROUNDED
        return max((COARSE.get(array.dtype.name, TOLERANCE) for array in outputs), default=TOLERANCE)

    def time(
        self, opened: Exports, path: Path, dense: Path | None, ran: Sequence[Ran], rounds: int
    ) -> list[Ran]:
        """Return the same with latencies, of the dense export's file too where there is one."""
        runtimes = dict(self.target.runtimes)
        arrays = opened.arrays(self.example_inputs)
        files = [path] if dense is None else [path, dense]
        runs = [
            partial(runtimes[each.runtime].open(file, threads=self.threads), arrays)
            for each in ran
            for file in files
        ]
        times = iter(interleaved(runs, rounds))
        timed = []
        for each in ran:
            latencies = [Latency.of(next(times)) for _ in files]
            timed.append(
                evolve(each, latency=latencies[0], dense=latencies[1] if dense is not None else None)
            )
        return timed


def _agreement(
    expected: Sequence[Sequence[np.ndarray]], outputs: Sequence[Sequence[np.ndarray]]
) -> tuple[float | None, int]:
    """Return which fraction of examples has its largest first output at the same place, and of how many."""
    pairs = [(mine[0], other[0]) for mine, other in zip(expected, outputs, strict=True) if mine]
    if not pairs or any(mine.ndim < 2 or mine.shape[-1] < 2 or not mine.size for mine, _ in pairs):
        return None, 0
    same = np.concatenate([(mine.argmax(-1) == other.argmax(-1)).ravel() for mine, other in pairs])
    return float(same.mean()), int(same.size)


def calibration(data: Iterable[Any] | None, example_inputs: Any) -> tuple[Any, ...]:
    """
    Return the batches of `data`, each shaped as the example inputs are: labels are left out.

    Raises
    ------
    NeedsData
        If there is no batch, or one lacks an input.
    """
    if data is None:
        return (example_inputs,)
    batches = tuple(_inputs(batch, example_inputs) for batch in islice(data, MOST_BATCHES))
    if not batches:
        raise NeedsData("data gave no batch; pass a list or a loader that can be read again")
    return batches


def _inputs(batch: Any, example_inputs: Any) -> Any:
    if isinstance(example_inputs, Mapping) and isinstance(batch, Mapping):
        missing = [name for name in example_inputs if name not in batch]
        if missing:
            raise NeedsData(f"a batch of data has no {missing[0]!r}, which example_inputs have")
        return {name: batch[name] for name in example_inputs}
    if not isinstance(batch, (list, tuple)):
        return batch
    count = len(example_inputs) if isinstance(example_inputs, tuple) else 1
    if len(batch) < count:
        raise NeedsData(f"a batch of data has {len(batch)} parts, and example_inputs have {count}")
    return tuple(batch[:count])


def sizes(folder: Path) -> dict[str, int]:
    """Return the bytes of each file in a folder, by name."""
    return {each.name: each.stat().st_size for each in sorted(folder.iterdir()) if each.is_file()}


def put_in_place(folder: Path, path: Path) -> None:
    """Move finished files to where they were asked for; the one that names them comes last."""
    for each in sorted(folder.iterdir(), key=lambda each: each.name == path.name):
        os.replace(each, path.with_name(each.name))
