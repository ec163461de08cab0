"""A measurement in tables and in plain sentences."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from attrs import frozen
from rich import box
from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

from .latency import WIDE, Latency
from .results import Measurement, ModelFigures, RuntimeRow

WIDEST = 10_000
"""Columns of text, more than any table has."""
CLOSE = 0.01
"""Outputs further apart than this part of the largest are pointed out."""


def sentences(found: Measurement) -> Iterator[str]:
    """Yield what the numbers mean; the first model is what the others are compared with."""
    if not found.models:
        return
    reference, *others = found.models
    for model in others:
        yield from _smaller(reference, model)
    rows = {(row.model, row.runtime): row for row in found.rows}
    for model in others:
        for runtime in dict.fromkeys(row.runtime for row in found.rows):
            before, after = rows[reference.name, runtime].latency, rows[model.name, runtime].latency
            if before and after:
                yield _faster(found, runtime, (reference.name, before), (model.name, after))
    yield from _restless(found)
    yield from _apart(found)
    yield from _refused(found)
    if any(row.latency for row in found.rows):
        yield _how(found)


def _smaller(reference: ModelFigures, model: ModelFigures) -> Iterator[str]:
    before = reference.bytes.get("dense file")
    if before and model.bytes:
        kind, least = min(model.bytes.items(), key=lambda each: each[1])
        yield (
            f"{model.name} takes {least:,} bytes on disk ({kind}), {least / before:.3f} of "
            f"{reference.name}'s {before:,}."
        )
    if reference.macs and model.macs == reference.macs:
        zeros = ": zeros are multiplied, too" if model.nonzeros < reference.nonzeros else ""
        yield f"{model.name} takes {model.macs:,} MACs, as many as {reference.name}{zeros}."
    elif reference.macs and model.macs is not None:
        part = model.macs / reference.macs
        yield f"{model.name} takes {model.macs:,} MACs, {part:.3f} of {reference.name}'s {reference.macs:,}."
    if reference.accuracy is not None and model.accuracy is not None:
        change = model.accuracy - reference.accuracy
        yield (
            f"{model.name} evaluates to {model.accuracy:.4g}, {reference.name} to {reference.accuracy:.4g} "
            f"({change:+.4g})."
        )


def _faster(
    found: Measurement, runtime: str, reference: tuple[str, Latency], model: tuple[str, Latency]
) -> str:
    (first, before), (second, after) = reference, model
    times = f"{first} {before}, {second} {after}"
    gain = before.gain(after)
    if gain > 0:
        faster = f"{1 + gain:.2f} times as fast as {first} in {runtime} here{_setting(found)}"
        return f"{second} is {faster}: {times}."
    if untold := before.untold(after):
        return f"Cannot be told: {second} in {runtime}{_setting(found)}: {untold}: {times}."
    slower = "slower, " if gain < 0 else ""
    return f"No faster here: {second} in {runtime}{_setting(found)}: {slower}{times}."


def _restless(found: Measurement) -> Iterator[str]:
    timed = [row for row in found.rows if row.latency]
    wide = [row for row in timed if row.latency and row.latency.wide]
    if wide:
        yield (
            f"In {len(wide)} of {len(timed)} rows the middle half is wider than {WIDE:.0%} of the median: "
            "something else was running here; measure again, or with more rounds."
        )


def _apart(found: Measurement) -> Iterator[str]:
    for row in found.rows:
        if row.error is not None and row.error > CLOSE:
            yield (
                f"Outputs of {row.model} in {row.runtime} differ from the live model's by up to "
                f"{row.error:.2g} of the largest."
            )


def _refused(found: Measurement) -> Iterator[str]:
    refused: dict[tuple[str, str], list[str]] = {}
    for row in found.rows:
        if row.latency is None:
            refused.setdefault((row.runtime, row.note), []).append(row.model)
    for (runtime, why), models in refused.items():
        yield f"{runtime} did not run {', '.join(models)}: {why.rstrip('.')}."


def _setting(found: Measurement) -> str:
    parts = [_threads(found)]
    parts += [f"batch {found.batch}"] if found.batch is not None else []
    return f" ({', '.join(parts)})"


def _how(found: Measurement) -> str:
    processor = found.machine.get("processor")
    return (
        f"Times are medians of {found.rounds} round{'s' if found.rounds != 1 else ''} in turn, "
        f"with the middle half in brackets, on {_threads(found)}{f' of {processor}' if processor else ''}."
    )


def _threads(found: Measurement) -> str:
    return f"{found.threads} thread{'s' if found.threads != 1 else ''}"


def tables(found: Measurement) -> list[Table]:
    """Return the table of models and, where anything ran, the one of runtimes."""
    return [_models(found), *([_rows(found)] if found.rows else [])]


@frozen
class Fitting:
    """The table of models, with a column for each model where rows for them are too wide."""

    found: Measurement

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        table = _models(self.found)
        fits = Console(width=WIDEST).measure(table).maximum <= options.max_width
        yield table if fits else _turned(self.found)


def _turned(found: Measurement) -> Table:
    """Return the table of models with a row for each figure."""
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("", overflow="fold")
    for model in found.models:
        table.add_column(Text(model.name), justify="right", overflow="fold")
    for head, of in _shown(found):
        table.add_row(head, *(Text(_number(of(model))) for model in found.models))
    if any(model.note for model in found.models):
        table.add_row("note", *(Text(model.note) for model in found.models))
    return table


def _shown(found: Measurement) -> list[tuple[str, Callable[[ModelFigures], object]]]:
    """Return the figures that any model has."""
    known: list[tuple[str, Callable[[ModelFigures], object]]] = [
        ("parameters", lambda model: model.parameters),
        ("non-zeros", lambda model: model.nonzeros),
        ("MACs", lambda model: model.macs),
        *(
            (f"{kind}, bytes", lambda model, kind=kind: model.bytes.get(kind))
            for kind in dict.fromkeys(kind for model in found.models for kind in model.bytes)
        ),
        ("parameters in memory, bytes", lambda model: model.memory.get("parameters")),
        ("accuracy", lambda model: None if model.accuracy is None else f"{model.accuracy:.4g}"),
    ]
    return [(head, of) for head, of in known if any(of(model) is not None for model in found.models)]


def _models(found: Measurement) -> Table:
    shown = _shown(found)
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("model", overflow="fold")
    for head, _ in shown:
        _add_figures(table, head)
    noted = any(model.note for model in found.models)
    if noted:
        table.add_column("note", overflow="fold")
    for model in found.models:
        cells = [model.name, *(_number(of(model)) for _, of in shown), *([model.note] if noted else [])]
        table.add_row(*(Text(cell) for cell in cells))
    return table


def _rows(found: Measurement) -> Table:
    wide: list[tuple[str, Callable[[RuntimeRow], object]]] = [
        ("median, ms", lambda row: row.latency and f"{row.latency.median:.3f}"),
        ("middle half, ms", lambda row: row.latency and f"{row.latency.low:.3f} to {row.latency.high:.3f}"),
        ("file, bytes", lambda row: row.file_bytes),
        ("peak memory, bytes", lambda row: row.peak_bytes),
        ("error", lambda row: None if row.error is None else f"{row.error:.1e}"),
    ]
    shown = [(head, of) for head, of in wide if any(of(row) is not None for row in found.rows)]
    table = Table(box=box.SIMPLE_HEAD)
    for head in ("runtime", "model"):
        table.add_column(head, overflow="fold")
    for head, _ in shown:
        _add_figures(table, head)
    noted = any(row.note for row in found.rows)
    if noted:
        table.add_column("note", overflow="fold")
    runtimes = list(dict.fromkeys(row.runtime for row in found.rows))
    for row in sorted(found.rows, key=lambda row: runtimes.index(row.runtime)):
        cells = [row.runtime, row.model, *(_number(of(row)) for _, of in shown)]
        table.add_row(*(Text(cell) for cell in [*cells, *([row.note] if noted else [])]))
    return table


def _add_figures(table: Table, head: str) -> None:
    """Add a column whose figures and words are whole where the terminal is narrow."""
    longest = max(map(len, head.split()))
    table.add_column(head, justify="right", min_width=longest, overflow="fold")


def _number(value: object) -> str:
    if value is None:
        return ""
    return f"{value:,}" if isinstance(value, int) else str(value)
