"""What models are called with: from a function, or random numbers of a shape."""

from __future__ import annotations

from typing import Any

import click

from ..errors import PrunersError


def parse_shapes(
    _: click.Context, __: click.Parameter, written: tuple[str, ...]
) -> tuple[tuple[int, ...], ...]:
    """Read shapes such as ``1,3,32,32``; the first axis is the batch."""
    try:
        shapes = tuple(tuple(int(part) for part in text.split(",")) for text in written)
    except ValueError:
        raise click.BadParameter(f"{' '.join(written)!r} is not a shape such as 1,3,32,32") from None
    if any(length < 1 for shape in shapes for length in shape):
        raise click.BadParameter(f"{' '.join(written)!r}: lengths are at least 1")
    return shapes


shape_option = click.option(
    "--shape",
    "shapes",
    multiple=True,
    callback=parse_shapes,
    help="Shape of an input of random numbers, as 1,3,32,32; may be given again.",
)
"""The option of every command that runs a model."""


def example_inputs(reference: str | None, shapes: tuple[tuple[int, ...], ...], model: Any) -> Any:
    """
    Return what the function `reference` gives, or normal random numbers of `shapes` as positional inputs.

    They are float32 of the model's own framework, from a fixed seed. None where neither is given.

    Raises
    ------
    PrunersError
        If both are given; if there is no such function.
    """
    from ._common import load_function

    if reference is not None and shapes:
        raise PrunersError("give --inputs or --shape: a function that returns the inputs, or their shapes")
    if reference is not None:
        return load_function(reference, "--inputs")()
    return _random(shapes, model) if shapes else None


def _random(shapes: tuple[tuple[int, ...], ...], model: Any) -> tuple[Any, ...]:
    import numpy as np

    from ..registry import backend_for

    ops: Any = backend_for(model).open(model).view(()).ops
    draw = np.random.default_rng(0)
    return tuple(ops.asarray(draw.standard_normal(shape).astype(np.float32)) for shape in shapes)
