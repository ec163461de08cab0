"""Results of removals as tables in Markdown, whatever the framework."""

from __future__ import annotations

import datetime
import platform
import statistics
from collections import Counter
from collections.abc import Iterable, Sequence
from importlib.metadata import version

from .results import REDUCTION, Result

HEADS = (
    "network",
    "form",
    "image",
    "groups",
    "units",
    "parameters",
    "MACs",
    "error",
    "forward s",
    "analysis s",
    "planning s",
    "removal s",
    "proof s",
    "layers whole",
)


def title(text: str) -> list[str]:
    """Return the first lines of a page whose tables take all of its width."""
    return ["---", "hide: [toc]", "---", "", f"# {text}", ""]


def summary(results: Sequence[Result]) -> list[str]:
    """Return the totals."""
    good = [each for each in results if each.good]
    exact = [each for each in results if each.exact and not each.refused]
    timed = [each for each in exact if each.forward]
    lines = [
        "| | |",
        "| --- | ---: |",
        f"| networks | {len(results)} |",
        f"| exact | {len(exact)} |",
        f"| exact and at least {REDUCTION:.0%} fewer parameters | {len(good)} |",
        f"| of these in place | {sum(each.form == 'module' for each in good)} |",
        f"| of these as a graph | {sum(each.form == 'graph' for each in good)} |",
    ]
    if timed:
        slowest = max(timed, key=lambda each: sum(each.seconds.values()))
        lines += [
            f"| median reduction of parameters | {_median(each.reduction for each in exact):.0%} |",
            f"| median reduction of MACs | {_median(each.macs_reduction for each in exact):.0%} |",
            f"| analysis, median in forward passes | {_median(map(analysis, timed)):.1f} |",
            f"| planning and removal, median in forward passes | {_median(map(surgery, timed)):.1f} |",
            f"| proof in float64, median in forward passes | {_median(map(proof, timed)):.1f} |",
            f"| slowest in all, s | {sum(slowest.seconds.values()):.1f} ({slowest.name}) |",
        ]
    return lines


def _median(values: Iterable[float]) -> float:
    return statistics.median(list(values))


def analysis(result: Result) -> float:
    """Return the analysis in forward passes."""
    return result.seconds.get("analysis", 0.0) / result.forward


def surgery(result: Result) -> float:
    """Return the planning and the removal without its proof, in forward passes."""
    return (_planning(result) + result.seconds.get("removal", 0.0)) / result.forward


def proof(result: Result) -> float:
    """Return the proof in forward passes."""
    return result.seconds.get("proof", 0.0) / result.forward


def _planning(result: Result) -> float:
    return result.seconds.get("scores", 0.0) + result.seconds.get("planning", 0.0)


def row(result: Result) -> tuple[str, ...]:
    """Return one line of the table."""
    name = result.name.partition("/")[2]
    if result.refused:
        return (name, result.form, result.image, *[""] * (len(HEADS) - 3))
    return (
        name,
        "in place" if result.form == "module" else "graph",
        result.image,
        str(result.groups),
        f"{result.units:,}",
        _fell(result.parameters, result.reduction),
        _fell(result.macs, result.macs_reduction),
        f"{max(result.error, result.heads_error):.0e}",
        f"{result.forward:.3f}",
        f"{result.seconds.get('analysis', 0):.2f}",
        f"{_planning(result):.2f}",
        f"{result.seconds.get('removal', 0):.2f}",
        f"{result.seconds.get('proof', 0):.2f}",
        str(len(result.whole)),
    )


def _fell(pair: tuple[int, int], fraction: float) -> str:
    return f"{_short(pair[0])} → {_short(pair[1])} (−{fraction:.0%})"


def _short(number: int) -> str:
    for unit, size in (("G", 10**9), ("M", 10**6), ("k", 10**3)):
        if number >= size:
            return f"{number / size:.3g} {unit}"
    return str(number)


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Return a Markdown table."""
    rule = ["---" if head in ("network", "form", "what", "why") else "---:" for head in heads]
    return ["| " + " | ".join(cells) + " |" for cells in (heads, rule, *rows)]


def exceptions(met: Iterable[tuple[str, Result]]) -> list[str]:
    """Return what is not exact, too little or refused, and why, of ``(known exception, result)``."""
    rows = [
        (result.name, _cell(result.verdict), _cell(exception or "not yet understood"))
        for exception, result in met
        if not result.good
    ]
    if not rows:
        return ["## Exceptions", "", "None.", ""]
    return ["## Exceptions", "", *table(("network", "what", "why"), rows), ""]


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def kept_whole(results: Iterable[Result]) -> list[str]:
    """Return which layers lost no channel, by reason, for every network."""
    lines = ["## What was kept whole", ""]
    for result in results:
        if result.refused:
            continue
        counts = Counter(result.whole.values())
        parts = [
            f"{_cell(reason)} ({count}: `{_first(result, reason)}`{', …' if count > 1 else ''})"
            for reason, count in counts.most_common()
        ]
        parts += [f"`{layer}` got channels back: {_cell(why)}" for layer, why in result.restored.items()]
        if parts:
            lines.append(f"- **{result.name}**: " + "; ".join(parts) + ".")
    return [*lines, ""]


def _first(result: Result, reason: str) -> str:
    return next(layer for layer, why in result.whole.items() if why == reason)


def made(session: str, parts: Iterable[str]) -> list[str]:
    """Return who wrote the page, with what and when."""
    versions = ", ".join(f"{part} {version(part)}" for part in parts)
    when, python = datetime.date.today().isoformat(), platform.python_version()
    return ["---", "", f"Written by `nox -s {session}` on {when}: Python {python}, {versions}."]
