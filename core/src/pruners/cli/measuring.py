"""``pruners measure``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ._inputs import example_inputs, shape_option


def _names(_: click.Context, __: click.Parameter, text: str | None) -> tuple[str, ...] | None:
    return None if text is None else tuple(part.strip() for part in text.split(",") if part.strip())


@click.command()
@click.argument("models", metavar="MODEL...", nargs=-1, required=True)
@click.option("--dense", help="The model that the others are compared with; without it, the first MODEL.")
@click.option(
    "--runtimes",
    callback=_names,
    help="Where to run, with commas between: torch,onnxruntime,openvino. By default the models' framework.",
)
@click.option("--inputs", help='"module:function" that returns the example inputs.')
@shape_option
@click.option("--evaluate", help='"module:function" that takes a model and returns a number.')
@click.option("--data", help='"module:function" that returns batches of inputs to calibrate int8 on.')
@click.option("--rounds", type=click.IntRange(min=1), default=20, show_default=True, help="Timed runs.")
@click.option("--threads", type=click.IntRange(min=1), default=1, show_default=True, help="Of every runtime.")
@click.option("--no-memory", is_flag=True, help="Start no processes to measure the memory of exported files.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of tables.")
@click.option(
    "--output", type=click.Path(dir_okay=False, writable=True, path_type=Path), help="Also write JSON here."
)
def measure(
    models: tuple[str, ...],
    dense: str | None,
    runtimes: tuple[str, ...] | None,
    inputs: str | None,
    shapes: tuple[tuple[int, ...], ...],
    evaluate: str | None,
    data: str | None,
    no_memory: bool,
    as_json: bool,
    output: Path | None,
    **options: Any,
) -> None:
    """Measure what pruning gave: bytes, MACs, memory, accuracy, and latency where a model is deployed.

    MODEL is "module:function", a function that builds or loads the model, or a .safetensors or .npz file,
    whose sizes alone are measured. NAME=MODEL calls it NAME.
    """
    from ..errors import PrunersError
    from ..measuring.call import measure as measured
    from ._common import load_function, show, show_json

    judge = None if evaluate is None else load_function(evaluate, "--evaluate")
    batches = None if data is None else load_function(data, "--data")
    if output is not None and not output.parent.is_dir():
        raise PrunersError(f"--output: there is no folder {str(output.parent)!r}")
    built = _models(models, dense)
    found = measured(
        built if len(built) > 1 else next(iter(built.values())),
        example_inputs(inputs, shapes, next(iter(built.values()))),
        runtimes,
        evaluate=judge,
        data=None if batches is None else batches(),
        memory=not no_memory,
        **options,
    )
    if as_json:
        show_json(found.to_dict())
    else:
        show(found)
    if output is not None:
        _write(found.to_dict(), output)
        if not as_json:
            click.echo(f"Wrote {output}")


def _models(references: tuple[str, ...], dense: str | None) -> dict[str, Any]:
    """Build every model, the one that others are compared with first."""
    from ..errors import PrunersError
    from .reporting import open_reference

    named = [("dense", dense)] if dense is not None else []
    named += [_named(reference) for reference in references]
    built: dict[str, Any] = {}
    for name, reference in named:
        if name in built:
            raise PrunersError(f"two models are called {name!r}; write NAME=MODEL to give one another name")
        built[name] = open_reference(reference)
    return built


def _named(reference: str) -> tuple[str, str]:
    name, equals, model = reference.partition("=")
    if equals and name and model:
        return name, model
    module, colon, function = reference.partition(":")
    return (function if colon else Path(module).stem), reference


def _write(values: dict[str, Any], path: Path) -> None:
    import json

    path.write_text(json.dumps(values, indent=1, allow_nan=False) + "\n", encoding="utf-8")
