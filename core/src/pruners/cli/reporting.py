"""``pruners report``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ..errors import PrunersError


@click.command()
@click.argument("model")
@click.option("--compressed", is_flag=True, help="Also deflate every layer and print the size.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
def report(model: str, compressed: bool, as_json: bool) -> None:
    """Print the zeros, bytes and shapes of MODEL, layer by layer.

    MODEL is "module:function", a function that builds or loads the model, or a .safetensors or .npz file.
    """
    from ..reports import report as measure
    from ._common import show, show_json

    found = measure(open_reference(model), compressed=compressed)
    if as_json:
        show_json(found.to_dict())
    else:
        show(found)


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
