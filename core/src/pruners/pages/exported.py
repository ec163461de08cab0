"""Files written for other programs: their size, their proof, and their speed against the dense export."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ..measuring.latency import Latency, in_a_word
from .elements import Block, Cell, Section, count, short, table_of
from .given import Given, Values, reading

HOW = "give what pruners.export returned: exported=, --exported"


def section(given: Given) -> Section | None:
    """Return a row for each file in each runtime, or None without an export."""
    if not given.exported:
        return None
    with reading("exported", "Exported.to_dict()"):
        rows = [(file, ran) for file in given.exported for ran in file["ran"] or [None]]
        columns: dict[str, list[Cell | None]] = {
            "file": [Path(file["path"]).name for file, _ in rows],
            "for": [str(file["to"]) for file, _ in rows],
            "bytes": [count(file["bytes"]) for file, _ in rows],
            "dense export, bytes": [count(file["dense_bytes"]) for file, _ in rows],
            "runtime": [ran and str(ran["runtime"]) for _, ran in rows],
            "error": [ran and short(ran["error"], 2) for _, ran in rows],
            "dense, ms": [_median(ran, "dense") for _, ran in rows],
            "exported, ms": [_median(ran, "latency") for _, ran in rows],
            "times as fast": [_times(ran) for _, ran in rows],
        }
        said = [str(sentence) for file in given.exported for sentence in file["sentences"]]
    caption = "Error: the largest difference from the live model's outputs, over the largest output."
    table = table_of(caption, columns, ("file", "for", "runtime"))
    return Section(
        name="exported",
        title="Exported files",
        lines=list(dict.fromkeys(said)),
        blocks=[Block(table=table)],
        data={"files": [dict(file) for file in given.exported]},
    )


def medians(exported: Values) -> Iterator[tuple[str, float]]:
    """Yield each runtime in which an exported file was timed, and the median in milliseconds."""
    for ran in exported["ran"]:
        if ran["latency"] is not None:
            yield str(ran["runtime"]), ran["latency"]["median"]


def _median(ran: Values | None, which: str) -> str | None:
    return None if ran is None or ran[which] is None else short(ran[which]["median"])


def _times(ran: Values | None) -> str | None:
    if ran is None or ran["gain"] is None:
        return None
    return in_a_word(Latency(**ran["dense"]), Latency(**ran["latency"]))
