"""The command line: ``python -m tests.zoo 'timm/*' --jobs 2``."""

from __future__ import annotations

from pathlib import Path

import click
from rich.console import Console
from rich.markup import escape

from pruners.protocols import Form

from .catalogue import matching
from .coverage import write
from .driving import ROOT, drive
from .results import Result, read

RESULTS = ROOT / ".nox" / "zoo.jsonl"


@click.command()
@click.argument("patterns", nargs=-1)
@click.option("--pruner", default="filter-norm", show_default=True, help="What ranks the channels.")
@click.option(
    "--form", "forms", multiple=True, type=click.Choice(["module", "graph"]), help="This form only."
)
@click.option("--jobs", default=1, show_default=True, help="Networks at a time, one thread each.")
@click.option("--limit", default=300.0, show_default=True, help="Seconds a network may take.")
@click.option("--results", default=RESULTS, type=click.Path(path_type=Path), help="JSON lines, appended to.")
@click.option("--again", is_flag=True, help="Run also what the results hold already.")
@click.option("--small", is_flag=True, help="Small images: quicker, of no use for times.")
@click.option("--list", "listing", is_flag=True, help="Name the networks and stop.")
@click.option("--page", type=click.Path(path_type=Path), help="Write the coverage page here.")
def main(
    patterns: tuple[str, ...],
    pruner: str,
    forms: tuple[Form, ...],
    jobs: int,
    limit: float,
    results: Path,
    again: bool,
    small: bool,
    listing: bool,
    page: Path | None,
) -> None:
    """Remove half of the channels of every network whose name matches PATTERNS (all, without any)."""
    console = Console(soft_wrap=True)
    entries = matching(patterns)
    if listing:
        for entry in entries:
            console.print(f"{entry.name}  [dim]{entry.family}[/dim]")
        return
    if not entries:
        raise click.UsageError(f"no network matches {' '.join(patterns)}")

    def tell(result: Result) -> None:
        colour = "green" if result.good else "red"
        console.print(
            f"[{colour}]{result.name}[/{colour}] {result.form}: {escape(result.verdict)}; parameters "
            f"-{result.reduction:.0%}, {sum(result.seconds.values()):.1f} s",
            highlight=False,
            markup=True,
        )

    drive(
        entries, results, tell, pruner=pruner, jobs=jobs, limit=limit, forms=forms, again=again, small=small
    )
    if page is not None:
        write(page, read(results), pruner)


if __name__ == "__main__":
    main()
