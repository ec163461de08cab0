"""`pruners.export`: a model as a file for other programs, proven by running it."""

from __future__ import annotations

from collections.abc import Iterable
from numbers import Real
from os import PathLike, fspath
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from .dense_twins import dense_twin
from .errors import ExportError, OptionError
from .export_targets import Target, target
from .export_work import Work, calibration, put_in_place, sizes
from .exports import Exported
from .measuring.machine import facts
from .opening import opened_by
from .options import at_least
from .protocols import Exports
from .registry import backend_for


def export(
    model: Any,
    path: str | PathLike[str],
    example_inputs: Any,
    *,
    to: str = "onnx",
    dense: Any = None,
    data: Iterable[Any] | None = None,
    measure: int = 20,
    threads: int = 1,
    tolerance: float | None = None,
) -> Exported:
    """
    Write a model as a file for other programs, prove it by running it, and time it.

    Parameters
    ----------
    model : object
        A model of a backend that exports; as it runs in evaluation mode.
    path : path
        The file to write. It appears only once it is proven.
    example_inputs : tuple, mapping, or one input
        What the model is called with: positional arguments, keyword arguments, or one argument.
    to : str, default "onnx"
        A file format: "onnx" or "pt2". Or a runtime that keeps a file of its own: "openvino-int8".
    dense : object, optional
        The model to compare size and speed with. By default a copy of `model` whose zeros are
        replaced by random numbers; where channels were removed, pass the model from before.
    data : iterable of batches, optional
        What a runtime that rounds numbers is calibrated and judged on, at most 300 batches: inputs as
        `example_inputs` have them, labels after them are left out. By default `example_inputs`.
    measure : int, default 20
        Rounds in which this export and the dense one are timed; 0 measures nothing.
    threads : int, default 1
        How many threads of the processor every runtime gets.
    tolerance : float, optional
        Largest difference from the live model's outputs, over the largest output of the same array,
        that counts as equal. By default 1e-4, 1e-2 for float16 and 5e-2 for bfloat16; a runtime
        that rounds to int8 is refused only where its outputs have nothing to do with the model's.

    Returns
    -------
    Exported
        Files and sizes, the proof and the latency in every runtime that opens the file; printing it
        says what came of it in plain sentences.

    Raises
    ------
    ExportError
        If the model cannot be written, no installed runtime opens the file, or one that does gives
        something else: the message names the operation, or the output.
    NoBackend, UnknownName, BrokenPlugin, OptionError
        If a model, a name or a value is not usable.
    TraceError
        If the model does not run on `example_inputs`.

    Notes
    -----
    Whatever is raised, the model is as it was, and what was at `path` before is still there. Every
    installed runtime that opens the format proves the file; it is timed in each.

    Zeros are numbers like others in most runtimes. Faster is said only where the middle halves of
    the times lie apart and the medians differ by more than 3 %; else it says "No faster here", or, of
    fewer than 10 rounds and of times that scatter widely, "Cannot be told".

    Examples
    --------
    >>> import tempfile, torch, pruners
    >>> model = pruners.prune(torch.nn.Linear(64, 32), "level", sparsity=0.9)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     made = pruners.export(model, f"{folder}/small.pt2", torch.ones(1, 64), to="pt2", measure=5)
    >>> made.ran[0].runtime, made.ran[0].error <= 1e-4
    ('torch-export', True)
    """
    rounds, threads = at_least(0, "measure", measure), at_least(1, "threads", threads)
    _check_tolerance(tolerance)
    opened = _exports(model, example_inputs)
    aim = target(to, opened.formats)
    place = _place(path, aim)
    work = Work(aim, example_inputs, calibration(data, example_inputs), threads, tolerance)
    notes: list[str] = []
    if aim.converter is not None and data is None:
        notes.append("Calibrated on the example inputs alone: pass data=batches for accuracy.")
    with TemporaryDirectory(
        prefix=f".{place.name}.", dir=place.parent, ignore_cleanup_errors=True
    ) as temporary:
        folder = Path(temporary)
        with opened.threads(threads):
            opened.outputs(example_inputs)  # inputs that do not fit are told by the model itself
            file = folder / "exported" / place.name
            notes += work.write(opened, file)
            ran, unproved = work.prove(opened, file)
            reference, about = (None, "") if not rounds else _reference(opened, model, dense, example_inputs)
            dense_file = None
            if reference is not None:
                dense_file = folder / "dense" / place.name
                work.write(reference, dense_file)
            if rounds:
                ran = work.time(opened, file, dense_file, ran, rounds)
        made = Exported(
            path=str(place),
            to=aim.to,
            files=sizes(file.parent),
            ran=tuple(ran),
            dense_bytes=None if dense_file is None else sum(sizes(dense_file.parent).values()),
            dense=about,
            threads=threads,
            rounds=rounds,
            notes=(*notes, *unproved),
            machine=_machine(aim),
        )
        put_in_place(file.parent, place)
    return made


def _check_tolerance(tolerance: Any) -> None:
    if tolerance is not None and (not isinstance(tolerance, Real) or not float(tolerance) >= 0):
        raise OptionError(f"tolerance is {tolerance!r}; give a number of at least 0")


def _exports(model: Any, example_inputs: Any) -> Exports:
    backend = backend_for(model)
    opened = opened_by(backend, model, example_inputs)
    if not isinstance(opened, Exports):
        raise ExportError(
            f"models of {backend.name} cannot be exported yet: save their weights with pruners.save, or "
            "write the file with the framework's own means"
        )
    return opened


def _place(path: Any, aim: Target) -> Path:
    place = Path(fspath(path)).resolve()
    if place.is_dir() or not place.parent.is_dir():
        raise OptionError(f"path is {fspath(path)!r}; give a file in a folder that is there")
    suffix = f".{aim.format}" if aim.converter is None else aim.converter.suffix
    if place.suffix != suffix:
        raise OptionError(f"path is {fspath(path)!r}; the file of {aim.to!r} ends in {suffix}")
    return place


def _reference(opened: Any, model: Any, dense: Any, example_inputs: Any) -> tuple[Exports | None, str]:
    """Return the model to compare with, opened, and what it is; or None, and why there is none."""
    if dense is not None:
        return _exports(dense, example_inputs), "Dense export: the model given as dense."
    twin, about = dense_twin(opened, model)
    return (twin if isinstance(twin, Exports) else None), about


def _machine(aim: Target) -> dict[str, Any]:
    return {**facts(()), "runtimes": {name: dict(runtime.describe()) for name, runtime in aim.runtimes}}
