"""``pruners export``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ..errors import PrunersError
from ._inputs import example_inputs, shape_option


@click.command()
@click.argument("model")
@click.option("--to", default="onnx", show_default=True, help="A file format, or a runtime that converts.")
@click.option("--output", required=True, type=click.Path(dir_okay=False), help="The file to write.")
@click.option("--inputs", help='"module:function" that returns what the model is called with.')
@shape_option
@click.option("--dense", help="The model to compare with, as MODEL; left out, MODEL without its zeros.")
@click.option(
    "--data", help='"module:function" that returns batches to calibrate on, where numbers are rounded.'
)
@click.option(
    "--threads", default=1, show_default=True, type=click.IntRange(min=1), help="For every runtime."
)
@click.option("--measure", default=20, show_default=True, type=click.IntRange(min=0), help="Rounds to time.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
def export(
    model: str,
    to: str,
    output: str,
    inputs: str | None,
    shapes: tuple[tuple[int, ...], ...],
    dense: str | None,
    data: str | None,
    threads: int,
    measure: int,
    as_json: bool,
) -> None:
    """Write MODEL as a file for other programs, prove it by running it, and time it.

    MODEL is "module:function", a function that builds or loads the model. What it is called with comes from
    --inputs, or is drawn in the shape of --shape.
    """
    from ..exporting import export as write
    from ._common import load_function, show, show_json

    if not (inputs or shapes):
        raise PrunersError(
            "give --inputs module:function or --shape 1,3,32,32: what the model is called with"
        )
    built = _built(model, "MODEL")
    found = write(
        built,
        output,
        example_inputs(inputs, shapes, built),
        to=to,
        dense=None if dense is None else _built(dense, "--dense"),
        data=None if data is None else load_function(data, "--data")(),
        measure=measure,
        threads=threads,
    )
    if as_json:
        show_json(found.to_dict())
    else:
        show(found)


def _built(reference: str, what: str) -> Any:
    from ._common import load_function
    from ._files import READERS

    if Path(reference).suffix.lower() in READERS:
        raise PrunersError(
            f"{what} {reference!r} holds arrays, and a network is more: give 'module:function', which "
            "builds the network and loads the file into it with pruners.load"
        )
    return load_function(reference, what)()
