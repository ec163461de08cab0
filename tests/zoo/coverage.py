"""The page ``docs/coverage.md``, generated from the results of the zoo."""

from __future__ import annotations

import datetime
import platform
import statistics
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

import click

from .catalogue import ZOO
from .entry import Entry
from .results import REDUCTION, Result, best, read

INTRODUCTION = """\
Half of the channels of every network below were removed with
`pruners.remove(model, "{pruner}", sparsity=0.5, example_inputs=...)`: in place where that takes at least
{reduction:.0%} of the parameters, otherwise as a graph. A network is *exact* when the smaller model computes
what the masked original computes. The reference is written apart from the library; both run in float64, and
their largest difference, relative to the largest output, is at most 1e-6. What is left must train.

Weights are random, normalisation statistics are fitted to the example inputs, classifiers have ten classes.
Widths are the published ones; networks that no package ships were written from their papers at small size
(section "paper"). Times are processor seconds of one thread; *forward* is one forward pass of the original in
evaluation mode.
"""
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
    "removal and proof s",
    "layers whole",
)
SECTIONS = ("torchvision", "paper", "timm")


def write(path: Path, results: Mapping[tuple[str, str], Result], pruner: str = "filter-norm") -> None:
    """Write the page for the networks of the zoo that have a result."""
    path.write_text(page(results, pruner), encoding="utf-8")


def page(results: Mapping[tuple[str, str], Result], pruner: str = "filter-norm") -> str:
    """Return the page as Markdown."""
    chosen = best(results)
    met = [(entry, chosen[entry.name]) for entry in ZOO if entry.name in chosen]
    found = [result for _, result in met]
    lines = ["# Coverage", "", INTRODUCTION.format(pruner=pruner, reduction=REDUCTION), *summary(found), ""]
    for section in SECTIONS:
        rows = [row(result) for entry, result in met if entry.name.startswith(f"{section}/")]
        if rows:
            lines += [f"## {section}", "", *table(HEADS, rows), ""]
    lines += [*exceptions(met), *kept_whole(found), *made()]
    return "\n".join(lines).rstrip() + "\n"


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
            f"| planning, removal and proof, median in forward passes | {_median(map(rest, timed)):.1f} |",
            f"| slowest in all, s | {sum(slowest.seconds.values()):.1f} ({slowest.name}) |",
        ]
    return lines


def _median(values: Iterable[float]) -> float:
    return statistics.median(list(values))


def analysis(result: Result) -> float:
    """Return the analysis in forward passes."""
    return result.seconds.get("analysis", 0.0) / result.forward


def rest(result: Result) -> float:
    """Return everything after the analysis, in forward passes."""
    return (_planning(result) + _removal(result)) / result.forward


def _planning(result: Result) -> float:
    return result.seconds.get("scores", 0.0) + result.seconds.get("planning", 0.0)


def _removal(result: Result) -> float:
    known = {"analysis", "scores", "planning"}
    return sum(value for stage, value in result.seconds.items() if stage not in known)


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
        f"{_removal(result):.2f}",
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


def exceptions(met: Iterable[tuple[Entry, Result]]) -> list[str]:
    """Return what is not exact, too little or refused, and why."""
    rows = [
        (entry.name, _cell(result.verdict), _cell(entry.exception or "not yet understood"))
        for entry, result in met
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


def made() -> list[str]:
    """Return who wrote the page, with what and when."""
    parts = ("pruners", "torch", "torchvision", "timm", "numpy")
    versions = ", ".join(f"{part} {version(part)}" for part in parts)
    when, python = datetime.date.today().isoformat(), platform.python_version()
    return ["---", "", f"Written by `nox -s zoo` on {when}: Python {python}, {versions}."]


@click.command()
@click.argument("results", type=click.Path(exists=True, path_type=Path))
@click.argument("target", type=click.Path(path_type=Path))
def main(results: Path, target: Path) -> None:
    """Write the page TARGET from the JSON lines in RESULTS."""
    write(target, read(results))


if __name__ == "__main__":
    main()
