"""``pruners new``."""

from __future__ import annotations

from pathlib import Path

import click

KINDS = ("pruner", "schedule", "pattern", "backend")
"""What there are templates of."""


@click.command()
@click.argument("kind", type=click.Choice(KINDS))
@click.argument("name")
@click.option(
    "--unit",
    type=click.Choice(("weight", "channel")),
    default="weight",
    show_default=True,
    help="What one score of a pruner stands for.",
)
@click.option(
    "--needs",
    multiple=True,
    metavar="WHAT",
    help="What a pruner looks at besides weights, for example activations; may be given again.",
)
@click.option(
    "--into",
    type=click.Path(file_okay=False, path_type=Path),
    default=".",
    show_default=True,
    help="Folder in which the package's folder is made.",
)
def new(kind: str, name: str, unit: str, needs: tuple[str, ...], into: Path) -> None:
    """Write a package with a new pruner, schedule, pattern or backend: NAME.

    The package works as it is written: it installs, is listed, and passes its tests. What it does is an
    example, to be replaced.
    """
    from ..authoring import NewPlugin, write

    several = tuple(sorted({each for written in needs for each in written.split(",")}))
    plugin = NewPlugin(kind=kind, name=name, unit=unit, needs=several)
    folder = into / plugin.distribution
    for path in write(plugin, folder):
        click.echo(f"Wrote {path.as_posix()}")
    click.echo(f"Next: cd {folder.as_posix()} && pip install -e '.[test]' && pytest && pruners check {name}")
