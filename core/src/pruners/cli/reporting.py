"""``pruners report``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from ..errors import PrunersError

_FILE = click.Path(dir_okay=False)


@click.command()
@click.argument("model")
@click.option("--compressed", is_flag=True, help="Also deflate every layer and print the size.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
@click.option("--html", type=_FILE, help="Also write a page to this file, and its numbers as JSON beside it.")
@click.option("--dense", metavar="MODEL", help="The model before pruning, for the page.")
@click.option("--session", type=_FILE, help="JSON of a session's state_dict, for the page.")
@click.option("--sensitivity", type=_FILE, help="JSON of `pruners sensitivity --json`, for the page.")
@click.option("--measurement", type=_FILE, help="JSON of `pruners measure --json`, for the page.")
@click.option("--exported", type=_FILE, multiple=True, help="JSON of `pruners export --json`, for the page.")
@click.option("--removal", type=_FILE, help="JSON of a removal's report().to_dict(), for the page.")
@click.option(
    "--layers", multiple=True, help="Name or glob of layers to draw on the page; may be given again."
)
def report(model: str, compressed: bool, as_json: bool, html: str | None, **parts: Any) -> None:
    """Print the zeros, bytes and shapes of MODEL, layer by layer.

    MODEL is "module:function", a function that builds or loads the model, or a .safetensors or .npz file.
    """
    from ..reports import report as measure
    from ._common import show, show_json

    _check_parts(html, parts)
    opened = open_reference(model)
    found = measure(opened, compressed=compressed)
    if html is not None:
        _write_page(opened, html, model, parts)
    if as_json:
        show_json(found.to_dict())
    else:
        show(found)
        if html is not None:
            click.echo(f"Wrote {html}")
            click.echo(f"Wrote {Path(html).with_suffix('.json')}")


def _check_parts(html: str | None, parts: dict[str, Any]) -> None:
    """Raise where something is given that only a page shows, or a page cannot be made."""
    if html is None:
        unused = [name for name, value in parts.items() if value]
        if unused:
            raise PrunersError(f"--{unused[0]} is shown on the page only: add --html report.html")
        return
    from ..pages.drawing import check_libraries
    from ..pages.writing import check_path

    check_path(html)
    check_libraries()


def _write_page(opened: Any, html: str, model: str, parts: dict[str, Any]) -> None:
    from ..pages.writing import page

    dense, layers = parts["dense"], parts["layers"]
    page(
        opened,
        html,
        session=_values("session", parts["session"]),
        dense=None if dense is None else open_reference(dense),
        removal=_values("removal", parts["removal"]),
        measurement=_values("measurement", parts["measurement"]),
        exported=[values for each in parts["exported"] if (values := _values("exported", each))],
        sensitivities=_values("sensitivity", parts["sensitivity"]),
        layers=layers or None,
        title=f"Pruning report: {model}",
    )


def _values(option: str, path: str | None) -> dict[str, Any] | None:
    """Return the object that a JSON file holds."""
    if path is None:
        return None
    try:
        found = json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise PrunersError(f"--{option}: there is no file {path!r}") from error
    except (OSError, ValueError) as error:
        raise PrunersError(f"--{option}: {path!r} is not a readable JSON file: {error}") from error
    if not isinstance(found, dict):
        raise PrunersError(f"--{option}: {path!r} holds JSON, but no object with named values")
    return found


def open_reference(reference: str) -> Any:
    """Return the model that a file holds, as a dict of arrays, or that a function builds."""
    from ._common import load_function
    from ._files import READERS, read_arrays

    path = Path(reference)
    if path.suffix.lower() in READERS:
        return read_arrays(path)
    if path.is_file():
        raise PrunersError(
            f"MODEL {reference!r} is a file of a kind that is not read; "
            f"give a {' or '.join(READERS)} file, or 'module:function'"
        )
    return load_function(reference, "MODEL")()
