"""``pruners info``."""

from __future__ import annotations

import difflib
import inspect
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from ..registry import Plugin

KINDS = ("pruner", "schedule", "pattern", "backend", "runtime")


@click.command()
@click.argument("name")
@click.option("--kind", type=click.Choice(KINDS), help="Needed only where two kinds share a name.")
def info(name: str, kind: str | None) -> None:
    """Show what the plugin NAME does, its options with defaults, its paper and what it needs."""
    from ..registry import load

    for plugin in find_plugins(name, kind):
        _print(plugin, load(plugin))


def find_plugins(name: str, kind: str | None) -> list[Plugin]:
    """Return the installed plugins of this name, of any kind or of one; raise where there is none."""
    from ..errors import UnknownName
    from ..known import PACKAGES
    from ..registry import installed

    if kind is not None:
        return [installed().find(kind, name)]
    found = []
    for each in KINDS:
        try:
            found.append(installed().find(each, name))
        except UnknownName:
            if (each, name) in PACKAGES:  # the message says what to install
                raise
    if found:
        return found
    names = sorted({plugin.name for plugin in installed().plugins})
    near = difflib.get_close_matches(name, names, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    raise UnknownName(
        f"nothing installed is named {name!r}.{hint} Installed: {', '.join(names) or 'nothing'}."
    )


def _print(plugin: Plugin, factory: Callable[..., Any]) -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from ..registry import options_of
    from ._common import show

    spec = plugin.spec
    click.echo(f"{plugin.kind} {plugin.name}, from {plugin.distribution} {plugin.version}")
    for label, words in (
        ("", spec.summary),
        ("Paper: ", getattr(spec, "paper", "")),
        ("Needs: ", ", ".join(sorted(getattr(spec, "needs", ())))),
        ("Opens: ", getattr(spec, "format", "")),
        ("Imports: " if plugin.kind == "runtime" else "Framework: ", ", ".join(getattr(spec, "modules", ()))),
    ):
        if words:
            click.echo(f"{label}{words}")
    options = options_of(factory)
    if not options:
        click.echo(
            "No options." if options is not None else "Its options are not known: it has no signature."
        )
        return
    meanings = described(inspect.getdoc(factory) or "")
    table = Table(box=box.SIMPLE_HEAD)
    for column in ("option", "default", "meaning"):
        table.add_column(column, overflow="fold", no_wrap=column != "meaning")
    for option, parameter in options.items():
        default = "required" if parameter.default is parameter.empty else repr(parameter.default)
        table.add_row(Text(option), Text(default), Text(meanings.get(option, "")))
    show(table)


def described(docstring: str) -> dict[str, str]:
    """Return ``{option: meaning}`` from the Parameters (or Attributes) section of a numpydoc docstring."""
    section = re.search(
        r"^(?:Parameters|Attributes)\n-+\n(.*?)(?=^\S[^\n]*\n-{3,}|\Z)", docstring, re.DOTALL | re.MULTILINE
    )
    meanings: dict[str, list[str]] = {}
    names: list[str] = []
    for line in section[1].splitlines() if section else []:
        if line.strip() and not line.startswith(" "):
            names = [name.strip() for name in line.partition(" :")[0].split(",")]
            meanings.update({name: [] for name in names})
        else:
            for name in names:
                meanings[name].append(line.strip())
    return {name: " ".join(" ".join(lines).split()) for name, lines in meanings.items()}
