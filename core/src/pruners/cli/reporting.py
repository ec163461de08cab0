"""``pruners report``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click


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
    from ..errors import PrunersError
    from ._common import load_function

    path = Path(reference)
    readers = {".npz": _read_npz, ".safetensors": _read_safetensors}
    if path.suffix.lower() not in readers:
        return load_function(reference, "MODEL")()
    if not path.is_file():
        raise PrunersError(f"there is no file {reference!r}")
    return readers[path.suffix.lower()](path)


def _read_npz(path: Path) -> dict[str, Any]:
    import numpy as np

    from ..errors import PrunersError

    try:
        with np.load(path, allow_pickle=False) as arrays:
            return dict(arrays)
    except (ValueError, OSError) as error:
        raise PrunersError(f"{str(path)!r} is not a readable .npz file: {error}") from error


def _read_safetensors(path: Path) -> dict[str, Any]:
    from ..errors import PrunersError

    try:
        from safetensors import SafetensorError
        from safetensors.numpy import load_file
    except ImportError as error:
        raise PrunersError("reading .safetensors files needs: pip install safetensors") from error
    try:
        return load_file(path)
    except SafetensorError as error:
        raise PrunersError(f"{str(path)!r} is not a readable .safetensors file: {error}") from error
