"""``pruners list``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from ..registry import Installed


@click.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
@click.pass_context
def list_plugins(ctx: click.Context, as_json: bool) -> None:
    """List every installed plugin, and what is broken and why.

    Exit status 1 when something is broken. No framework is imported.
    """
    from ..registry import installed

    found = installed()
    (_print_json if as_json else _print_table)(found)
    ctx.exit(1 if found.failures else 0)


def _print_table(found: Installed) -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from ._common import show

    table = Table(box=box.SIMPLE_HEAD)
    for column in ("kind", "name", "package", "version", "summary"):
        table.add_column(column, overflow="fold", no_wrap=column != "summary")
    for plugin in found.plugins:
        cells = (plugin.kind, plugin.name, plugin.distribution, plugin.version, plugin.spec.summary)
        table.add_row(*(Text(cell) for cell in cells))
    if found.plugins:
        show(table)
    else:
        click.echo("No plugin is installed; try: pip install pruners[numpy]")
    for failure in found.failures:
        click.echo(f"broken: {failure}")
    if found.failures:
        click.echo("What to type: see pruners doctor")


def _print_json(found: Installed) -> None:
    from ._common import show_json

    plugins = [
        {
            "kind": plugin.kind,
            "name": plugin.name,
            "distribution": plugin.distribution,
            "version": plugin.version,
            "summary": plugin.spec.summary,
        }
        for plugin in found.plugins
    ]
    failures = [
        {
            "distribution": failure.distribution,
            "version": failure.version,
            "entry_point": failure.entry_point,
            "cause": failure.cause,
        }
        for failure in found.failures
    ]
    show_json({"plugins": plugins, "failures": failures})
