"""The page ``docs/coverage.md``, generated from the results of the zoo."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import click

from .catalogue import ZOO
from .results import REDUCTION, Result, best, read
from .tables import HEADS, exceptions, kept_whole, made, row, summary, table, title

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
SECTIONS = ("torchvision", "paper", "timm")
PARTS = ("pruners", "torch", "torchvision", "timm", "numpy")


def write(path: Path, results: Mapping[tuple[str, str], Result], pruner: str = "filter-norm") -> None:
    """Write the page for the networks of the zoo that have a result."""
    path.write_text(page(results, pruner), encoding="utf-8")


def page(results: Mapping[tuple[str, str], Result], pruner: str = "filter-norm") -> str:
    """Return the page as Markdown."""
    chosen = best(results)
    met = [(entry, chosen[entry.name]) for entry in ZOO if entry.name in chosen]
    found = [result for _, result in met]
    lines = [*title("Coverage"), INTRODUCTION.format(pruner=pruner, reduction=REDUCTION), *summary(found), ""]
    for section in SECTIONS:
        rows = [row(result) for entry, result in met if entry.name.startswith(f"{section}/")]
        if rows:
            lines += [f"## {section}", "", *table(HEADS, rows), ""]
    lines += [*exceptions((entry.exception, result) for entry, result in met), *kept_whole(found)]
    lines += made("zoo", PARTS)
    return "\n".join(lines).rstrip() + "\n"


@click.command()
@click.argument("results", type=click.Path(exists=True, path_type=Path))
@click.argument("target", type=click.Path(path_type=Path))
def main(results: Path, target: Path) -> None:
    """Write the page TARGET from the JSON lines in RESULTS."""
    write(target, read(results))


if __name__ == "__main__":
    main()
