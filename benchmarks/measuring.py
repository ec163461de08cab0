"""Times and memory of several ways to do one thing, side by side, and where they are written down."""

from __future__ import annotations

import contextlib
import datetime
import gc
import json
import platform
import statistics
import time
import tracemalloc
from collections.abc import Callable, Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
from attrs import define, frozen
from rich.console import Console
from rich.table import Table

RESULTS = Path(__file__).parent / "results"
LIMIT = "limit (memory)"


@frozen
class Way:
    """One way to get a mask: `setup` makes what `run` is timed on."""

    name: str
    run: Callable[[], object]
    setup: Callable[[], object] | None = None


@define
class Row:
    name: str
    ns_per_weight: float
    times_limit: float
    peak_bytes_per_weight: float | None = None


@frozen
class Section:
    title: str
    weights: int
    rows: list[Row]


def timed(run: Callable[[], object]) -> float:
    gc.collect()
    start = time.process_time()
    run()
    return time.process_time() - start


def peak(run: Callable[[], object]) -> int:
    """Return the most memory NumPy and Python had at once on top of what there was, in bytes."""
    tracemalloc.start()
    run()
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return most


def measure(
    title: str,
    arrays: list[np.ndarray],
    ways: Iterable[Way],
    rounds: int,
    measured: tuple[str, ...] = ("ours",),
) -> Section:
    """Time all ways in turn, `rounds` times, and the memory of those whose names begin with `measured`."""
    ways = list(ways)
    weights = sum(a.size for a in arrays)
    targets = [np.zeros_like(a) for a in arrays]

    def copy() -> None:
        for source, target in zip(arrays, targets, strict=True):
            np.copyto(target, source)

    times: dict[str, list[float]] = {"copy": [], **{way.name: [] for way in ways}}
    for way in ways:
        if way.setup is None:
            way.run()  # once for the caches
    copy()
    for _ in range(rounds):
        times["copy"].append(timed(copy))
        for way in ways:
            if way.setup is not None:
                way.setup()
            times[way.name].append(timed(way.run))
    bytes_each = sum(a.nbytes for a in arrays) / weights
    limit = statistics.median(times["copy"]) * (bytes_each + 1) / (2 * bytes_each)
    rows = [Row(LIMIT, 1e9 * limit / weights, 1.0)]
    for way in ways:
        median = statistics.median(times[way.name])
        row = Row(way.name, 1e9 * median / weights, median / limit)
        if way.name.startswith(measured):
            row.peak_bytes_per_weight = peak(way.run) / weights
        rows.append(row)
    return Section(title, weights, rows)


def show(section: Section, console: Console) -> None:
    table = Table(title=section.title)
    for column in ("way", "ns/weight", "x limit", "x ours", "peak B/weight"):
        table.add_column(column, justify="left" if column == "way" else "right")
    base = section.rows[1].ns_per_weight
    for row in section.rows:
        most = "" if row.peak_bytes_per_weight is None else f"{row.peak_bytes_per_weight:.2f}"
        table.add_row(
            row.name,
            f"{row.ns_per_weight:.2f}",
            f"{row.times_limit:.1f}",
            f"{row.ns_per_weight / base:.2f}",
            most,
        )
    console.print(table)


def installed(*libraries: str) -> dict[str, str]:
    found = {}
    for library in libraries:
        with contextlib.suppress(PackageNotFoundError):
            found[library] = version(library)
    return found


def machine() -> dict[str, object]:
    model = platform.processor()
    info = Path("/proc/cpuinfo")
    if info.exists():
        lines = info.read_text(encoding="utf-8").splitlines()
        model = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), model)
    found: dict[str, object] = {"processor": model, "system": platform.system()}
    if np.lib.NumpyVersion(np.__version__) >= "1.25.0":  # where NumPy says what it was built for
        flags = np.show_config("dicts")["SIMD Extensions"]["found"]
        found["simd"] = ", ".join(flags[-1:])
    return found


@frozen
class Columns:
    """One table as text: what is shown on the terminal and in the recorded Markdown."""

    title: str
    heads: tuple[str, ...]
    lines: tuple[tuple[str, ...], ...]

    def markdown(self) -> list[str]:
        rows = [self.heads, ("---",) * len(self.heads), *self.lines]
        return [f"## {self.title}", "", *("| " + " | ".join(row) + " |" for row in rows), ""]


def columns(section: Section) -> Columns:
    lines = []
    for row in section.rows:
        most = "" if row.peak_bytes_per_weight is None else f"{row.peak_bytes_per_weight:.2f}"
        lines.append((row.name, f"{row.ns_per_weight:.2f}", f"{row.times_limit:.1f}", most))
    return Columns(section.title, ("way", "ns/weight", "x limit", "peak B/weight"), tuple(lines))


def record(
    name: str,
    figures: object,
    tables: Iterable[Columns],
    notes: Iterable[str] = (),
    time: str = "CPU time of the process",
) -> None:
    """Write figures as JSON and as Markdown tables, with notes, machine, versions and date, to `RESULTS`."""
    RESULTS.mkdir(exist_ok=True)
    today = datetime.date.today().isoformat()
    versions = {"python": platform.python_version(), **installed("numpy", "torch", "mxnet", "pruners")}
    document = {"date": today, "machine": machine(), "versions": versions, "threads": 1, "figures": figures}
    target = RESULTS / f"{name}-{today}.json"
    target.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    where = ", ".join(str(value) for value in machine().values())
    what = ", ".join(f"{library} {version}" for library, version in versions.items())
    lines = [f"# {name}, {today}", "", f"{where}; {what}; one thread, {time}.", ""]
    lines += [line for note in notes for line in (note, "")]
    for table in tables:
        lines += table.markdown()
    (RESULTS / f"{name}-{today}.md").write_text("\n".join(lines), encoding="utf-8")
