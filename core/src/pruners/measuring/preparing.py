"""Models made ready to run where they are deployed: exported, converted, opened, compared."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from attrs import define, evolve, field, frozen

from ..discovery import told
from ..errors import ExportError, PrunersError
from ..protocols import Converts, Exports, Runtime
from .differing import error
from .fresh import peak_bytes
from .places import Place
from .serving import serving
from .subjects import Subject

MOST_BATCHES = 300
"""Of `data`, at most so many batches calibrate a runtime that rounds numbers."""


@frozen(eq=False)
class Ready:
    """A model ready to run in one place."""

    run: Callable[[], object]
    file_bytes: int | None = None
    peak_bytes: int | None = None
    error: float | None = None
    notes: tuple[str, ...] = ()

    def noted(self, *notes: str) -> Ready:
        """Return the same with more to be known of it; empty notes are none."""
        return evolve(self, notes=(*self.notes, *(note for note in notes if note)))


@define(eq=False)
class Workshop:
    """Prepares models on the same inputs; what it opens is closed when its stack is."""

    example_inputs: Any
    threads: int
    folder: Path
    stack: ExitStack
    data: Iterable[Any] | None
    memory: bool
    _files: dict[tuple[str, str], Path | Exception] = field(factory=dict)
    _batches: list[Any] | None = None

    def prepare(self, subject: Subject, place: Place) -> Ready:
        """Return the model ready to run; raises whatever keeps it from that."""
        if place.live and place.format != subject.backend:
            raise ExportError(
                f"{place.label} runs models of {place.format}, and this is one of {subject.backend}"
            )
        if place.runtime is None:
            return self._in_framework(subject)
        if place.live:
            return self._compared(subject, place.runtime, subject.model, Ready(run=tuple))
        file, note = self._exported(subject, place.format), ""
        if isinstance(place.runtime, Converts):
            file = self._converted(subject, place, place.runtime, file)
            note = "calibrated on the example inputs alone" if self.data is None else ""
        size = sum(each.stat().st_size for each in file.parent.rglob("*") if each.is_file())
        peak, why = self._peak(subject, place, file) if self.memory else (None, "")
        ready = Ready(run=tuple, file_bytes=size, peak_bytes=peak).noted(note, why)
        return self._compared(subject, place.runtime, file, ready)

    def _in_framework(self, subject: Subject) -> Ready:
        run = self.stack.enter_context(serving(subject.opened, self.example_inputs))
        run()
        pinned = isinstance(subject.opened, Exports)
        return Ready(run).noted("" if pinned else "threads as the framework has them")

    def _compared(self, subject: Subject, runtime: Runtime, model: Any, ready: Ready) -> Ready:
        """Return what runs `model`, with how far its outputs are from those of the live one."""
        arrays = subject.arrays(self.example_inputs)
        running = runtime.open(model, threads=self.threads)
        found = [np.asarray(each) for each in running(arrays)]
        ready = evolve(ready, run=partial(running, arrays))
        expected = subject.outputs(self.example_inputs)
        if expected is None:
            return ready
        apart = error(expected, found)
        if not math.isfinite(apart):
            return ready.noted("infinities or NaN of the outputs are not where the live model has them")
        return evolve(ready, error=apart)

    def _exported(self, subject: Subject, format: str) -> Path:
        """Return the model's file in a format, written once; the reason why there is none is kept as well."""
        key = (subject.name, format)
        if key not in self._files:
            try:
                self._files[key] = self._export(subject, format)
            except Exception as why:
                self._files[key] = why
        found = self._files[key]
        if isinstance(found, Exception):
            raise found
        return found

    def _export(self, subject: Subject, format: str) -> Path:
        if not isinstance(subject.opened, Exports) or format not in subject.opened.formats:
            raise ExportError(f"models of {subject.backend} cannot be written as {format!r}")
        path = self._new_folder() / f"model.{format}"
        subject.opened.export(path, self.example_inputs, format=format)
        return path

    def _converted(self, subject: Subject, place: Place, runtime: Converts, source: Path) -> Path:
        target = self._new_folder() / f"{place.name}{runtime.suffix}"
        runtime.convert(source, target, self._calibration(subject))
        return target

    def _calibration(self, subject: Subject) -> Sequence[Sequence[np.ndarray]]:
        if self._batches is None:
            given = [self.example_inputs] if self.data is None else list(islice(self.data, MOST_BATCHES))
            if not given:
                raise ExportError("data gave no batch to calibrate on")
            self._batches = given
        return [subject.arrays(each) for each in self._batches]

    def _peak(self, subject: Subject, place: Place, file: Path) -> tuple[int | None, str]:
        arrays = subject.arrays(self.example_inputs)
        return peak_bytes(place, file, arrays, threads=self.threads, folder=self._new_folder())

    def _new_folder(self) -> Path:
        path = self.folder / str(len(list(self.folder.iterdir())))
        path.mkdir()
        return path


def reason(error: BaseException) -> str:
    """Return why something could not be done, in one line: Pruners' own errors as they are."""
    return " ".join(str(error).split()) if isinstance(error, PrunersError) else told(error)
