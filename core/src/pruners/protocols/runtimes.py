"""How models leave their framework: the files that backends export, and what runs them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    import numpy as np


class Running(Protocol):
    """A model in a runtime, ready to run."""

    def __call__(self, inputs: Sequence[np.ndarray]) -> Sequence[np.ndarray]:
        """Return the outputs for inputs in the order of the exported model; the work is done on return."""
        ...


class Runtime(Protocol):
    """Runs models as they are deployed; what its spec's `format` says is what it opens."""

    def open(self, model: Any, *, threads: int) -> Running:
        """
        Return a model ready to run on exactly so many threads.

        `model` is the path of a file in the runtime's format, or the live model where that format is a
        backend's name. Raises `pruners.ExportError` where the runtime cannot run it.
        """
        ...

    def describe(self) -> Mapping[str, str]:
        """Return what a figure needs beside it: the runtime's version, its options, the device."""
        ...


@runtime_checkable
class Converts(Runtime, Protocol):
    """Optional, for runtimes that keep a file of their own: converted, quantised, packed."""

    @property
    def suffix(self) -> str:
        """How the names of such files end, for example ".xml"."""
        ...

    def convert(self, source: Path, target: Path, batches: Sequence[Sequence[np.ndarray]]) -> None:
        """
        Write what is deployed, from an exported file; `batches` calibrate where numbers are rounded.

        `target` ends in `suffix` and lies in a folder of its own, which may get more files.
        """
        ...


@runtime_checkable
class Serves(Protocol):
    """Optional, for open models that can be run again and again as a program that deploys them would."""

    def serving(self, example_inputs: Any) -> AbstractContextManager[Callable[[], None]]:
        """
        Return a context with a function that runs the model once in evaluation mode, to the end of its work.

        What surrounds a run is done when the context is entered and left: the model is then as it was.
        """
        ...


@runtime_checkable
class Exports(Protocol):
    """Optional, for open models that can be run and written for other programs."""

    @property
    def formats(self) -> Sequence[str]:
        """The file formats `export` knows, for example "onnx"."""
        ...

    def arrays(self, example_inputs: Any) -> list[np.ndarray]:
        """Return the tensors of the inputs, in the order in which an exported model takes them."""
        ...

    def outputs(self, example_inputs: Any) -> list[np.ndarray]:
        """Run the model once in evaluation mode and return every tensor it gives, in order."""
        ...

    def export(self, path: Path, example_inputs: Any, *, format: str) -> Sequence[str]:
        """
        Write the model as it runs in evaluation mode, and return what to know of the file, in sentences.

        `path` lies in a folder of its own, which may get more files and is deleted after an error.
        The model is as before. Raises `pruners.ExportError`, naming the operation, where it cannot
        be written.
        """
        ...

    def threads(self, count: int) -> AbstractContextManager[None]:
        """Return a context in which the framework computes on so many threads."""
        ...
