"""What an export gave: a file, the proof that it is right, its size and its speed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from attrs import asdict, field, frozen
from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from .measuring.latency import Latency, in_a_word
from .tables import as_text


@frozen(kw_only=True)
class Ran:
    """The file in one runtime: how far it is from the live model, and how fast."""

    runtime: str
    """The runtime's name, as `pruners list` shows it."""
    title: str
    """What the runtime calls itself, with its version."""
    error: float
    """Largest difference from the live model's outputs, over the largest output of the same array."""
    numbers: int
    """How many numbers were compared."""
    tolerance: float
    """The largest error that was allowed."""
    rounded: bool = False
    """Whether the runtime rounds numbers, so that no equality is proved."""
    agreement: float | None = None
    """Fraction of examples, 0 to 1, whose largest output is the same; None where that says nothing."""
    examples: int = 0
    """How many examples `agreement` is of."""
    dense: Latency | None = None
    """Of the dense export; None where there was none, or nothing was measured."""
    latency: Latency | None = None
    """Of this one; None where nothing was measured."""

    @property
    def gain(self) -> float | None:
        """How much faster than the dense export, as a fraction; 0 where they cannot be told apart."""
        return self.dense.gain(self.latency) if self.dense and self.latency else None

    @property
    def proof(self) -> str:
        """What the comparison found, in one sentence."""
        apart = f"differ by at most {self.error:.1e} of the largest from the live model's"
        if not self.rounded:
            return (
                f"Proved in {self.title}: {self.numbers:,} outputs {apart} (tolerance {self.tolerance:.0e})."
            )
        text = f"Rounded, so not equal: in {self.title}, {self.numbers:,} outputs {apart}"
        if self.agreement is None:
            return f"{text}."
        of = f"{self.examples:,} example{'s' if self.examples != 1 else ''}"
        return f"{text}; the largest output is the same in {self.agreement:.1%} of {of}."

    @property
    def speed(self) -> str:
        """What the measured latency means, in one sentence."""
        if self.latency is None:
            return f"Latency in {self.title} was not measured."
        if self.dense is None:
            return f"In {self.title}: {self.latency}."
        times = f"{self.dense} dense, {self.latency} exported"
        gain = self.dense.gain(self.latency)
        if gain > 0:
            return f"{1 + gain:.2f} times as fast as the dense export in {self.title} here: {times}."
        if untold := self.dense.untold(self.latency):
            return f"Cannot be told in {self.title}: {untold}: {times}."
        slower = "slower, " if gain < 0 else ""
        return f"No faster here in {self.title}: {slower}{times}."

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain JSON types."""
        return {**asdict(self), "gain": self.gain}


@frozen(kw_only=True)
class Exported:
    """A written and proven export; printing it gives a table and sentences, `to_dict` plain values."""

    path: str
    """The file to deploy."""
    to: str
    """The format, or the runtime that it was converted for."""
    files: Mapping[str, int]
    """Bytes of each file that was written, by name."""
    ran: tuple[Ran, ...]
    """The file in every runtime that opens it."""
    dense_bytes: int | None = None
    """Bytes of the dense export's files; None where there was none."""
    dense: str = ""
    """What the dense export was; why there was none."""
    threads: int
    """How many threads every runtime was given."""
    rounds: int
    """How often each was timed; 0 where nothing was measured."""
    notes: tuple[str, ...] = ()
    """What else to know of the file."""
    machine: Mapping[str, Any] = field(factory=dict)
    """What was measured on and with."""

    @property
    def bytes(self) -> int:
        """Size of all the files that were written."""
        return sum(self.files.values())

    def sentences(self) -> tuple[str, ...]:
        """Return what came of the export, in plain sentences."""
        return tuple(self._sentences())

    def _sentences(self) -> Iterator[str]:
        of = "" if self.dense_bytes is None else f"; the dense export takes {self.dense_bytes:,}"
        yield f"Written: {', '.join(self.files)}, {self.bytes:,} bytes{of}."
        for each in self.ran:
            yield each.proof
        if self.rounds:
            for each in self.ran:
                yield each.speed
            yield (
                f"Times are medians of {self.rounds} rounds on {self.threads} "
                f"thread{'s' if self.threads != 1 else ''}, with the middle half in brackets."
            )
        if self.dense:
            yield self.dense
        yield from self.notes

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain JSON types."""
        return {
            "path": self.path,
            "to": self.to,
            "files": dict(self.files),
            "bytes": self.bytes,
            "dense_bytes": self.dense_bytes,
            "dense": self.dense,
            "ran": [each.to_dict() for each in self.ran],
            "threads": self.threads,
            "rounds": self.rounds,
            "notes": list(self.notes),
            "machine": dict(self.machine),
            "sentences": list(self.sentences()),
        }

    def __rich__(self) -> RenderableType:
        return Group(_table(self), *(Text(sentence) for sentence in self.sentences()))

    def __str__(self) -> str:
        return as_text(_table(self), self.sentences())


def _table(exported: Exported) -> Table:
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("runtime")
    for heading in ("error", "dense, ms", "exported, ms", "times as fast"):
        table.add_column(heading, justify="right")
    for each in exported.ran:
        table.add_row(
            each.runtime,
            f"{each.error:.1e}",
            _median(each.dense),
            _median(each.latency),
            _times(each),
        )
    return table


def _median(latency: Latency | None) -> str:
    return "" if latency is None else f"{latency.median:.3f}"


def _times(ran: Ran) -> str:
    if ran.dense is None or ran.latency is None:
        return ""
    return in_a_word(ran.dense, ran.latency)
