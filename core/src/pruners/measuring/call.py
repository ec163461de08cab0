"""`pruners.measure`: one call that says what pruning gave."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from .. import registry
from ..errors import ExportError
from ..options import at_least
from ..progress import steps
from ..protocols import Exports
from .fresh import HOW, SUPPORTED
from .latency import Latency
from .machine import facts
from .places import Chosen, Place, places
from .preparing import Ready, Workshop, reason
from .results import Measurement, ModelFigures, RuntimeRow
from .rounds import interleaved
from .subjects import Evaluate, Subject, figures, subjects

Pair = tuple[Subject, Place]


def measure(
    model: Any,
    example_inputs: Any = None,
    runtimes: str | Sequence[Chosen] | None = None,
    *,
    rounds: int = 20,
    threads: int = 1,
    evaluate: Evaluate | None = None,
    data: Iterable[Any] | None = None,
    memory: bool = True,
    seed: int = 0,
) -> Measurement:
    """
    Measure what pruning gave: bytes on disk, memory, MACs, accuracy, latency where a model is deployed.

    Parameters
    ----------
    model : object or {name: model}
        One model of any installed backend, or several by name; the first is what the others are
        compared with.
    example_inputs : tuple, mapping, or one input, optional
        What each model is called with: positional arguments, keyword arguments, or one argument.
        Without it nothing is run: parameters and files alone.
    runtimes : sequence of str or (str, {option: value}), optional
        Where to run: runtimes as `pruners list` shows them, and frameworks by their backend's name,
        "torch", which run the live model. By default the models' own framework.
    rounds : int, default 20
        How often each model is timed in each runtime; two more rounds warm up.
    threads : int, default 1
        How many threads of the processor every runtime gets.
    evaluate : function, optional
        ``evaluate(model) -> number``, the accuracy or whatever counts.
    data : iterable of inputs, optional
        Each as `example_inputs`: what runtimes that round numbers are calibrated on, at most 300 of
        them. By default `example_inputs` alone.
    memory : bool, default True
        Whether to measure the memory that each exported file needs, in a fresh process each (Linux).
    seed : int, default 0
        Of the order within the rounds.

    Returns
    -------
    Measurement
        Figures of every model, a row for every model in every runtime, and plain sentences; printing
        it gives tables, ``to_dict()`` gives plain values.

    Raises
    ------
    NoBackend, UnknownName, BrokenPlugin, OptionError
        If no backend handles a model; if a runtime or a value is not usable.
    TraceError
        If a model does not run on `example_inputs`.
    ExportError
        If no runtime can run any of the models; one that cannot run one of them is a row that says why.

    See Also
    --------
    pruners.report : Zeros, bytes and shapes layer by layer.

    Notes
    -----
    Latency is the median over the rounds, with the middle half as its spread. In each round
    everything runs once, in an order drawn anew, so that whatever else the machine does hits all of
    them alike; right before it is timed, each runs once untimed. One model is faster than another
    only where the middle halves lie apart and the medians differ by more than 3 %.

    One MAC is one multiplication and one addition in a convolution, a matrix product or an
    attention. They are those of a dense computation, whatever is zero. Memory of a live model's run
    is not measured: nothing tells it from what else the process holds.

    The models are as they were, and exported files are gone, also after an interruption.

    Examples
    --------
    >>> import torch, pruners
    >>> dense = torch.nn.Linear(64, 32)
    >>> sparse = pruners.prune(torch.nn.Linear(64, 32), "level", sparsity=0.9)
    >>> found = pruners.measure({"dense": dense, "sparse": sparse}, torch.ones(1, 64), rounds=5)
    >>> [(model.name, model.nonzeros, model.macs) for model in found.models]
    [('dense', 2080, 2048), ('sparse', 237, 2048)]
    >>> [row.runtime for row in found.rows]
    ['torch', 'torch']
    """
    rounds, threads = at_least(1, "rounds", rounds), at_least(1, "threads", threads)
    found = subjects(model, example_inputs)
    where = places(runtimes, found, example_inputs)
    pairs = [(subject, place) for subject in found for place in where]
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="pruners-measure-")))
        counts = _counts(found, example_inputs, evaluate, folder)
        for subject in {each.backend: each for each in found}.values():
            if isinstance(subject.opened, Exports):
                stack.enter_context(subject.opened.threads(threads))
        workshop = Workshop(example_inputs, threads, folder, stack, data, memory)
        rows = _rows(pairs, workshop, rounds, seed)
        batch = _batch(found[0], example_inputs) if where else None
    return _told(found, counts, rows, where, threads=threads, rounds=rounds, batch=batch)


def _counts(
    found: Sequence[Subject], example_inputs: Any, evaluate: Evaluate | None, folder: Path
) -> list[ModelFigures]:
    counts = []
    with steps("counting, models", len(found)) as done:
        for subject in found:
            counts.append(figures(subject, example_inputs, evaluate, folder))
            done()
    return counts


def _rows(pairs: Sequence[Pair], workshop: Workshop, rounds: int, seed: int) -> list[RuntimeRow]:
    prepared: list[Ready | Exception] = []
    with steps("opening, models in runtimes", len(pairs)) as done:
        for subject, place in pairs:
            try:
                prepared.append(workshop.prepare(subject, place))
            except Exception as error:
                prepared.append(error)
            done()
    ready = [each for each in prepared if isinstance(each, Ready)]
    refused = [each for each in prepared if isinstance(each, Exception)]
    if refused and not ready:
        subject, place = pairs[0]
        raise ExportError(
            f"{subject.name} cannot be run in {place.label}: {reason(refused[0])}"
        ) from refused[0]
    times = iter(interleaved([each.run for each in ready], rounds, seed) if ready else [])
    return [
        RuntimeRow(model=subject.name, runtime=place.label, note=reason(each))
        if isinstance(each, Exception)
        else RuntimeRow(
            model=subject.name,
            runtime=place.label,
            latency=Latency.of(next(times)),
            file_bytes=each.file_bytes,
            peak_bytes=each.peak_bytes,
            error=each.error,
            note="; ".join(each.notes),
        )
        for (subject, place), each in zip(pairs, prepared, strict=True)
    ]


def _batch(subject: Subject, example_inputs: Any) -> int | None:
    arrays = subject.arrays(example_inputs)
    return int(arrays[0].shape[0]) if arrays and arrays[0].ndim else None


def _told(
    found: Sequence[Subject],
    counts: Sequence[ModelFigures],
    rows: Sequence[RuntimeRow],
    where: Sequence[Place],
    *,
    threads: int,
    rounds: int,
    batch: int | None,
) -> Measurement:
    frameworks = {
        module.partition(".")[0]
        for subject in found
        for module in getattr(registry.installed().find("backend", subject.backend).spec, "modules", ())
    }
    machine = {
        **facts(sorted(frameworks)),
        "runtimes": {place.label: dict(place.runtime.describe()) for place in where if place.runtime},
        "memory": HOW if SUPPORTED else "not measured: this needs Linux",
    }
    return Measurement(
        models=tuple(counts),
        rows=tuple(rows),
        threads=threads,
        rounds=rounds,
        batch=batch,
        machine=machine,
    )
