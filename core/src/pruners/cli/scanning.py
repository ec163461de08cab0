"""``pruners sensitivity``."""

from __future__ import annotations

from typing import Any

import click


def _fractions(_: click.Context, __: click.Parameter, text: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise click.BadParameter(f"{text!r} is not a list of numbers such as 0.5,0.7,0.9") from None


@click.command()
@click.argument("model")
@click.argument("evaluate")
@click.option("--pruner", default="level", show_default=True, help="What ranks the weights.")
@click.option("--pattern", default=None, help="Where zeros may lie; anywhere when left out.")
@click.option(
    "--sparsities",
    default="0.1,0.2,0.3,0.4,0.5,0.6,0.7,0.8,0.9",
    show_default=True,
    callback=_fractions,
    help="Fractions of each layer to prune.",
)
@click.option("--layers", multiple=True, help="Name or glob of layers to measure; may be given again.")
@click.option("--lower-is-better", is_flag=True, help="EVALUATE returns a loss.")
@click.option("--drop", type=click.FloatRange(min=0), help="Also print the sparsities within this loss.")
@click.option("--plot", type=click.Path(dir_okay=False, writable=True), help="Write a figure to this file.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
def sensitivity(
    model: str,
    evaluate: str,
    layers: tuple[str, ...],
    lower_is_better: bool,
    drop: float | None,
    plot: str | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Measure how EVALUATE of MODEL falls as each layer alone is pruned.

    MODEL and EVALUATE are "module:function": the first builds the model, the second takes it and returns a
    number.
    """
    from ..scan import sensitivity as measure
    from ._common import load_function, show, show_json
    from .reporting import open_reference

    judge = load_function(evaluate, "EVALUATE")
    if plot is not None:
        from ..plots import check_path

        check_path(plot)  # before a scan that may take hours
    found = measure(
        open_reference(model), judge, layers=layers or None, higher_is_better=not lower_is_better, **options
    )
    budget = None if drop is None else found.budget(drop)
    if as_json:
        show_json({**found.to_dict(), **({} if budget is None else {"budget": budget})})
    else:
        show(found)
        if budget is not None:
            click.echo(
                f"Within {drop:g} of dense: " + ", ".join(f"{name} {s:g}" for name, s in budget.items())
            )
    if plot is not None:
        found.plot(plot)
        if not as_json:
            click.echo(f"Wrote {plot}")
