"""Runtimes of files and of live models that keep every promise; and for each promise, one that breaks it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from attrs import frozen
from pruners_conformance import RuntimeExample

import pruners

WEIGHT = [[3.0, -1.0], [0.5, -2.0]]


def _write(path: Path) -> None:
    path.write_text(json.dumps(WEIGHT))


def _live(_: Path) -> dict[str, np.ndarray]:
    return {"w": np.array(WEIGHT)}


# (1, 2) @ W^T = (3 - 2, 0.5 - 4)
FILES = [RuntimeExample(_write, [np.array([[1.0, 2.0]])], [np.array([[1.0, -3.5]])])]
LIVE = [RuntimeExample(_live, [np.array([[1.0, 2.0]])], [np.array([[1.0, -3.5]])])]


@frozen
class Running:
    weight: np.ndarray

    def __call__(self, inputs: Sequence[np.ndarray]) -> Sequence[np.ndarray]:
        return [inputs[0] @ self.weight.T]


@frozen
class Live:
    """Multiplies by the weight of a live model."""

    def open(self, model: Any, *, threads: int) -> Any:
        return Running(model["w"])

    def describe(self) -> Mapping[str, str]:
        return {"runtime": f"NumPy {np.__version__}"}


@frozen
class Files(Live):
    """Multiplies by the weight in a file."""

    def open(self, model: Any, *, threads: int) -> Any:
        try:
            return Running(np.array(json.loads(Path(model).read_text())))
        except ValueError as error:
            raise pruners.ExportError(f"{model} is no model") from error


@frozen
class Converted(Files):
    """Multiplies by a weight in a file of its own."""

    suffix: str = ".own"

    def convert(self, source: Path, target: Path, batches: Sequence[Sequence[np.ndarray]]) -> None:
        target.write_text(source.read_text())


@frozen
class Nameless(Files):
    def describe(self) -> Mapping[str, str]:
        return {"version": "1"}


@frozen
class Halved(Files):
    def open(self, model: Any, *, threads: int) -> Any:
        return Running(super().open(model, threads=threads).weight / 2)


class Reused(Running):
    """Gives the same memory again and again."""

    def __call__(self, inputs: Sequence[np.ndarray]) -> Sequence[np.ndarray]:
        (found,) = super().__call__(inputs)
        memory = _MEMORY.setdefault(id(self), found)
        memory[...] = found
        return [memory]


_MEMORY: dict[int, np.ndarray] = {}


@frozen
class Forgetful(Files):
    def open(self, model: Any, *, threads: int) -> Any:
        running = Reused(super().open(model, threads=threads).weight)
        _MEMORY.pop(id(running), None)
        return running


@frozen
class Raw(Live):
    def open(self, model: Any, *, threads: int) -> Any:
        return Running(np.array(json.loads(Path(model).read_text())))


@frozen
class Vandal(Live):
    def open(self, model: Any, *, threads: int) -> Any:
        found = Running(model["w"].copy())
        model["w"] *= 0.5
        return found


@frozen
class Pointer(Files):
    """Writes into its own file where the exported one lies."""

    suffix: str = ".own"

    def open(self, model: Any, *, threads: int) -> Any:
        path = Path(model).read_text()
        if not path.startswith("see "):
            raise pruners.ExportError(f"{model} is no model")
        return super().open(path.removeprefix("see "), threads=threads)

    def convert(self, source: Path, target: Path, batches: Sequence[Sequence[np.ndarray]]) -> None:
        target.write_text(f"see {source}")


GOOD = ((Live, LIVE), (Files, FILES), (Converted, FILES))
BAD = {
    "check_it_says_what_it_is": Nameless,
    "check_outputs_are_those_of_the_model": Halved,
    "check_runs_do_not_touch_each_other": Forgetful,
    "check_what_it_cannot_open_is_an_export_error": Raw,
    "check_the_model_is_not_changed": Vandal,
    "check_converted_files_stand_alone": Pointer,
}


def examples(factory: Any) -> list[RuntimeExample]:
    """Return the examples that a runtime of these can run."""
    return LIVE if factory in (Live, Vandal) else FILES
