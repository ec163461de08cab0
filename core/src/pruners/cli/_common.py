"""What commands share: printing tables, and finding what a user names as ``module:function``."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from rich.console import Console, RenderableType

from ..errors import PrunersError
from ..tables import as_text


def show(table: RenderableType) -> None:
    """Print a table: with rich on a terminal, elsewhere as plain text that is never cut."""
    console = Console()
    if console.is_terminal:
        console.print(table)
    else:
        click.echo(as_text(table))


def show_json(values: Any) -> None:
    """Print plain values as JSON, which has no NaN and no infinity."""
    click.echo(json.dumps(values, indent=2, allow_nan=False))


def load_function(reference: str, what: str) -> Callable[..., Any]:
    """
    Return the function that ``module:function`` names; the current directory is importable.

    Raises
    ------
    PrunersError
        If there is no such module or function. An error inside the module is left as it is.
    """
    module, colon, name = reference.partition(":")
    if not (module and colon and name):
        raise PrunersError(f"{what} must be 'module:function', got {reference!r}")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        found: Any = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):
            raise
        raise PrunersError(
            f"{what} {reference!r}: no module {error.name!r} here or among the installed ones"
        ) from error
    for part in name.split("."):
        if part not in dir(found):
            raise PrunersError(f"{what} {reference!r}: module {module!r} has no {name!r}")
        found = getattr(found, part)
    if not callable(found):
        raise PrunersError(f"{what} {reference!r} must be a function, it is of type {type(found).__name__}")
    return found  # type: ignore[no-any-return]
