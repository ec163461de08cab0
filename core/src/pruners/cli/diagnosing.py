"""``pruners doctor``."""

from __future__ import annotations

import platform
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from ..diagnosis.environment import Engine, Framework
    from ..diagnosis.findings import Finding

CONFORMANCE = "pruners-conformance"


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")
@click.pass_context
def doctor(ctx: click.Context, as_json: bool) -> None:
    """Explain what is wrong with the installed plugins, and what to type.

    Also prints what a bug report should say about this environment. No framework is imported. Exit status 1
    when something is wrong.
    """
    from ..diagnosis.environment import engines, frameworks
    from ..diagnosis.findings import findings
    from ..registry import installed

    found = installed()
    wrong = findings(found)
    facts = _facts()
    notes = [f"{each.kind} {each.name!r} of {each.distribution} {each.outdated}." for each in found.plugins
             if each.outdated]  # fmt: skip
    if as_json:
        _print_json(facts, frameworks(found), engines(found), wrong, notes)
    else:
        for what, value in facts.items():
            click.echo(f"{what}: {value}")
        _print_frameworks(frameworks(found))
        _print_engines(engines(found))
        packages = {each.distribution for each in found.plugins}
        click.echo(f"{len(found.plugins)} plugins of {len(packages)} packages can be used.")
        for note in notes:
            click.echo(f"Note: {note}")
        for finding in wrong:
            _print_finding(finding)
        if not wrong:
            click.echo("All is well.")
    ctx.exit(1 if wrong else 0)


def _facts() -> dict[str, str]:
    from ..diagnosis.environment import version_of
    from ..versions import CURRENT, OLDEST

    return {
        "pruners": f"{version_of('pruners')}, plugin API {CURRENT.version}"
        + (f" (takes {OLDEST} and later)" if CURRENT.version > OLDEST else ""),
        CONFORMANCE: version_of(CONFORMANCE) or f"not installed: pip install {CONFORMANCE}",
        "Python": f"{platform.python_version()} ({platform.python_implementation()}), {platform.platform()}",
    }


def _print_frameworks(found: tuple[Framework, ...]) -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from ._common import show

    table = Table(box=box.SIMPLE_HEAD)
    for column in ("framework", "version", "backend"):
        table.add_column(column, overflow="fold", no_wrap=True)
    for each in found:
        cells = (each.module, each.version or "not installed", ", ".join(each.backends) or "none")
        table.add_row(*(Text(cell) for cell in cells))
    show(table)


def _print_engines(found: tuple[Engine, ...]) -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from ._common import show

    if not found:
        return
    table = Table(box=box.SIMPLE_HEAD)
    for column in ("runtime", "opens", "version", "package"):
        table.add_column(column, overflow="fold", no_wrap=True)
    for each in found:
        cells = (each.name, each.format, ", ".join(each.modules), each.package)
        table.add_row(*(Text(cell) for cell in cells))
    show(table)


def _print_finding(finding: Finding) -> None:
    click.echo(f"\n{finding.package}")
    click.echo(f"  Cause:  {' '.join(finding.cause.split())}")
    for number, command in enumerate(finding.commands):
        click.echo(f"  {'or:    ' if number else 'Type:  '} {command}")
    if finding.author:
        click.echo(f"  Author: {finding.author}")


def _print_json(
    facts: dict[str, str],
    found: tuple[Framework, ...],
    runtimes: tuple[Engine, ...],
    wrong: tuple[Finding, ...],
    notes: list[str],
) -> None:
    from ._common import show_json

    values: dict[str, Any] = {
        "environment": facts,
        "frameworks": [
            {"module": each.module, "version": each.version or None, "backends": list(each.backends)}
            for each in found
        ],
        "runtimes": [
            {
                "name": each.name,
                "format": each.format,
                "modules": list(each.modules),
                "package": each.package,
            }
            for each in runtimes
        ],
        "notes": notes,
        "findings": [
            {
                "package": each.package,
                "cause": " ".join(each.cause.split()),
                "commands": list(each.commands),
                "author": each.author,
            }
            for each in wrong
        ],
    }
    show_json(values)
