"""Models with which runtimes are tried: worked examples, or small networks of the installed backends."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from attrs import field, frozen

import pruners
from pruners.registry import backend_for

from . import frameworks
from .example import RuntimeExample
from .outcome import NotApplicable
from .subject import RuntimeCase


@frozen(eq=False)
class Made:
    """One model made ready for a runtime: what `open` is called with, and what must come out."""

    runtime: Any
    model: Any
    """A path, or a live model."""
    inputs: tuple[np.ndarray, ...]
    outputs: tuple[np.ndarray, ...]
    source: Path | None = field(default=None, kw_only=True)
    """The exported file, where that is not what is opened."""

    def open(self) -> Any:
        """Return the model ready to run; a refusal with a reason says nothing about promises."""
        try:
            return self.runtime.open(self.model, threads=1)
        except pruners.ExportError as error:
            raise NotApplicable(f"it cannot run the model here: {error}") from error


@contextmanager
def made(case: RuntimeCase) -> Iterator[list[Made]]:
    """Yield every model to try, with its files in a folder for the time being."""
    examples = case.examples or tuple(_of_backends(case))
    if not examples:
        raise NotApplicable("no installed backend has a network in its format to try it on")
    with tempfile.TemporaryDirectory() as folder:
        yield [_made(case, each, Path(folder) / str(number)) for number, each in enumerate(examples)]


def _made(case: RuntimeCase, example: RuntimeExample, folder: Path) -> Made:
    (folder / "source").mkdir(parents=True)
    inputs = tuple(np.asarray(each) for each in example.inputs)
    outputs = tuple(np.asarray(each) for each in example.outputs)
    runtime = case.subject.make()
    path = folder / "source" / f"model.{case.format or 'file'}"
    live = example.make(path)
    if not path.exists():
        return Made(runtime, live, inputs, outputs)
    if not isinstance(runtime, pruners.Converts):
        return Made(runtime, path, inputs, outputs)
    (folder / "target").mkdir()
    target = folder / "target" / f"model{runtime.suffix}"
    runtime.convert(path, target, [list(inputs)])
    return Made(runtime, target, inputs, outputs, source=path)


def _of_backends(case: RuntimeCase) -> Iterator[RuntimeExample]:
    for plugin in pruners.installed().plugins:
        network = frameworks.network(plugin.spec) if isinstance(plugin.spec, pruners.BackendSpec) else None
        if network is None:
            continue
        model, example_inputs = network()
        opened = backend_for(model).open(model)
        if not isinstance(opened, pruners.Exports):
            continue
        if case.format == plugin.name:
            make: Any = partial(_itself, model)
        elif case.format is not None and case.format in opened.formats:
            make = partial(_write, opened, example_inputs, case.format)
        else:
            continue
        yield RuntimeExample(make, opened.arrays(example_inputs), opened.outputs(example_inputs))


def _itself(model: Any, _: Path) -> Any:
    return model


def _write(opened: pruners.Exports, example_inputs: Any, format: str, path: Path) -> None:
    opened.export(path, example_inputs, format=format)


def bits(arrays: Sequence[np.ndarray]) -> list[bytes]:
    """Return arrays as bytes."""
    return [np.ascontiguousarray(each).tobytes() for each in arrays]


def contents(made: Made) -> dict[str, bytes]:
    """Return the bytes of a model: of its files, or of its parameters."""
    if isinstance(made.model, Path):
        files = [*made.model.parent.rglob("*"), *(made.source.parent.rglob("*") if made.source else ())]
        return {str(path): path.read_bytes() for path in files if path.is_file()}
    opened = backend_for(made.model).open(made.model)
    return {name: opened.read(name).tobytes() for name in opened.layers}
