"""``pruners check``."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .details import KINDS, find_plugins

if TYPE_CHECKING:
    from pruners_conformance import Examination, Record

    from ..registry import Plugin

NEEDED = "pruners-conformance"
COLUMNS = {"check": 0, "result": 0, "reason": 60, "what to do": 60}
"""The columns of the table, with the widths at which they are folded; 0 is never."""


@click.command()
@click.argument("name")
@click.option("--kind", type=click.Choice(KINDS), help="Needed only where two kinds share a name.")
@click.option(
    "--option",
    "written",
    multiple=True,
    metavar="NAME=VALUE",
    help="An option to check it with; may be given again.",
)
@click.option(
    "--tests",
    type=click.Path(path_type=Path),
    help="A file or folder with its tests, whose worked examples are taken.",
)
@click.option("--no-tests", is_flag=True, help="Look for no tests beside an editable source.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
@click.pass_context
def check(
    ctx: click.Context,
    name: str,
    kind: str | None,
    written: tuple[str, ...],
    tests: Path | None,
    no_tests: bool,
    as_json: bool,
) -> None:
    """Check whether the plugin NAME keeps the promises of its kind.

    Needs the package pruners-conformance. Worked examples come from the plugin's tests: those that --tests
    names, or those beside its source where it is installed with "pip install -e". Exit status 1 when a
    promise is broken.
    """
    from ..errors import OptionError

    _needs_conformance()
    from pruners_conformance import examine

    if written and tests is not None:
        raise click.UsageError("give --option or --tests: tests have options of their own")
    plugins = find_plugins(name, kind)
    options = dict(_option(each) for each in written)
    try:
        found = [
            (plugin, each)
            for plugin in plugins
            for each in examine(plugin, options=options, tests=tests, look=not no_tests)
        ]
    except OptionError as error:
        raise OptionError(f"{error} Give options as --option NAME=VALUE") from error
    if as_json:
        _print_json(found)
    else:
        for plugin, each in found:
            _print(plugin, each)
    ctx.exit(0 if all(each.ok for _, each in found) else 1)


def _needs_conformance() -> None:
    from ..errors import PrunersError

    try:
        import pruners_conformance  # noqa: F401
    except ModuleNotFoundError as error:
        if error.name != "pruners_conformance":
            raise
        raise PrunersError(f"the checks are in a package of their own: pip install {NEEDED}") from error


def _option(written: str) -> tuple[str, Any]:
    """Read ``name=value``; a value is a number, true, false, null, a list, or else text."""
    name, equals, text = written.partition("=")
    if not (name and equals):
        raise click.BadParameter(f"{written!r} is not NAME=VALUE", param_hint="--option")
    try:
        return name, json.loads(text)
    except json.JSONDecodeError:
        return name, text


def _print(plugin: Plugin, found: Examination) -> None:
    from pruners_conformance.examining import uncompared
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from ._common import show

    click.echo(f"{plugin.kind} {plugin.name}, from {plugin.distribution} {plugin.version}{_with(found)}")
    table = Table(box=box.SIMPLE_HEAD)
    for column, width in COLUMNS.items():
        table.add_column(column, overflow="fold", no_wrap=not width, max_width=width or None)
    for record in found.records:
        style = "" if record.status == "passed" else "dim" if record.ok else "bold red"
        cells = (record.check, record.status, record.reason, record.advice)
        table.add_row(*(Text(cell) for cell in cells), style=style)
    show(table)
    click.echo(_count(found.records))
    for why in uncompared(plugin):
        click.echo(f"Note: {why}")
    if plugin.outdated:
        click.echo(f"Note: it {plugin.outdated}.")


def _with(found: Examination) -> str:
    options = ", ".join(f"{name}={value!r}" for name, value in found.options.items())
    where = f"; {found.test} in {_short(found.path)}" if found.path else ""
    return (f" with {options}" if options else "") + where


def _short(path: Path) -> str:
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


def _count(records: tuple[Record, ...]) -> str:
    counts = Counter(record.status for record in records)
    return ", ".join(f"{number} {status}" for status, number in counts.items())


def _print_json(found: list[tuple[Plugin, Examination]]) -> None:
    from ._common import show_json

    show_json(
        [
            {
                "kind": plugin.kind,
                "name": plugin.name,
                "distribution": plugin.distribution,
                "version": plugin.version,
                "options": {name: repr(value) for name, value in each.options.items()},
                "test": each.test,
                "ok": each.ok,
                "records": [
                    {
                        "check": record.check,
                        "status": record.status,
                        "reason": record.reason,
                        "advice": record.advice,
                    }
                    for record in each.records
                ],
            }
            for plugin, each in found
        ]
    )
