"""What was measured: figures of every model, a row for every model in every runtime, and what they mean."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import field, frozen
from rich.console import Group, RenderableType
from rich.text import Text

from ..tables import as_text
from .latency import Latency


@frozen(kw_only=True)
class ModelFigures:
    """One model: what it holds and what it takes."""

    name: str
    backend: str
    """The name of the framework's backend."""
    parameters: int
    """Elements of every float parameter; a tied one counts once."""
    nonzeros: int
    """Those of them that are not zero."""
    macs: int | None = None
    """Multiply-accumulates of one forward pass on the example inputs; None where they are not known."""
    bytes: Mapping[str, int] = field(factory=dict)
    """Size of the files that `pruners.save` writes: "dense file", "sparse file"."""
    memory: Mapping[str, int] = field(factory=dict)
    """Bytes in memory: "parameters"."""
    accuracy: float | None = None
    """What `evaluate` returned; None where it was not asked."""
    note: str = ""
    """Why a figure is missing."""

    def to_dict(self) -> dict[str, Any]:
        """Return the figures as plain JSON types."""
        return {
            "name": self.name,
            "backend": self.backend,
            "parameters": self.parameters,
            "nonzeros": self.nonzeros,
            "macs": self.macs,
            "bytes": dict(self.bytes),
            "memory": dict(self.memory),
            "accuracy": self.accuracy,
            "note": self.note,
        }


@frozen(kw_only=True)
class RuntimeRow:
    """One model in one runtime."""

    model: str
    runtime: str
    latency: Latency | None = None
    """None where the runtime could not run the model; `note` says why."""
    file_bytes: int | None = None
    """Size of what is deployed; None where the live model itself ran."""
    peak_bytes: int | None = None
    """Memory that a fresh process needed to open the file and run it once; None where not measured."""
    error: float | None = None
    """Largest difference from the live model's outputs, over the largest output; None where not compared."""
    note: str = ""
    """Why it did not run, or what is to be known of these figures."""

    def to_dict(self) -> dict[str, Any]:
        """Return the row as plain JSON types."""
        latency = self.latency
        return {
            "model": self.model,
            "runtime": self.runtime,
            "median_ms": latency and latency.median,
            "low_ms": latency and latency.low,
            "high_ms": latency and latency.high,
            "rounds": latency.rounds if latency else 0,
            "file_bytes": self.file_bytes,
            "peak_bytes": self.peak_bytes,
            "error": self.error,
            "note": self.note,
        }


@frozen(kw_only=True)
class Measurement:
    """What pruning gave; printing it gives tables and sentences, `to_dict` gives plain values."""

    models: tuple[ModelFigures, ...]
    """The first is what the others are compared with."""
    rows: tuple[RuntimeRow, ...]
    """Every model in every runtime, in the order in which they were given."""
    threads: int
    """How many threads every runtime was given."""
    rounds: int
    """How often each row was timed; warm-up is not counted."""
    batch: int | None
    """Length of the first axis of the first input; None where nothing ran."""
    machine: Mapping[str, Any]
    """What the figures were measured on and with."""

    def sentences(self) -> tuple[str, ...]:
        """Return what the numbers mean, in plain sentences."""
        from .telling import sentences

        return tuple(sentences(self))

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain JSON types."""
        return {
            "machine": dict(self.machine),
            "threads": self.threads,
            "rounds": self.rounds,
            "batch": self.batch,
            "models": [model.to_dict() for model in self.models],
            "rows": [row.to_dict() for row in self.rows],
            "sentences": list(self.sentences()),
        }

    def __rich__(self) -> RenderableType:
        from .telling import Fitting, tables

        return Group(Fitting(self), *tables(self)[1:], *(Text(sentence) for sentence in self.sentences()))

    def __str__(self) -> str:
        from .telling import tables

        return as_text(Group(*tables(self)), self.sentences())
