"""The first thing to read: what was dense, masked, removed and exported, side by side."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from attrs import asdict, evolve, frozen

from ..reports import Report
from .elements import Block, Cell, Section, Table, count, short, table_of
from .exported import medians
from .given import Given, Values, reading

HOW = "give what pruners.measure returned: measurement=, --measurement"


@frozen(kw_only=True)
class Line:
    """One model in the summary; what is not known is None."""

    name: str
    parameters: int | None = None
    nonzeros: int | None = None
    macs: int | None = None
    bytes: int | None = None
    """Of the listed layers as stored."""
    file: int | None = None
    """Of the smallest file."""
    latency: float | None = None
    """Milliseconds, the median."""
    accuracy: float | None = None
    source: str


def section(given: Given) -> Section:
    """Return the table of models, what was measured, and what both mean."""
    lines = list(_lines(given))
    blocks = [Block(table=_summary(lines))]
    sentences = list(given.report.sentences())
    data: dict[str, Any] = {"models": [asdict(line) for line in lines]}
    if given.removal is not None:
        with reading("removal", "Removal.report().to_dict()"):
            sentences += _removed(given.removal)
    if given.measurement is not None:
        with reading("measurement", "Measurement.to_dict()"):
            blocks += _measured(given.measurement)
            sentences += [str(sentence) for sentence in given.measurement["sentences"]]
        data["measurement"] = dict(given.measurement)
    data["sentences"] = sentences
    return Section(name="summary", title="Summary", lines=sentences, blocks=blocks, data=data)


def _lines(given: Given) -> Iterable[Line]:
    """Return one line for each model; what was measured goes before what was counted."""
    lines = {line.name: line for line in _counts(given)}
    if given.measurement is not None:
        with reading("measurement", "Measurement.to_dict()"):
            for line in _of_measurement(given.measurement):
                lines[line.name] = _joined(lines.get(line.name), line)
    with reading("exported", "Exported.to_dict()"):
        for file in given.exported:
            line = _of_export(file)
            lines[line.name] = line
    return sorted(lines.values(), key=lambda line: line.name != "dense")


def _joined(counted: Line | None, measured: Line) -> Line:
    if counted is None:
        return measured
    known = {name: value for name, value in asdict(measured).items() if value is not None}
    rest = {name for name, value in asdict(counted).items() if value is not None and name not in known}
    source = measured.source
    source += "; bytes of layers counted" if "bytes" in rest else ""
    told = [each for each, name in (("MACs", "macs"), ("latency", "latency")) if name in rest]
    source += f"; {' and '.join(told)} by the removal" if told else ""
    return evolve(counted, **{**known, "source": source})


def _counts(given: Given) -> Iterable[Line]:
    counted = "counted in the model"
    now = _counted("masked" if given.report.zeros else "as it is", given.report, counted)
    if given.dense_report is not None:
        yield _counted("dense", given.dense_report, counted)
    if given.removal is None:
        yield now
        return
    with reading("removal", "Removal.report().to_dict()"):
        before, after = _around(given.removal)
    if given.dense_report is None:
        yield before
    if after.parameters == now.parameters:
        source = f"{counted}; MACs and latency by the removal"
        yield evolve(now, name="removed", macs=after.macs, latency=after.latency, source=source)
    else:
        yield now
        yield after


def _counted(name: str, report: Report, source: str) -> Line:
    return Line(
        name=name,
        parameters=report.parameters,
        nonzeros=report.parameters - report.zeros,
        bytes=report.stored,
        source=source,
    )


def _around(removal: Values) -> tuple[Line, Line]:
    """Return the model before and after a removal."""
    latency = removal["latency"] or ({"median": None}, {"median": None})
    before, after = (
        Line(
            name=name,
            parameters=removal["parameters"][key],
            macs=removal["macs"][key],
            latency=time["median"],
            source="told by the removal",
        )
        for name, key, time in zip(("dense", "removed"), ("before", "after"), latency, strict=True)
    )
    return before, after


def _of_measurement(measurement: Values) -> Iterable[Line]:
    """Return one line for each measured model, with the first runtime's latency where it ran."""
    for model in measurement["models"]:
        rows = [row for row in measurement["rows"] if row["model"] == model["name"]]
        timed = next((row for row in rows if row["median_ms"] is not None), None)
        source = "measured" if timed is None else f"measured, latency in {timed['runtime']}"
        yield Line(
            name=str(model["name"]),
            parameters=model["parameters"],
            nonzeros=model["nonzeros"],
            macs=model["macs"],
            file=min(model["bytes"].values(), default=None),
            latency=None if timed is None else timed["median_ms"],
            accuracy=model["accuracy"],
            source=source,
        )


def _of_export(file: Values) -> Line:
    """Return one line for an exported file, with the latency in the first runtime that timed it."""
    runtime, latency = next(medians(file), ("", None))
    source = "the export" if latency is None else f"the export, latency in {runtime}"
    return Line(
        name=f"exported: {Path(file['path']).name}", file=file["bytes"], latency=latency, source=source
    )


def _summary(lines: Sequence[Line]) -> Table:
    columns: dict[str, list[Cell | None]] = {
        "model": [line.name for line in lines],
        "parameters": [count(line.parameters) for line in lines],
        "non-zeros": [count(line.nonzeros) for line in lines],
        "MACs": [count(line.macs) for line in lines],
        "bytes of layers": [count(line.bytes) for line in lines],
        "smallest file, bytes": [count(line.file) for line in lines],
        "latency, ms": [short(line.latency) for line in lines],
        "accuracy": [short(line.accuracy) for line in lines],
        "from": [line.source for line in lines],
    }
    caption = "Bytes of layers: of those listed below as stored, zeros included."
    return table_of(caption, columns, ("model", "from"))


def _removed(removal: Values) -> list[str]:
    sentences = []
    for name, key in (("Parameters", "parameters"), ("MACs on the removal's inputs", "macs")):
        before, after = removal[key]["before"], removal[key]["after"]
        part = f" (-{1 - after / before:.1%})" if before else ""
        sentences.append(f"{name}: {before:,} before the removal, {after:,} after{part}.")
    if removal["latency"] is not None:
        sentences.append(_speed(*removal["latency"]))
    proof = removal["proof"]
    sentences.append(
        f"Proved: {proof['outputs']:,} outputs differ by at most {proof['error']:.1e} from those of the "
        "masked model."
    )
    return sentences


def _speed(before: Values, after: Values) -> str:
    from ..measuring.latency import Latency

    dense, small = Latency(**before), Latency(**after)
    gain = dense.gain(small)
    if gain > 0:
        return f"The smaller model is {1 + gain:.2f} times as fast here: {dense} before, {small} after."
    if untold := dense.untold(small):
        return f"Whether the smaller model is faster cannot be told: {untold}: {dense} before, {small} after."
    slower = "slower, " if gain < 0 else ""
    return f"The smaller model is no faster here: {slower}{dense} before, {small} after."


def _measured(measurement: Values) -> list[Block]:
    """Return the tables of files and of times, and what they were measured on."""
    models, rows = measurement["models"], measurement["rows"]
    kinds = list(dict.fromkeys(kind for model in models for kind in model["bytes"]))
    held = list(dict.fromkeys(kind for model in models for kind in model["memory"]))
    sizes: dict[str, list[Cell | None]] = {"model": [str(model["name"]) for model in models]}
    sizes |= {f"{kind}, bytes": [count(model["bytes"].get(kind)) for model in models] for kind in kinds}
    sizes |= {
        f"{kind} in memory, bytes": [count(model["memory"].get(kind)) for model in models] for kind in held
    }
    times: dict[str, list[Cell | None]] = {
        "runtime": [str(row["runtime"]) for row in rows],
        "model": [str(row["model"]) for row in rows],
        "median, ms": [short(row["median_ms"]) for row in rows],
        "middle half, ms": [_spread(row) for row in rows],
        "file, bytes": [count(row["file_bytes"]) for row in rows],
        "peak memory, bytes": [count(row.get("peak_bytes")) for row in rows],
        "error": [short(row["error"], 2) for row in rows],
        "note": [str(row["note"]) or None for row in rows],
    }
    machine = _listed(measurement["machine"])
    threads = f"Threads: {measurement['threads']}; rounds: {measurement['rounds']}."
    blocks = [Block(title="Sizes", table=table_of("", sizes, ("model",)))]
    if rows:
        caption = f"Measured in turn. {threads} On {machine}."
        blocks.append(
            Block(
                title="Times", table=table_of(caption, times, ("runtime", "model", "middle half, ms", "note"))
            )
        )
    return blocks


def _listed(facts: Values) -> str:
    """Return facts in a row, those of a group behind its name."""
    parts = []
    for name, value in facts.items():
        if isinstance(value, Mapping):
            parts += [f"{name} ({_listed(value)})"] if value else []
        else:
            parts.append(f"{name} {value}")
    return ", ".join(parts)


def _spread(row: Values) -> str | None:
    return None if row["low_ms"] is None else f"{row['low_ms']:.4g} to {row['high_ms']:.4g}"
