"""The command line: ``python -m tests.zoo.gluon resnet50_v1 --page docs/coverage-mxnet.md``."""

from __future__ import annotations

from fnmatch import fnmatch
from pathlib import Path

import click
from rich.console import Console
from rich.markup import escape

from .. import tables
from ..results import REDUCTION, Result
from .networks import NETWORKS
from .running import run

INTRODUCTION = """\
Half of the channels of every network of Gluon's vision model zoo were removed with
`pruners.remove(net, "{pruner}", sparsity=0.5, example_inputs=...)`, in place. A network is *exact* when the
smaller model computes what the masked original computes. The reference is written apart from the library;
both run in float64, and their largest difference, relative to the largest output, is at most 1e-6. What is
left must train.

Weights are random, normalisation statistics are fitted to the example inputs, classifiers have ten classes.
Times are processor seconds of one thread, *forward* is one forward pass of the original.
"""
PARTS = ("pruners", "mxnet", "numpy")


@click.command()
@click.argument("patterns", nargs=-1)
@click.option("--pruner", default="filter-norm", show_default=True, help="What ranks the channels.")
@click.option("--small", is_flag=True, help="Small images: quicker, of no use for times.")
@click.option("--page", type=click.Path(path_type=Path), help="Write the coverage page here.")
def main(patterns: tuple[str, ...], pruner: str, small: bool, page: Path | None) -> None:
    """Remove half of the channels of every network whose name matches PATTERNS (all, without any)."""
    console = Console(soft_wrap=True)
    chosen = [each for each in NETWORKS if not patterns or any(fnmatch(each.name, p) for p in patterns)]
    if not chosen:
        raise click.UsageError(f"no network matches {' '.join(patterns)}")
    results = []
    for network in chosen:
        result = run(network, pruner, small)
        results.append(result)
        colour = "green" if result.good else "red"
        took = sum(result.seconds.values())
        console.print(
            f"[{colour}]{result.name}[/{colour}]: {escape(result.verdict)}; parameters "
            f"-{result.reduction:.0%}, {took:.1f} s",
            highlight=False,
        )
    if page is not None:
        page.write_text(text(results, pruner), encoding="utf-8")


def text(results: list[Result], pruner: str) -> str:
    """Return the page as Markdown."""
    lines = [
        "# Coverage of Gluon's model zoo",
        "",
        INTRODUCTION.format(pruner=pruner),
        f"{_totals(results)}",
        "",
    ]
    lines += _special(results)
    lines += tables.table(tables.HEADS, map(tables.row, results))
    lines += ["", *tables.exceptions(("", each) for each in results), *tables.kept_whole(results)]
    return "\n".join([*lines, *tables.made("zoo_mxnet", PARTS)]).rstrip() + "\n"


def _special(results: list[Result]) -> list[str]:
    """Return what some networks were asked for beside the rest."""
    met = {result.name for result in results}
    return [
        f"`{network.name}` was asked for with `{name}={value}`, without which MXNet cannot train it.\n"
        for network in NETWORKS
        for name, value in network.options.items()
        if f"gluon/{network.name}" in met
    ]


def _totals(results: list[Result]) -> str:
    good = sum(each.good for each in results)
    return f"{good} of {len(results)} networks are exact with at least {REDUCTION:.0%} fewer parameters."


if __name__ == "__main__":
    main()
