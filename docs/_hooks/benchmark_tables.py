"""Figures of benchmarks as Markdown tables."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from statistics import mean, median
from typing import Any

Figures = Any


def tables(name: str, figures: Figures) -> list[str] | None:
    """Return the tables of one benchmark's figures; None where they have a form of their own."""
    if name in TABLES:
        return TABLES[name](figures)
    flat = isinstance(figures, list) and all(isinstance(row, dict) for row in figures)
    if flat and not any(isinstance(value, (list, dict)) for row in figures for value in row.values()):
        return [plain(figures)]
    return None


def markdown(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Return one table."""
    heads = list(heads)
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "/") for cell in line) + " |" for line in lines)


def number(value: Any) -> str:
    """Return a figure for people: three digits and more, thousands apart."""
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return str(value)
    if isinstance(value, int) or abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def plain(figures: Sequence[Mapping[str, Any]]) -> str:
    """Return rows whose values are numbers and texts as they are."""
    heads = list(dict.fromkeys(key for row in figures for key in row))
    return markdown(heads, ([number(row.get(head)) for head in heads] for row in figures))


def selection(figures: Figures) -> list[str]:
    """Return every way to find masks, case by case."""
    rows = [
        [
            case["title"] if row is case["rows"][0] else "",
            _bold(row["name"]),
            number(row["ns_per_weight"]),
            f"{row['times_limit']:.1f}",
            number(row["peak_bytes_per_weight"]),
        ]
        for case in figures
        for row in case["rows"]
    ]
    heads = ("case", "way", "ns per weight", "times the memory limit", "peak bytes per weight")
    return [markdown(heads, rows)]


def _bold(way: str) -> str:
    return f"**{way}**" if way.startswith(("ours", "pruners")) else way


def structure(figures: Figures) -> list[str]:
    """Return what each tool can do, and every network."""
    both = set.intersection(*({row["name"] for row in part if sound(row)} for part in figures.values()))
    totals = [
        [
            _bold(tool),
            str(len(part)),
            str(sum(not row["refused"] for row in part)),
            str(sum(map(sound, part))),
            *(f"{value:.1f}" if value else "" for value in forwards(part, both)),
        ]
        for tool, part in figures.items()
    ]
    rows = [
        [row["name"], _bold(tool), _verdict(row), _lost(row), *(_ms(each) for each in stages(row))]
        for pair in zip(*figures.values(), strict=True)
        for tool, row in zip(figures, pair, strict=True)
    ]
    stage = ("analysis", "planning and removal", "removal with its proof")
    return [
        markdown(("tool", "networks", "runs", "exact", *(f"{each}, forwards" for each in stage)), totals),
        markdown(
            ("network", "tool", "result", "parameters less, %", *(f"{each}, ms" for each in stage)), rows
        ),
    ]


def sound(row: Mapping[str, Any]) -> bool:
    """Return whether a network came out smaller and computes the same."""
    return bool(row["exact"]) and not row["refused"]


def stages(row: Mapping[str, Any]) -> tuple[float, float, float]:
    """Return the seconds of analysis, of planning and removal, and of removal where its proof is in it."""
    spent = row["seconds"]
    together = spent.get("removal with proof", 0.0)
    rest = sum(spent.values()) - spent.get("analysis", 0.0) - spent.get("proof", 0.0) - together
    return spent.get("analysis", 0.0), rest, together or spent.get("proof", 0.0)


def forwards(rows: Sequence[Mapping[str, Any]], names: set[str]) -> list[float]:
    """Return the median of each stage in forward passes of the original, over the networks named."""
    mine = [row for row in rows if row["name"] in names]
    return [
        median(stages(row)[stage] / row["forward"] for row in mine) if mine else 0.0 for stage in range(3)
    ]


def _verdict(row: Mapping[str, Any]) -> str:
    if row["refused"]:
        return f"`{row['refused'][:60]}`"
    return "exact" if row["exact"] else f"differs by {row['error']:.0e}"


def _lost(row: Mapping[str, Any]) -> str:
    before, after = row["parameters"]
    return f"{100 * (1 - after / before):.0f}" if before and after else ""


def _ms(seconds: float) -> str:
    return f"{1000 * seconds:.0f}" if seconds else ""


def channels(figures: Figures) -> list[str]:
    """Return each network's accuracy, mean and range over the runs."""
    runs = [run for run in figures if "tuned" in run]
    dense = max(run["macs"] for run in runs)
    rows = []
    for network in dict.fromkeys(run["network"] for run in runs):
        mine = [run for run in runs if run["network"] == network]
        rows.append(
            [
                network,
                f"{100 * (1 - mine[0]['macs'] / dense):.1f}",
                f"{mine[0]['parameters']:,}",
                *(_range([100 * run[key] for run in mine]) for key in ("removed", "tuned")),
            ]
        )
    return [markdown(("channels by", "MACs less, %", "parameters", "removed, %", "fine-tuned, %"), rows)]


def _range(values: Sequence[float]) -> str:
    return f"{mean(values):.1f} ({min(values):.1f} to {max(values):.1f})"


LIBRARY = "safetensors library"


def file_size(figures: Figures) -> list[str]:
    """Return sizes and times of files, beside those of the library."""
    base = {row["model"]: row for row in figures if row["way"] == LIBRARY}
    rows = [
        [
            row["model"] if row["way"] == LIBRARY else "",
            _bold(row["way"]),
            f"{row['bytes'] / 1e6:.2f}",
            f"{row['bytes_per_weight']:.3f}",
            *(_beside(row[key], base[row["model"]][key]) for key in ("write", "read", "again")),
        ]
        for row in figures
    ]
    heads = ("model", "way", "MB", "bytes per weight", "write, ms", "read, ms", "read again, ms")
    return [markdown(heads, rows)]


def _beside(seconds: float, other: float) -> str:
    return f"{1000 * seconds:.0f} ({seconds / other:.1f}x)" if seconds else ""


TABLES: Mapping[str, Callable[[Figures], list[str]]] = {
    "selection": selection,
    "structure": structure,
    "channels": channels,
    "file-size": file_size,
}
